/**
 * `dragonlock queue work NAME -- COMMAND`: a child for each message, with its data on stdin.
 *
 *     taken ──► child runs ──exit 0──► acked
 *                  │     └──anything else──► nacked, with the exit code as the error
 *                  └──lease not renewed in time──► group ended before the lease can end; delivered again
 *
 * A string is handed on as it is, anything else as JSON. Each child leads a process group of its own, which is guarded
 * as that of `dragonlock lock` is (guarded-child.ts): also when this process is stopped or killed. On SIGTERM or SIGINT
 * the worker takes no further messages and waits for the children; on the second one it ends them and gives back what
 * they worked on.
 */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { spawn } from 'node:child_process';
import type { QueueMessage } from '../client/queue-message.ts';
import { lockDurMsMax } from '../shared/limits.ts';
import { bootLeaseClock } from './boot-clock.ts';
import type { Run } from './command-spec.ts';
import { UsageError } from './exit-codes.ts';
import { GuardedGroup, stopGroupsWithUs, type GuardedLease } from './guarded-child.ts';
import { parseInteger } from './parse.ts';
import { durationOf } from './queue.ts';
import { onSignals } from './signals.ts';

const ttlMsDefault = 30_000;
/** As of a lock: a shorter one could not be renewed in time, and would leave no time to end a child. */
const ttlMsMin = 1000;
const drainMs = 24 * 60 * 60 * 1000;

export const workQueue: Run = async (invocation, { args: [name = '', ...command], afterDashes, options }) => {
  if (afterDashes === undefined || afterDashes.length === 0 || afterDashes.length !== command.length) {
    throw new UsageError('expected: dragonlock queue work NAME [options] -- COMMAND [ARGUMENT…]');
  }
  const { concurrency } = options;
  const ttlMs = durationOf(options, 'ttl') ?? ttlMsDefault;
  if (ttlMs < ttlMsMin || ttlMs > lockDurMsMax) {
    throw new UsageError(`--ttl: expected 1s to 24h, got ${String(options['ttl'])}`);
  }
  const client = await invocation.client({ clock: bootLeaseClock });
  // Report an unreachable server at once.
  await client.version();
  const { terminal, launch } = invocation;
  const stopStopping = stopGroupsWithUs(launch.ignoredSignals);
  const worker = client.queue(name).consume((message, { signal }) => runChild(command, message, { signal, ttlMs }), {
    concurrency: typeof concurrency === 'string' ? parseInteger(concurrency, '--concurrency') : undefined,
    ttl: ttlMs,
    onError: (error, message) => {
      const what = message === undefined ? '' : `${message.id}: `;
      terminal.errorLine(`${what}${error instanceof Error ? error.message : String(error)}`);
    },
  });
  const ended = Promise.withResolvers<void>();
  let asked = false;
  const stopListening = onSignals(['SIGINT', 'SIGTERM', 'SIGHUP'], () => {
    void worker.stop({ drain: asked ? 0 : drainMs }).then(ended.resolve);
    if (asked) worker.interrupt();
    asked = true;
  });
  await ended.promise;
  stopListening();
  stopStopping();
};

interface Work {
  readonly signal: AbortSignal;
  readonly ttlMs: number;
}

/** Becomes the command when the watchdog knows the process; ends if we are killed before. */
const heldProgram = 'read -r go <&3 && exec 3<&- && exec "$@"';

async function runChild(command: readonly string[], message: QueueMessage, { signal, ttlMs }: Work): Promise<void> {
  const { id, queue, lock, attempts, group: messageGroup, data } = message;
  const variables = {
    DRAGONLOCK_FENCE: String(lock),
    DRAGONLOCK_QUEUE: queue,
    DRAGONLOCK_MESSAGE_ID: id,
    DRAGONLOCK_ATTEMPTS: String(attempts),
    ...(messageGroup !== undefined && { DRAGONLOCK_GROUP: messageGroup }),
  };
  // Start the guard first, then the child. Signals end the worker, not its children.
  const lease = leaseOf(message, signal);
  const group = new GuardedGroup({ lease, name: `message ${id}`, ttlMs, forwarded: [] });
  const child = spawn('/bin/sh', ['-c', heldProgram, 'sh', ...command], {
    stdio: ['pipe', 'inherit', 'inherit', 'pipe'],
    detached: true,
    env: { ...process.env, ...variables },
  });
  const [stdin, go] = [child.stdio[0], child.stdio[3]] as [Writable, Writable];
  // A child that does not read, or has gone already, is no error of ours.
  for (const pipe of [stdin, go]) pipe.on('error', () => undefined);
  if (child.pid === undefined) {
    group.release();
    const [error] = (await once(child, 'error')) as [Error];
    throw error;
  }
  group.guard(child.pid);
  go.end('\n');
  stdin.end(typeof data === 'string' ? data : JSON.stringify(data));
  const [code, by] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  const loss = await group.leaderEnded();
  if (loss !== undefined) throw new Error(loss);
  if (code !== 0) throw new Error(by === null ? `exit code ${code}` : `ended by ${by}`);
}

/** A message that was given back, or whose lease was lost, may have another consumer already. */
function leaseOf(message: QueueMessage, signal: AbortSignal): GuardedLease {
  return {
    signal,
    get remaining() {
      return message.remaining;
    },
    get state() {
      return signal.aborted || message.remaining <= 0 ? 'lost' : 'held';
    },
  };
}
