/**
 * `dragonlock lock NAME -- cmd args…`: runs a command while a lock is held, in the manner of flock(1).
 *
 *     waiting ──granted──► child runs ──child ends──► released ──► the child's exit code
 *        │                    │
 *        │                    └──lost, or not renewed in time──► group ended before the lease can end ──► 76
 *        └──busy, wait ran out──► 75
 *
 * A signal during the wait cancels the wait. While the child runs, signals go to the child, and its end decides. After
 * that the command releases the lock, and a signal only stops the wait for the release.
 */
import os from 'node:os';
import type { Command } from 'commander';
import type { DragonLock } from '../client/dragon-lock.ts';
import { LockLostError, NotLockedError } from '../client/errors.ts';
import { systemLeaseClock } from '../client/lease-clock.ts';
import type { Lock, LockOptions } from '../client/lock.ts';
import { lockDurMsMax, waitMsMax } from '../shared/limits.ts';
import { exitCodes, UsageError } from './exit-codes.ts';
import { formatDuration, formatMeta } from './format.ts';
import { runGuarded } from './guarded-child.ts';
import type { Invocation } from './invocation.ts';
import { parseDuration, parseInteger, parseJson } from './parse.ts';
import { Interrupted, onSignals } from './signals.ts';

interface Options {
  /** false: `--no-wait`. */
  readonly wait?: string | false;
  readonly ttl: string;
  readonly conflictExitCode?: string;
  readonly meta?: string;
}

interface Arguments {
  readonly name: string;
  readonly command: readonly string[];
  readonly options: Options;
}

/** A shorter lease could not be renewed in time over a network, and would leave no time to end a child. */
const ttlMsMin = 1000;
const endingSignals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

export function addLock(program: Command, invocation: Invocation, argv: readonly string[]): void {
  program
    .command('lock')
    .description('run a command while holding this lock')
    .usage('NAME [options] -- COMMAND [ARGUMENT…]')
    .argument('<name>', 'name of the lock')
    .argument('[command...]', 'after --')
    .option('-w, --wait <duration>', 'wait at most this long (default: without limit)')
    .option('-n, --no-wait', 'do not wait: exit with 75 if the lock is busy')
    .option('--ttl <duration>', 'the lock expires this long after its holder vanishes', '30s')
    .option('-E, --conflict-exit-code <n>', 'exit with this instead of 75 if the lock is busy')
    .option('--meta <json>', 'shown to other clients instead of host, process and command')
    .action(async (name: string, command: readonly string[], options: Options) => {
      const afterDashes = argv.includes('--') ? argv.length - argv.indexOf('--') - 1 : 0;
      if (afterDashes === 0 || afterDashes !== command.length) {
        throw new UsageError('expected: dragonlock lock NAME [options] -- COMMAND [ARGUMENT…]');
      }
      invocation.exitCode = await lockAndRun(invocation, { name, command, options });
    });
}

async function lockAndRun(invocation: Invocation, { name, command, options }: Arguments): Promise<number> {
  const { terminal } = invocation;
  const request = lockOptions(command, options);
  const conflict = conflictExitCodeOf(options);
  const client = await invocation.client();
  // Between two listeners, none of these signals may end the process while it holds the lock.
  onSignals(endingSignals, () => undefined);
  let lock: Lock;
  try {
    lock = await waitForLock(client, name, request);
  } catch (error) {
    if (error instanceof Interrupted) return error.exitCode;
    if (!(error instanceof NotLockedError)) throw error;
    terminal.errorLine(formatBusy(name, error));
    return conflict;
  }
  if (lock.recover !== undefined) {
    const { why, fence, meta } = lock.recover;
    const who = formatMeta(meta) === '' ? '' : `, ${formatMeta(meta)}`;
    terminal.errorLine(`The previous holder (fence ${fence}${who}) did not release the lock: it ${endings[why]}.`);
  }
  const end = await runGuarded(command, { env: environment(lock), lock, ttlMs: request.ttl });
  switch (end.kind) {
    case 'lost':
      terminal.errorLine(`${end.message} The command was ended.`);
      return exitCodes.lost;
    case 'unstartable':
      terminal.errorLine(end.message);
      break;
    case 'ended':
      break;
  }
  return releaseLock(lock, end.exitCode, invocation);
}

