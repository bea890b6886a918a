/** What an account has, and its quota: once that is used up, whatever adds is refused, and whatever does not is served. */
import { anyNumber } from './expected.ts';
import { done, refuse, type Moment, type Outcome } from './moment.ts';
import { nameOf, type Entry, type Kind, type LockEntry } from './state.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import type { AccountUsage } from '../../../src/protocol/operations/usage.ts';

/** 0: none. The model does not know bytes. */
export interface Quota {
  readonly entries: number;
  readonly messages: number;
}

const members = {
  kv: 'kv',
  counters: 'counter',
  sequences: 'sequence',
  locks: 'lock',
  ids: 'stored',
  limits: 'limit',
  tasks: 'task',
  settings: 'flow',
  scripts: 'script',
} as const satisfies Record<string, Kind>;

export const usage = {
  commands: {
    'account.usage': (at: Moment, { account }: AccountUsage): Outcome =>
      done(at, { Bytes: anyNumber, Entries: { ...countsOf(at, account), messages: messagesOf(at, account) } }),
  },
};

function countsOf(at: Moment, account: string): Record<keyof typeof members, number> {
  const counts = Object.entries(members).map(([member, kind]) => {
    return [member, [...at.state.keys(kind, account, '', undefined)].length];
  });
  return Object.fromEntries(counts) as ReturnType<typeof countsOf>;
}

function messagesOf(at: Moment, account: string): number {
  const queues = [...at.state.keys('queue', account, '', undefined)];
  return queues.reduce((sum, key) => sum + messagesIn(at, at.state.get(nameOf('queue', account, key))), 0);
}

/** What a purge leaves behind counts until it is swept. */
function messagesIn(at: Moment, entry: Entry | undefined): number {
  if (entry === undefined || !('messages' in entry)) return 0;
  const { messages, unswept } = entry;
  return messages.length + (unswept.till > at.now.lo ? unswept.messages : 0);
}

function used(at: Moment, account: string): Quota {
  const { ids: _, ...counts } = countsOf(at, account);
  const messages = messagesOf(at, account);
  return { entries: Object.values(counts).reduce((sum, count) => sum + count, messages), messages };
}

/** The refusal of a batch that the quota does not let happen; undefined: it may. */
export function refusedByQuota(at: Moment, batch: Batch, { changes }: Outcome, quota: Quota): Outcome | undefined {
  let [entries, messages, locks] = [0, 0, 0];
  for (const { name, entry } of changes) {
    const before = at.state.get(name);
    messages += messagesIn(at, entry) - messagesIn(at, before);
    // Shared leases count in bytes only; but to take one adds.
    if ('kcslgtwj'.includes(name[0]!)) entries += Number(entry !== undefined) - Number(before !== undefined);
    const lease = (entry as LockEntry | undefined)?.lease;
    if (/^[lh]/.test(name) && lease !== undefined && lease.fence !== (before as LockEntry | undefined)?.lease?.fence)
      locks += 1;
  }
  // To take a lock adds, also where the lock is remembered.
  return full(at, batch.account, quota, { entries: Math.max(entries + messages, locks), messages });
}

/** The same for a batch that would wait for its lock. */
export function lockRefusedByQuota(at: Moment, batch: Batch, quota: Quota): Outcome | undefined {
  return full(at, batch.account, quota, { entries: 1, messages: 0 });
}

function full(at: Moment, account: string, quota: Quota, growth: Quota): Outcome | undefined {
  const now = used(at, account);
  for (const name of ['entries', 'messages'] as const) {
    if (growth[name] <= 0 || quota[name] === 0 || now[name] < quota[name]) continue;
    return refuse('quota_exceeded', { Quota: name, Limit: quota[name], Used: now[name] });
  }
  return undefined;
}
