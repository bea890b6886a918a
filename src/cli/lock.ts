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
import type { HeldLock, LockOptions } from '../client/lock.ts';
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
  /** More than one: they are taken together. */
  readonly names: readonly string[];
  readonly command: readonly string[];
  readonly options: Options;
}

/** A shorter lease could not be renewed in time over a network, and would leave no time to end a child. */
const ttlMsMin = 1000;

export const runLock: Run = async (invocation, { args, afterDashes: command = [], options }) => {
  const names = args.slice(0, args.length - command.length);
  if (command.length === 0 || names.length === 0)
    throw new UsageError('expected: dragonlock lock NAME… [options] -- COMMAND [ARGUMENT…]');
  invocation.exitCode = await lockAndRun(invocation, { names, command, options });
};

async function lockAndRun(invocation: Invocation, { names, command, options }: Arguments): Promise<number> {
  const { terminal, launch } = invocation;
  const request = lockOptions(names, command, options);
  const conflict = conflictExitCodeOf(options);
  const start = new CommandStart(launch, command.length);
  const client = await invocation.client({ clock: bootLeaseClock });
  // Between two listeners, none of these signals may end the process while it holds the lock.
  onSignals(endingSignals(invocation), () => undefined);
  let lock: HeldLock;
  try {
    lock = await waitForLock(client, names, { request, invocation });
  } catch (error) {
    if (error instanceof Interrupted) return error.exitCode;
    if (!(error instanceof NotLockedError)) throw error;
    terminal.errorLine(`${formatBusy(names, error)}${formatOthers(error, 'for it')}`);
    return conflict;
  }
  if (lock.recover !== undefined) {
    const { why, fence, meta } = lock.recover;
    const who = formatMeta(meta) === '' ? '' : `, ${formatMeta(meta)}`;
    terminal.errorLine(`The previous holder (fence ${fence}${who}) did not release the lock: it ${endings[why]}.`);
  }
  const { ignoredSignals } = launch;
  const guard = { lease: lock, name: namesOf(names), ttlMs: request.ttl, ignoredSignals };
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

/** `lock "a"`, `locks "a", "b"` */
function namesOf(names: readonly string[]): string {
  return `lock${names.length === 1 ? '' : 's'} ${names.map((name) => JSON.stringify(name)).join(', ')}`;
}

/** They cancel the wait, unless they were ignored when we were started. */
function endingSignals({ launch }: Invocation): NodeJS.Signals[] {
  const all = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;
  return all.filter((signal) => !launch.ignoredSignals.includes(signal));
}

interface LockRequest extends LockOptions {
  readonly ttl: number;
  readonly wait: number;
  readonly limit?: number;
}

function lockOptions(names: readonly string[], command: readonly string[], options: Options): LockRequest {
  const { ttl = '30s', wait, 'no-wait': noWait, meta, read, limit } = options;
  if (read === true && limit !== undefined) throw new UsageError('--limit: given together with --read; expected one');
  if (names.length > 1 && (read === true || limit !== undefined))
    throw new UsageError(`--${read === true ? 'read' : 'limit'}: several locks are held alone; expected one NAME`);
  const ttlMs = parseDuration(String(ttl), '--ttl');
  if (ttlMs < ttlMsMin || ttlMs > lockDurMsMax) throw new UsageError(`--ttl: expected 1s to 24h, got ${String(ttl)}`);
  return {
    ttl: ttlMs,
    ...(read === true && { read: true }),
    ...(typeof limit === 'string' && { limit: parseInteger(limit, '--limit') }),
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

async function waitForLock(
  client: DragonLock,
  names: readonly string[],
  { request, invocation }: Wait,
): Promise<HeldLock> {
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
      const atOnce = await tryAtOnce(client, names, { ...request, signal: cancel.signal });
      if (!(atOnce instanceof NotLockedError)) return atOnce;
      erase = invocation.terminal.transient(formatWait(names, atOnce));
    }
    const startedAt = clock.mark();
    for (;;) {
      const left = Math.max(0, request.wait - clock.since(startedAt));
      try {
        return await take(client, names, { ...request, wait: Math.min(left, waitMsMax), signal: cancel.signal });
      } catch (error) {
        if (
          !(error instanceof NotLockedError) ||
          error.details['Why'] !== undefined ||
          request.wait - clock.since(startedAt) <= 0
        )
          throw error;
      }
    }
  } finally {
    erase?.();
    stopListening();
  }
}

/** Takes one lock, a permit, or several locks together. */
function take(client: DragonLock, names: readonly string[], request: LockRequest): Promise<HeldLock> {
  const { limit, read, ...options } = request;
  const [name = ''] = names;
  if (names.length > 1) return client.locks.all(names, options);
  return limit === undefined ? client.lock(name, { ...options, read }) : client.semaphore(name, limit, options);
}

/** For somebody who looks on: asks once without a wait, because only a refusal names the holder. */
async function tryAtOnce(
  client: DragonLock,
  names: readonly string[],
  options: LockRequest,
): Promise<HeldLock | NotLockedError> {
  try {
    return await take(client, names, { ...options, wait: 0 });
  } catch (error) {
    if (error instanceof NotLockedError) return error;
    throw error;
  }
}

function variables(lock: HeldLock): Readonly<Record<string, string>> {
  // Round down, for a script that compares: until then the lock is held even if nothing renews it.
  const till = Math.floor((bootLeaseClock.mark().wallMs + lock.remaining) / 1000);
  return { DRAGONLOCK_FENCE: String(lock.fence), DRAGONLOCK_TILL: String(till) };
}

/** Returns the child's exit code, or 76 if the child succeeded while another client may have held the lock. */
async function releaseLock(lock: HeldLock, exitCode: number, invocation: Invocation): Promise<number> {
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

function formatBusy(names: readonly string[], { holder, message }: NotLockedError): string {
  const [name = ''] = names;
  // Which of several it is, the server says.
  if (names.length > 1) return message;
  const busy = `The lock ${JSON.stringify(name)} is busy`;
  if (holder?.since === undefined) return `${busy}.`;
  const since = formatDuration(bootLeaseClock.mark().wallMs - holder.since);
  const by = formatMeta(holder.meta) === '' ? '' : ` by ${formatMeta(holder.meta)}`;
  return `${busy}: held for ${since}${by}.`;
}

function formatOthers({ waiters }: NotLockedError, what: string): string {
  return waiters === 0 ? '' : ` ${waiters} ${waiters === 1 ? 'waits' : 'wait'} ${what}.`;
}

function formatWait(names: readonly string[], error: NotLockedError): string {
  return `Waiting. ${formatBusy(names, error)}${formatOthers(error, 'before us')}`;
}

const endings = {
  expired: 'had expired',
  forced: 'was taken away by force',
  released: 'had been released',
  unknown: 'ended for an unknown reason',
} as const satisfies Record<LockLostError['why'], string>;