type LockRequest = LockOptions & { readonly ttl: number; readonly wait: number };

function lockOptions(command: readonly string[], { ttl, wait, meta }: Options): LockRequest {
  const ttlMs = parseDuration(ttl, '--ttl');
  if (ttlMs < ttlMsMin || ttlMs > lockDurMsMax) throw new UsageError(`--ttl: expected 1s to 24h, got ${ttl}`);
  return {
    ttl: ttlMs,
    wait: wait === false ? 0 : wait === undefined ? Infinity : parseDuration(wait, '--wait'),
    meta:
      meta === undefined
        ? { Host: os.hostname(), Pid: process.pid, Command: command[0]!.slice(0, 200) }
        : parseJson(meta, '--meta'),
  };
}

function conflictExitCodeOf({ conflictExitCode }: Options): number {
  if (conflictExitCode === undefined) return exitCodes.notAcquired;
  const code = parseInteger(conflictExitCode, '--conflict-exit-code');
  if (code < 0 || code > 255) throw new UsageError(`--conflict-exit-code: expected 0 to 255, got ${code}`);
  return code;
}

/** The server ends a wait after `waitMsMax`; the next request then starts at the end of the wait queue. */
async function waitForLock(client: DragonLock, name: string, request: LockRequest): Promise<Lock> {
  const cancel = new AbortController();
  const stopListening = onSignals(endingSignals, (signal) => {
    if (cancel.signal.aborted) process.exit(new Interrupted(signal).exitCode);
    cancel.abort(new Interrupted(signal));
  });
  try {
    const clock = systemLeaseClock;
    // Report an unreachable server at once, however long the wait may be.
    await client.version();
    const startedAt = clock.mark();
    for (;;) {
      const left = Math.max(0, request.wait - clock.since(startedAt));
      try {
        return await client.lock(name, { ...request, wait: Math.min(left, waitMsMax), signal: cancel.signal });
      } catch (error) {
        if (!(error instanceof NotLockedError) || request.wait - clock.since(startedAt) <= 0) throw error;
      }
    }
  } finally {
    stopListening();
  }
}

function environment(lock: Lock): NodeJS.ProcessEnv {
  // Round down, for a script that compares: until then the lock is held even if nothing renews it.
  const till = Math.floor((systemLeaseClock.mark().wallMs + lock.remaining) / 1000);
  return { ...process.env, DRAGONLOCK_FENCE: String(lock.fence), DRAGONLOCK_TILL: String(till) };
}

/** Returns the child's exit code, or 76 if the child succeeded while another client may have held the lock. */
async function releaseLock(lock: Lock, exitCode: number, { terminal }: Invocation): Promise<number> {
  const notReleased = `The lock ${JSON.stringify(lock.id)} could not be released`;
  const stopListening = onSignals(endingSignals, () => {
    terminal.errorLine(`${notReleased} before a second signal; it ends with its ttl.`);
    process.exit(exitCode);
  });
  try {
    await lock.release();
  } catch (error) {
    if (error instanceof LockLostError) {
      terminal.errorLine(
        `The lock ${JSON.stringify(lock.id)} was lost before the command ended: it ${endings[error.why]}.`,
      );
      return exitCode === 0 ? exitCodes.lost : exitCode;
    }
    terminal.errorLine(
      `${notReleased}, and ends with its ttl. ${error instanceof Error ? error.message : String(error)}`,
    );
  } finally {
    stopListening();
  }
  return exitCode;
}

function formatBusy(name: string, { holder, waiters }: NotLockedError): string {
  const busy = `The lock ${JSON.stringify(name)} is busy`;
  if (holder === undefined) return `${busy}.`;
  const since = formatDuration(systemLeaseClock.mark().wallMs - holder.since);
  const others = waiters === 0 ? '' : ` ${waiters} ${waiters === 1 ? 'waits' : 'wait'} for it.`;
  const by = formatMeta(holder.meta) === '' ? '' : ` by ${formatMeta(holder.meta)}`;
  return `${busy}: held for ${since}${by}.${others}`;
}

const endings = {
  expired: 'had expired',
  forced: 'was taken away by force',
  released: 'had been released',
  unknown: 'ended for an unknown reason',
} as const satisfies Record<LockLostError['why'], string>;
