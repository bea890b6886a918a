/** `dragonlock locks`: lists held locks with their holders and waiters, or takes one away. */
import type { Run } from './command-spec.ts';
import { systemLeaseClock } from '../client/lease-clock.ts';
import type { LockInfo } from '../client/locks.ts';
import type { LockState } from '../client/watch-events.ts';
import { NegativeResult } from './exit-codes.ts';
import { formatDuration, formatKey, formatMeta } from './format.ts';
import type { Invocation } from './invocation.ts';
import { parseInteger } from './parse.ts';

export const runLocks: Run = async (invocation, { args, options }) => {
  const forceUnlock = options['force-unlock'];
  if (typeof forceUnlock === 'string') await force(forceUnlock, invocation);
  else await list(args[0] ?? '', invocation);
};

/** Prints a line for each state of a lock, as long as it runs, across restarts of the server too. */
export const watchLocks: Run = async (invocation, { args, options }) => {
  const { terminal, json } = invocation;
  const { once, 'if-version': ifVersion } = options;
  const version = typeof ifVersion === 'string' ? parseInteger(ifVersion, '--if-version') : undefined;
  const client = await invocation.client();
  for await (const state of client.watch.lock(args[0]!, { version })) {
    if (json) terminal.json(wireState(state));
    else terminal.line(stateText(state));
    if (once) return;
  }
};

function stateText({ id, locked, meta, holders }: LockState): string {
  const name = formatKey(id);
  if (!locked) return `free ${name}`;
  return holders === undefined ? `held ${name} ${formatMeta(meta)}`.trimEnd() : `held ${name} by ${holders}`;
}

function wireState({ id, version, locked, meta, since, holders }: LockState): object {
  return { LockID: id, Version: version, Locked: locked, Meta: meta, Since: since, Holders: holders };
}

async function list(prefix: string, invocation: Invocation): Promise<void> {
  const { terminal, json } = invocation;
  const client = await invocation.client();
  const rows: string[][] = [];
  const now = systemLeaseClock.mark().wallMs;
  for await (const lock of client.locks.list(prefix)) {
    if (json) terminal.json(wireLock(lock));
    else {
      const { id, since, till, waiters } = lock;
      const times = [since && now - since, till && till - now].map((ms) =>
        ms === undefined ? '' : formatDuration(ms),
      );
      rows.push([id, ...times, String(waiters), holderOf(lock)]);
    }
  }
  if (json) return;
  if (rows.length === 0) terminal.errorLine('No lock is held.');
  else terminal.table(['NAME', 'HELD FOR', 'ENDS IN', 'WAITERS', 'HOLDER'], rows);
}

/** Of a lock that several hold only their number is known. */
function holderOf({ meta, holders, limit }: LockInfo): string {
  if (holders === undefined) return formatMeta(meta);
  return limit === undefined ? `${holders} as readers` : `${holders} of ${limit} permits`;
}

/** Checks first that the lock is held, because the server reports no error if it is not. */
async function force(name: string, invocation: Invocation): Promise<void> {
  const client = await invocation.client();
  const lock = await client.locks.get(name);
  if (!lock.locked) throw new NegativeResult(`The lock ${JSON.stringify(name)} is not held.`);
  await client.locks.force(name);
  if (invocation.json) invocation.terminal.json(wireLock(lock));
  else
    invocation.terminal.errorLine(
      `The lock ${JSON.stringify(name)} was taken from ${formatMeta(lock.meta) || 'its holder'}.`,
    );
}

function wireLock({ id, locked, waiters, meta, since, till, holders, limit }: LockInfo): object {
  const shared = { Holders: holders, LockLimit: limit };
  return { LockID: id, Locked: locked, Since: since, TillMs: till, Waiters: waiters, Meta: meta, ...shared };
}
