/** Lines of an export about what an account remembers (protocol/operations/account-memories.ts). */
import type { Entry } from '../../../protocol/entries.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import { kinds, type Effect, type Kind } from '../../../protocol/record.ts';
import { pointedIdOf } from '../../../protocol/stored-reply-pointer.ts';
import { quoted } from '../../../shared/text.ts';
import { decodeLockRecord } from '../state/lock-record.ts';
import type { ShardState } from '../state/state.ts';
import { readTaken } from './limit.ts';

const names: Partial<Record<Kind, string>> = {
  [kinds.limit]: 'limit',
  [kinds.idempotency]: 'id',
  [kinds.lock]: 'lock',
};

export function isRemembered(kind: Kind): boolean {
  return names[kind] !== undefined;
}

/** The reply that an idempotency id points to, if it is of the same commit. */
export function replyUnder(
  { entries }: ShardState,
  account: AccountId,
  id: string,
  pointer: Entry,
): string | undefined {
  const entry = entries.get(kinds.idempotency, account, id);
  return entry?.rev === pointer.rev ? entry.value : undefined;
}

/** @param replyOf what is stored under another id of the same commit */
export function rememberedLine(
  { kind, key, value, till }: Effect,
  replyOf: (id: string) => string | undefined,
): string | undefined {
  const head = `{"Kind":"${names[kind]}","Key":${quoted(key)}`;
  if (value === undefined) return `${head},"Deleted":true}`;
  if (kind === kinds.lock) return lockLine(head, value, till);
  if (kind === kinds.limit) {
    const [at, taken] = readTaken(value);
    return `${head},"AtMs":${at},"TakenMicros":${taken}}`;
  }
  const pointed = pointedIdOf(value);
  const stored = pointed === undefined ? value : replyOf(pointed);
  // Another id may have taken the reply's place, and the first servers stored texts, which end within a day.
  if (stored?.startsWith('[') !== true || pointedIdOf(stored) !== undefined) return undefined;
  return `${head},"TillMs":${till},"Stored":${stored}}`;
}

/** Who holds it as one of several is not told: of those only the last end is remembered with the lock. */
function lockLine(head: string, value: string, till: number): string | undefined {
  const record = decodeLockRecord(value);
  const [lease] = record.mode === 'exclusive' ? record.holders : [];
  const ended = record.ended.map(({ fence, why, at, owner, meta, reason, shared }) => {
    const said = reason === undefined ? '' : `,"Reason":${quoted(reason)}`;
    const of = shared === undefined ? '' : ',"Shared":true';
    return `{"Lock":${fence},"Why":"${why}","AtMs":${at}${ofWhom({ owner, meta })}${said}${of}}`;
  });
  const held = lease === undefined ? '' : `,"Held":{"Lock":${lease.fence},"TillMs":${till}${ofWhom(lease)}}`;
  const isFree = record.mode === 'exclusive' ? lease === undefined : record.count === 0;
  const until = isFree && till !== 0 ? `,"TillMs":${till}` : '';
  return `${head}${until}${held},"Ended":[${ended.join(',')}]}`;
}

interface Named {
  readonly owner?: string | undefined;
  readonly meta?: string | undefined;
}

function ofWhom({ owner, meta }: Named): string {
  return `${owner === undefined ? '' : `,"Owner":${quoted(owner)}`}${meta === undefined ? '' : `,"Meta":${meta}`}`;
}
