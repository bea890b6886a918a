/**
 * Storage keys: the one ordered space in which memtable and checkpoint keep a shard's content.
 *
 *   entry      [account length u8][account][kind u8][key as UTF-8]
 *   deadline   [0]['e'][till, 6 bytes big-endian][storage key of the entry]
 *   due        [0]['d'][till, 6 bytes big-endian][storage key of a task's state]
 *   meta       [0]['m'][name], for a count [0]['m']['c'][account length u8][account][kind u8][part]
 *
 * A storage key is a string with one character (0–255) per byte. So JavaScript compares two keys as LMDB does, byte by
 * byte, and a key of ASCII characters is built by concatenation alone. (Plain JavaScript strings would sort a surrogate
 * pair before U+E000–U+FFFF; their UTF-8 sorts after.)
 *
 * The leading account length separates accounts whose names are each other's prefix, and makes "all of one kind of one
 * account" a range. Length 0 is the server's own account: its entries carry a kind letter. The two indexes and
 * the meta records use three letters that are not kinds. An entry ends at its till, and stands in the deadline index; the
 * state of a task does not end then, but falls due, and stands in an index of its own.
 */
import { accountId, type AccountId } from '../protocol/ids.ts';
import { kinds, type Kind } from '../protocol/record.ts';
import { assert } from '../shared/assert.ts';
import { deadlineHeaderBytes } from '../shared/limits.ts';

export type StorageKey = string;

export interface Address {
  readonly kind: Kind;
  readonly account: AccountId;
  readonly key: string;
}

/** All keys of the index of tasks start with it. It stands right before the deadline index. */
export const duePrefix: StorageKey = '\0d';
/** All deadline keys start with it. */
export const deadlinePrefix: StorageKey = '\0e';
/** After every deadline key. */
export const deadlineEnd: StorageKey = '\0f';
/** All meta keys start with it. */
export const metaPrefix: StorageKey = '\0m';
/** After every meta key. */
export const metaEnd: StorageKey = '\0n';
export const watermarkKey: StorageKey = `${metaPrefix}watermark`;
/** All keys of counts start with it. */
export const countPrefix: StorageKey = `${metaPrefix}c`;
/** After every key of a count. */
export const countEnd: StorageKey = `${metaPrefix}d`;
/** The ranges that hold all entries, in order: before, between and after the keys of both indexes and the meta keys. */
export const entryRanges: readonly (readonly [start: StorageKey, end: StorageKey])[] = [
  ['\0', duePrefix],
  [deadlineEnd, metaPrefix],
  [metaEnd, '\xff'],
];

assert(deadlinePrefix.length + 6 === deadlineHeaderBytes, 'a deadline key begins with two letters and a u48');

const kindByLetter = new Map<number, Kind>(Object.values(kinds).map((kind) => [kind, kind]));
for (const kind of Object.values<number>(kinds)) {
  assert(
    kind !== 0x64 && kind !== 0x65 && kind !== 0x6d,
    'no kind of entry has the letter of an index or of meta records',
  );
}

/**
 * @throws InvariantError if the key has lone surrogates: two such keys could become one. The front end refuses them.
 */
export function storageKey(kind: Kind, account: AccountId, key: string): StorageKey {
  return String.fromCharCode(account.length) + account + String.fromCharCode(kind) + toByteString(key);
}

/** Inverse of `storageKey`. Not for deadline and meta keys. */
export function parseStorageKey(storageKey: StorageKey): Address {
  const accountEnd = 1 + storageKey.charCodeAt(0);
  const kind = kindByLetter.get(storageKey.charCodeAt(accountEnd));
  assert(kind !== undefined, 'a storage key holds an account and a kind');
  return {
    kind,
    account: accountId(storageKey.slice(1, accountEnd)),
    key: fromByteString(storageKey.slice(accountEnd + 1)),
  };
}

/** The letter of its kind, or of what else it is: a deadline, a meta record. */
export function letterOf(storageKey: StorageKey): number {
  return storageKey.charCodeAt(1 + storageKey.charCodeAt(0));
}

/** The entry's key in a storage key of an account whose name has `accountChars` characters. */
export function entryKeyOf(storageKey: StorageKey, accountChars: number): string {
  return fromByteString(storageKey.slice(accountChars + 2));
}

/** Returns the key of an entry in the index that it stands in. @param till milliseconds, 0 < till < 2^48 */
export function deadlineKey(till: number, storageKey: StorageKey): StorageKey {
  assert(till > 0 && till < 2 ** 48, 'a deadline fits into 48 bits');
  const high = Math.floor(till / 0x1000000);
  const low = till % 0x1000000;
  const bytes = String.fromCharCode(
    high >>> 16,
    (high >>> 8) & 0xff,
    high & 0xff,
    low >>> 16,
    (low >>> 8) & 0xff,
    low & 0xff,
  );
  return (isTaskState(storageKey) ? duePrefix : deadlinePrefix) + bytes + storageKey;
}

/** Whether the entry falls due at its till, and does not end then. */
export function isTaskState(storageKey: StorageKey): boolean {
  return storageKey.charCodeAt(1 + storageKey.charCodeAt(0)) === kinds.taskState;
}

/** Of either index. */
export function isDeadlineKey(key: StorageKey): boolean {
  return key.startsWith(deadlinePrefix) || key.startsWith(duePrefix);
}

export function isMetaKey(key: StorageKey): boolean {
  return key.startsWith(metaPrefix);
}

/** The key of the row that says how many entries of a kind an account has. */
export function countKey(account: AccountId, kind: Kind, part: string): StorageKey {
  return countPrefix + storageKey(kind, account, part);
}

/** Inverse of `countKey`. */
export function parseCountKey(key: StorageKey): { account: AccountId; kind: Kind; part: string } {
  const { account, kind, key: part } = parseStorageKey(key.slice(countPrefix.length));
  return { account, kind, part };
}

export function tillOf(deadlineKey: StorageKey): number {
  let till = 0;
  for (let at = deadlinePrefix.length; at < deadlineHeaderBytes; at += 1)
    till = till * 256 + deadlineKey.charCodeAt(at);
  return till;
}

/** The storage key of the entry that the deadline belongs to. */
export function deadlineOwner(deadlineKey: StorageKey): StorageKey {
  return deadlineKey.slice(deadlineHeaderBytes);
}

/** The lowest key after all keys that start with `prefix`. */
export function prefixEnd(prefix: StorageKey): StorageKey {
  let last = prefix.length - 1;
  while (last >= 0 && prefix.charCodeAt(last) === 0xff) last -= 1;
  assert(last >= 0, 'a prefix has an end');
  return prefix.slice(0, last) + String.fromCharCode(prefix.charCodeAt(last) + 1);
}

/** The lowest key after this one. */
export function successor(key: StorageKey): StorageKey {
  return `${key}\0`;
}

export function toByteString(text: string): string {
  if (isAscii(text)) return text;
  assert(text.isWellFormed(), 'a key is well-formed Unicode');
  return Buffer.from(text, 'utf8').toString('latin1');
}

function fromByteString(bytes: string): string {
  return isAscii(bytes) ? bytes : Buffer.from(bytes, 'latin1').toString('utf8');
}

// Keys are short: a loop is faster than any call into native code.
function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) if (text.charCodeAt(at) > 0x7f) return false;
  return true;
}
