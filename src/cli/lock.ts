/**
 * `dragonlock lock NAME -- cmd args…`: runs a command while a lock is held, in the manner of flock(1).
 *
 *     in line ──granted──► child runs ──child ends──► given back ──► the child's exit code
 *        │                    │
 *        │                    └──lost, or not renewed in time──► group ended before the lease can end ──► 76
 *        └──busy, wait ran out──► 75
 *
 * A signal while it stands in line takes it out of the line; while the child runs, signals are the child's, and how it
 * ends decides; behind that, the lock is given back, and a signal only ends the waiting for that.
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

/** Less could not be renewed in time over a network, and leaves no time to end a child. */
const ttlMsMin = 1000;
const endingSignals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

export function addLock(program: Command, invocation: Invocation, argv: readonly string[]): void {
  program
    .command('lock')
    .description('run a command while this lock is held')
    .usage('NAME [options] -- COMMAND [ARGUMENT…]')
    .argument('<name>', 'of the lock')
    .argument('[command...]', 'behind --')
    .option('-w, --wait <duration>', 'stand in line for so long (default: for as long as it takes)')
    .option('-n, --no-wait', 'do not stand in line: exit code 75 if the lock is busy')
    .option('--ttl <duration>', 'a holder that vanishes is rid of the lock after this', '30s')
    .option('-E, --conflict-exit-code <n>', 'instead of 75 when the lock is busy')
    .option('--meta <json>', 'shown to others, instead of host, process and command')
    .action(async (name: string, command: readonly string[], options: Options) => {
      const behindDashes = argv.includes('--') ? argv.length - argv.indexOf('--') - 1 : 0;
      if (behindDashes === 0 || behindDashes !== command.length) {
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
  // From one listener to the next, none of these must end us with the lock in hand.
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
    terminal.errorLine(`The holder before (fence ${fence}${who}) did not give the lock back: it ${endings[why]}.`);
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

/** The server lets nobody stand longer than `waitMsMax`; then it is the end of the line again. */
async function waitForLock(client: DragonLock, name: string, request: LockRequest): Promise<Lock> {
  const cancel = new AbortController();
  const stopListening = onSignals(endingSignals, (signal) => {
    if (cancel.signal.aborted) process.exit(new Interrupted(signal).exitCode);
    cancel.abort(new Interrupted(signal));
  });
  try {
    const clock = systemLeaseClock;
    // A server that is not there is told at once, however long the line.
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
  // Rounded down, for a script that compares: until then it is held, even if nothing renews it.
  const till = Math.floor((systemLeaseClock.mark().wallMs + lock.remaining) / 1000);
  return { ...process.env, DRAGONLOCK_FENCE: String(lock.fence), DRAGONLOCK_TILL: String(till) };
}

/** How the child ended is what counts, unless it ended well under a lock that somebody else may have had. */
async function releaseLock(lock: Lock, exitCode: number, { terminal }: Invocation): Promise<number> {
  const unclear = `The lock ${JSON.stringify(lock.id)} could not be given back`;
  const stopListening = onSignals(endingSignals, () => {
    terminal.errorLine(`${unclear} before a second signal; it ends with its ttl.`);
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
    terminal.errorLine(`${unclear}, and ends with its ttl. ${error instanceof Error ? error.message : String(error)}`);
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
  return `${busy}: held for ${since}${formatMeta(holder.meta) === '' ? '' : ` by ${formatMeta(holder.meta)}`}.${others}`;
}

const endings = {
  expired: 'had expired',
  forced: 'was taken away by force',
  released: 'had been given back',
  unknown: 'ended, nobody knows how',
} as const satisfies Record<LockLostError['why'], string>;
