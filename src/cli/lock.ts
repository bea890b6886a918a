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
import type { DragonLock } from '../client/dragon-lock.ts';
import { LockLostError, NotLockedError } from '../client/errors.ts';
import type { Lock, LockOptions } from '../client/lock.ts';
import { lockDurMsMax, waitMsMax } from '../shared/limits.ts';
import { bootLeaseClock } from './boot-clock.ts';
import type { Run } from './command-spec.ts';
import { exitCodes, UsageError } from './exit-codes.ts';
import { formatDuration, formatMeta } from './format.ts';
import { runGuarded } from './guarded-child.ts';
import type { Invocation, Options } from './invocation.ts';
import { parseDuration, parseInteger, parseJson } from './parse.ts';
import { Interrupted, onSignals } from './signals.ts';
import { CommandStart } from './start-command.ts';

interface Arguments {
  readonly name: string;
  readonly command: readonly string[];
  readonly options: Options;
}

/** A shorter lease could not be renewed in time over a network, and would leave no time to end a child. */
const ttlMsMin = 1000;

export const runLock: Run = async (invocation, { args: [name = '', ...command], afterDashes, options }) => {
  if (afterDashes === undefined || afterDashes.length === 0 || afterDashes.length !== command.length) {
    throw new UsageError('expected: dragonlock lock NAME [options] -- COMMAND [ARGUMENT…]');
  }
  invocation.exitCode = await lockAndRun(invocation, { name, command, options });
};

async function lockAndRun(invocation: Invocation, { name, command, options }: Arguments): Promise<number> {
  const { terminal, launch } = invocation;
  const request = lockOptions(command, options);
  const conflict = conflictExitCodeOf(options);
  const start = new CommandStart(launch, command.length);
  const client = await invocation.client({ clock: bootLeaseClock });
  // Between two listeners, none of these signals may end the process while it holds the lock.
  onSignals(endingSignals(invocation), () => undefined);
  let lock: Lock;
  try {
    lock = await waitForLock(client, name, { request, invocation });
  } catch (error) {
    if (error instanceof Interrupted) return error.exitCode;
    if (!(error instanceof NotLockedError)) throw error;
    terminal.errorLine(`${formatBusy(name, error)}${formatOthers(error, 'for it')}`);
    return conflict;
  }
  if (lock.recover !== undefined) {
    const { why, fence, meta } = lock.recover;
    const who = formatMeta(meta) === '' ? '' : `, ${formatMeta(meta)}`;
    terminal.errorLine(`The previous holder (fence ${fence}${who}) did not release the lock: it ${endings[why]}.`);
  }
  const { ignoredSignals } = launch;
  const guard = { lease: lock, name: `lock ${JSON.stringify(name)}`, ttlMs: request.ttl, ignoredSignals };
  const end = await runGuarded(() => start.start(variables(lock)), guard);
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

/** They cancel the wait, unless they were ignored when we were started. */
function endingSignals({ launch }: Invocation): NodeJS.Signals[] {
  const all = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
  return all.filter((signal) => !launch.ignoredSignals.includes(signal));
}

type LockRequest = LockOptions & { readonly ttl: number; readonly wait: number };

function lockOptions(command: readonly string[], { ttl = '30s', wait, 'no-wait': noWait, meta }: Options): LockRequest {
  const ttlMs = parseDuration(String(ttl), '--ttl');
  if (ttlMs < ttlMsMin || ttlMs > lockDurMsMax) throw new UsageError(`--ttl: expected 1s to 24h, got ${String(ttl)}`);
  return {
    ttl: ttlMs,
    wait: noWait ? 0 : typeof wait === 'string' ? parseDuration(wait, '--wait') : Infinity,
    meta:
      typeof meta === 'string'
        ? parseJson(meta, '--meta')
        : { Host: os.hostname(), Pid: process.pid, Command: command[0]!.slice(0, 200).toWellFormed() },
  };
}

function conflictExitCodeOf({ 'conflict-exit-code': text }: Options): number {
  if (typeof text !== 'string') return exitCodes.notAcquired;
  const code = parseInteger(text, '--conflict-exit-code');
  if (code < 0 || code > 255) throw new UsageError(`--conflict-exit-code: expected 0 to 255, got ${code}`);
  return code;
}

interface Wait {
  readonly request: LockRequest;
  readonly invocation: Invocation;
}

async function waitForLock(client: DragonLock, name: string, { request, invocation }: Wait): Promise<Lock> {
  const cancel = new AbortController();
  let erase: (() => void) | undefined;
  const stopListening = onSignals(endingSignals(invocation), (signal) => {
    if (cancel.signal.aborted) process.exit(new Interrupted(signal).exitCode);
    cancel.abort(new Interrupted(signal));
  });
  try {
    const clock = bootLeaseClock;
    // Report an unreachable server at once, however long the wait may be.
    await client.version();
    if (invocation.terminal.showsErrors && !invocation.json && request.wait > 0) {
      const atOnce = await tryAtOnce(client, name, { ...request, signal: cancel.signal });
      if (!(atOnce instanceof NotLockedError)) return atOnce;
      erase = invocation.terminal.transient(formatWait(name, atOnce));
    }
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
    erase?.();
    stopListening();
  }
}

/** For somebody who looks on: asks once without a wait, because only a refusal names the holder. */
async function tryAtOnce(client: DragonLock, name: string, options: LockOptions): Promise<Lock | NotLockedError> {
  try {
    return await client.lock(name, { ...options, wait: 0 });
  } catch (error) {
    if (error instanceof NotLockedError) return error;
    throw error;
  }
}

function variables(lock: Lock): Readonly<Record<string, string>> {
  // Round down, for a script that compares: until then the lock is held even if nothing renews it.
  const till = Math.floor((bootLeaseClock.mark().wallMs + lock.remaining) / 1000);
  return { DRAGONLOCK_FENCE: String(lock.fence), DRAGONLOCK_TILL: String(till) };
}

/** Returns the child's exit code, or 76 if the child succeeded while another client may have held the lock. */
async function releaseLock(lock: Lock, exitCode: number, invocation: Invocation): Promise<number> {
  const { terminal } = invocation;
  const notReleased = `The lock ${JSON.stringify(lock.id)} could not be released`;
  const stopListening = onSignals(endingSignals(invocation), () => {
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

function formatBusy(name: string, { holder }: NotLockedError): string {
  const busy = `The lock ${JSON.stringify(name)} is busy`;
  if (holder === undefined) return `${busy}.`;
  const since = formatDuration(bootLeaseClock.mark().wallMs - holder.since);
  const by = formatMeta(holder.meta) === '' ? '' : ` by ${formatMeta(holder.meta)}`;
  return `${busy}: held for ${since}${by}.`;
}

function formatOthers({ waiters }: NotLockedError, what: string): string {
  return waiters === 0 ? '' : ` ${waiters} ${waiters === 1 ? 'waits' : 'wait'} ${what}.`;
}

function formatWait(name: string, error: NotLockedError): string {
  return `Waiting. ${formatBusy(name, error)}${formatOthers(error, 'before us')}`;
}

const endings = {
  expired: 'had expired',
  forced: 'was taken away by force',
  released: 'had been released',
  unknown: 'ended for an unknown reason',
} as const satisfies Record<LockLostError['why'], string>;
