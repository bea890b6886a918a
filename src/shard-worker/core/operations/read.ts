/** Reads that are not batches: lists, one lock, and registering for the next change of a key. */
import { nameOf } from '../../../protocol/footprint.ts';
import type { KvList, LockInspect, LockList, WatchKey } from '../../../protocol/commands.ts';
import { keyEventBody } from '../../../protocol/key-event-body.ts';
import type { Page, Row } from '../../../protocol/page.ts';
import { kinds } from '../../../protocol/record.ts';
import { failureReply, type Reply } from '../../../protocol/replies.ts';
import { pageBytesMax, pageScanMax } from '../../../shared/limits.ts';
import type { LocatedEntry } from '../../../protocol/entries.ts';
import { viewLock, type LockRecord } from '../state/lease.ts';
import { holderInfo, lockLost } from './lock-failures.ts';
import { leaseTill, viewDurableLock } from './lock.ts';
import { readRevision, type ShardState } from '../state/state.ts';
import { queueLength } from './waiting.ts';

export function listPage(state: ShardState, command: KvList | LockList, now: number): Page {
  const kind = command.kind === 'kv.list' ? kinds.kv : kinds.lock;
  const render = command.kind === 'kv.list' ? kvRow : lockRow;
  const rows: Row[] = [];
  let bytes = 0;
  let scanned = 0;
  let last: string | undefined;
  for (const located of state.entries.range(kind, command.account, command.prefix, command.after)) {
    // Only now is it known that there is more.
    if (last !== undefined && (rows.length >= command.limit || bytes >= pageBytesMax || scanned >= pageScanMax)) {
      return { rows, after: last };
    }
    scanned += 1;
    last = located.key;
    const body = render(state, located, now);
    if (body === undefined) continue;
    bytes += body.length;
    rows.push({ key: located.key, body });
  }
  return { rows };
}

export function inspectLock(state: ShardState, command: LockInspect, now: number): Reply {
  const { account, id, fence } = command;
  const rev = readRevision(state);
  const view = viewDurableLock(state, account, id, now);
  if (fence !== undefined && view.lease?.handle !== fence) {
    const ended = view.ended.find((lease) => lease.handle === fence);
    return failureReply(rev, lockLost('guard with', id, { id, handle: fence }, view, ended));
  }
  const holder = holderInfo(view);
  const Waiters = queueLength(state, 'lock', account, id);
  return { rev, status: 200, body: JSON.stringify({ Locked: holder !== undefined, ...holder, Waiters, Rev: rev }) };
}

/** The current value if the version differs; otherwise status 0, and the front end hears of the next change. */
export function watchKey(state: ShardState, router: number, command: WatchKey, now: number): Reply {
  const { account, key, version } = command;
  const rev = readRevision(state);
  const stored = state.entries.get(kinds.kv, account, key);
  const entry = stored !== undefined && stored.till !== 0 && stored.till <= now ? undefined : stored;
  const current = entry?.rev ?? 0;
  if (current !== version) return { rev, status: 200, body: keyEventBody(key, current, entry?.value, rev) };
  const name = nameOf(account, key);
  const routers = state.watched.get(name);
  if (routers === undefined) state.watched.set(name, new Set([router]));
  else routers.add(router);
  return { rev, status: 0, body: '' };
}

function kvRow(_state: ShardState, { key, entry }: LocatedEntry, now: number): string | undefined {
  if (entry.till !== 0 && entry.till <= now) return undefined;
  const till = entry.till === 0 ? '' : `,"TillMs":${entry.till}`;
  return `{"Key":${JSON.stringify(key)},"Version":${entry.rev},"Value":${entry.value}${till}}`;
}

function lockRow(state: ShardState, { account, key, entry }: LocatedEntry, now: number): string | undefined {
  const record = JSON.parse(entry.value) as LockRecord;
  const holder = holderInfo(viewLock(record, leaseTill(state.boot, entry, record), now));
  if (holder === undefined) return undefined;
  return JSON.stringify({ LockID: key, ...holder, Waiters: queueLength(state, 'lock', account, key) });
}
