/**
 * `dragonlock queue work NAME -- COMMAND`: a child for each message, with its data on stdin.
 *
 *     taken ──► child runs ──exit 0──► acked
 *                  │     └──anything else──► nacked, with the exit code as the error
 *                  └──lease not renewed in time──► child ended; the message is delivered again
 *
 * A string is handed on as it is, anything else as JSON. The child leads a process group of its own. On SIGTERM or SIGINT
 * the worker takes no further messages and waits for the children; on the second one it ends them and gives back what
 * they worked on.
 */
import { spawn } from 'node:child_process';
import type { QueueMessage } from '../client/queue-message.ts';
import { bootLeaseClock } from './boot-clock.ts';
import type { Run } from './command-spec.ts';
import { UsageError } from './exit-codes.ts';
import { parseInteger } from './parse.ts';
import { durationOf } from './queue.ts';
import { onSignals } from './signals.ts';

const killMs = 5000;
const drainMs = 24 * 60 * 60 * 1000;

export const workQueue: Run = async (invocation, { args: [name = '', ...command], afterDashes, options }) => {
  if (afterDashes === undefined || afterDashes.length === 0 || afterDashes.length !== command.length) {
    throw new UsageError('expected: dragonlock queue work NAME [options] -- COMMAND [ARGUMENT…]');
  }
  const { concurrency } = options;
  const client = await invocation.client({ clock: bootLeaseClock });
  // Report an unreachable server at once.
  await client.version();
  const { terminal } = invocation;
  const worker = client.queue(name).consume((message, { signal }) => runChild(command, message, signal), {
    concurrency: typeof concurrency === 'string' ? parseInteger(concurrency, '--concurrency') : undefined,
    ttl: durationOf(options, 'ttl'),
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
};

function runChild([file = '', ...args]: readonly string[], message: QueueMessage, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const { id, queue, lock, attempts, group, data } = message;
  const variables = {
    DRAGONLOCK_FENCE: String(lock),
    DRAGONLOCK_QUEUE: queue,
    DRAGONLOCK_MESSAGE_ID: id,
    DRAGONLOCK_ATTEMPTS: String(attempts),
    ...(group !== undefined && { DRAGONLOCK_GROUP: group }),
  };
  const child = spawn(file, args, {
    stdio: ['pipe', 'inherit', 'inherit'],
    detached: true,
    env: { ...process.env, ...variables },
  });
  const signalGroup = (name: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    } catch {
      // It has ended already.
    }
  };
  let kill: (() => void) | undefined;
  const onAbort = (): void => {
    signalGroup('SIGTERM');
    const left = Math.min(killMs, message.remaining);
    kill = bootLeaseClock.pause(left, () => signalGroup('SIGKILL'));
  };
  signal.addEventListener('abort', onAbort, { once: true });
  child.once('error', (error) => reject(error));
  child.once('exit', (code, by) => {
    kill?.();
    signal.removeEventListener('abort', onAbort);
    if (code === 0 && !signal.aborted) resolve();
    else reject(new Error(by === null ? `exit code ${code}` : `ended by ${by}`));
  });
  // A child that does not read is no error of ours.
  child.stdin.on('error', () => undefined);
  child.stdin.end(typeof data === 'string' ? data : JSON.stringify(data));
  return promise;
}
