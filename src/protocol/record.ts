/**
 * Records: the effects of one commit, as the journal stores them.
 *
 * A record holds effects (key → new content), never the command, so that replay needs neither a clock nor the code
 * that made the decision. All effects of a record belong to one account and share its revision.
 *
 *   record  = length u32 | revision u48 | account length u8 | account | effects
 *   effect  = kind u8 | flags u8 | key length u16 | key utf-8 | [ till u48 | value length u32 | value utf-8 ]
 *
 * Integers are little-endian. `length` counts the whole record with itself. Flags: 1 = put (till and value follow;
 * without it the effect is a deletion), 2 = the deletion is an expiry. `till` is wall-clock milliseconds, 0 = never.
 * The value is JSON text. The checksum of the frame is verified before a record is read, so a record that does not
 * decode is a bug or a forged file: it throws. A kind that is not known is neither: a newer server has written it.
 */
import { assert } from '../shared/assert.ts';
import { NewerData } from '../shared/newer-data.ts';
import { accountId, revision, type AccountId, type Revision } from './ids.ts';

/** Each kind of entry has a letter, which is part of every storage key and of every effect, and a number (readers.ts). */
export const kinds = {
  kv: 0x6b, // k
  counter: 0x63, // c
  sequence: 0x73, // s
  lock: 0x6c, // l
  idempotency: 0x69, // i
  boot: 0x62, // b
  limit: 0x67, // g
  queue: 0x71, // q
  share: 0x68, // h: leases of locks that several hold
  audit: 0x61, // a
  script: 0x6a, // j
  deletion: 0x78, // x: accounts that are being deleted
  task: 0x74, // t: what a task is to do, or how it ended
  taskState: 0x75, // u: when a task falls due; of tasks that have not ended
  taskSetting: 0x77, // w: the secret of webhooks, and flows
} as const;

export type Kind = (typeof kinds)[keyof typeof kinds];

export interface Effect {
  readonly kind: Kind;
  readonly key: string;
  /** JSON text; absent: the entry is deleted. */
  readonly value?: string;
  /** Wall-clock milliseconds at which the entry ends; 0 = never. */
  readonly till: number;
  /** The deletion happens because `till` has passed. */
  readonly expired?: true;
}

export interface CommitRecord {
  readonly rev: Revision;
  readonly account: AccountId;
  readonly effects: readonly Effect[];
}

export const recordHeaderBytes = 11;
const effectHeaderBytes = 4;
const putHeaderBytes = 10;
const isKnown = new Uint8Array(256);
for (const letter of Object.values(kinds)) isKnown[letter] = 1;
const shortTextMax = 32;
const flagPut = 1;
const flagExpired = 2;

/** Space for what a commit fills in: a fence in a lock record, a revision in a key. */
const openBytesMax = 32;

/** Returns a bound of the bytes that an effect takes in a record, without looking at each character. */
export function effectBytesMax({ key, value }: Pick<Effect, 'key' | 'value'>): number {
  const text = key.length + (value === undefined ? 0 : value.length);
  return effectHeaderBytes + putHeaderBytes + openBytesMax + 3 * text;
}

/** As `effectBytesMax`, but counts the bytes of the texts. */
export function effectBytes({ key, value }: Pick<Effect, 'key' | 'value'>): number {
  const text = Buffer.byteLength(key) + (value === undefined ? 0 : Buffer.byteLength(value));
  return effectHeaderBytes + putHeaderBytes + openBytesMax + text;
}

/** Appends records to one growing buffer, so that a turn of the shard hands the journal a single piece of memory. */
export class RecordWriter {
  #buffer = Buffer.allocUnsafeSlow(16 * 1024);
  #length = 0;
  #count = 0;
  #first = 0;
  #last = 0;

  get count(): number {
    return this.#count;
  }

  get byteLength(): number {
    return this.#length;
  }

  append(record: CommitRecord): void {
    const start = this.#length;
    let at = this.#reserve(start, recordHeaderBytes + record.account.length);
    at += 4;
    at = writeUint48(this.#buffer, at, record.rev);
    this.#buffer[at] = record.account.length;
    at += 1;
    at += writeText(this.#buffer, at, record.account);
    for (const effect of record.effects) at = this.#effect(at, effect);
    this.#buffer.writeUInt32LE(at - start, start);
    this.#length = at;
    if (this.#count === 0) this.#first = record.rev;
    this.#last = record.rev;
    this.#count += 1;
  }

  /**
   * Returns everything appended since the last call, and starts anew.
   * `bytes` is a view of the writer's own buffer, valid until the next `append`.
   */
  take(): RecordChunk {
    const chunk: RecordChunk = {
      first: revision(this.#first),
      last: revision(this.#last),
      count: this.#count,
      bytes: this.#buffer.subarray(0, this.#length),
    };
    this.#length = 0;
    this.#count = 0;
    return chunk;
  }

  #effect(start: number, effect: Effect): number {
    const value = effect.value;
    // A UTF-16 code unit becomes at most three bytes.
    const keyBytesMax = effect.key.length * 3;
    const valueBytesMax = value === undefined ? 0 : value.length * 3;
    let at = this.#reserve(start, effectHeaderBytes + keyBytesMax + putHeaderBytes + valueBytesMax);
    const buffer = this.#buffer;
    buffer[at] = effect.kind;
    buffer[at + 1] = (value === undefined ? 0 : flagPut) | (effect.expired ? flagExpired : 0);
    const keyBytes = writeText(buffer, at + effectHeaderBytes, effect.key);
    buffer.writeUInt16LE(keyBytes, at + 2);
    at += effectHeaderBytes + keyBytes;
    if (value === undefined) return at;
    writeUint48(buffer, at, effect.till);
    const valueBytes = buffer.write(value, at + putHeaderBytes, 'utf8');
    buffer.writeUInt32LE(valueBytes, at + 6);
    return at + putHeaderBytes + valueBytes;
  }

  #reserve(at: number, bytes: number): number {
    const needed = at + bytes;
    if (needed > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2));
      this.#buffer.copy(grown, 0, 0, at);
      this.#buffer = grown;
    }
    return at;
  }
}

/** @returns the offset after it */
function writeUint48(buffer: Buffer, at: number, value: number): number {
  const low = value % 0x1000000;
  const high = (value - low) / 0x1000000;
  buffer[at] = low;
  buffer[at + 1] = low >>> 8;
  buffer[at + 2] = low >>> 16;
  buffer[at + 3] = high;
  buffer[at + 4] = high >>> 8;
  buffer[at + 5] = high >>> 16;
  return at + 6;
}

/** Writes a text. A loop is faster than a native call for short ASCII, which accounts and most keys are. */
function writeText(buffer: Buffer, at: number, text: string): number {
  if (text.length > shortTextMax) return buffer.write(text, at, 'utf8');
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return buffer.write(text, at, 'utf8');
    buffer[at + i] = code;
  }
  return text.length;
}

/** Several records in ascending revision order, one after the other. */
export interface RecordChunk {
  readonly first: Revision;
  readonly last: Revision;
  readonly count: number;
  readonly bytes: Uint8Array;
}

/** Returns the revision and length of the record at `at`, without decoding it. */
export function peekRecord(buffer: Buffer, at: number): { rev: Revision; length: number } {
  assert(at + recordHeaderBytes <= buffer.length, 'a record fits into its frame');
  const length = buffer.readUInt32LE(at);
  assert(length >= recordHeaderBytes && at + length <= buffer.length, 'a record fits into its frame');
  return { rev: revision(buffer.readUIntLE(at + 4, 6)), length };
}

/** Returns the account of the record at `at`. */
export function peekAccount(buffer: Buffer, at: number): AccountId {
  const length = buffer.readUInt8(at + 10);
  return accountId(buffer.toString('latin1', at + recordHeaderBytes, at + recordHeaderBytes + length));
}

/**
 * @param wanted by kind: 0 for effects that are left out
 * @throws NewerData for a kind that is not known, InvariantError when the bytes are no record
 */
export function decodeRecord(buffer: Buffer, start: number, wanted?: Uint8Array): CommitRecord {
  const { rev, length } = peekRecord(buffer, start);
  const end = start + length;
  const account = peekAccount(buffer, start);
  let at = start + recordHeaderBytes + buffer.readUInt8(start + recordHeaderBytes - 1);
  assert(at <= end, 'an account fits into its record');
  const effects: Effect[] = [];
  while (at < end) {
    assert(at + effectHeaderBytes <= end, 'an effect fits into its record');
    const kind = buffer.readUInt8(at) as Kind;
    if (isKnown[kind] === 0) throw unknownKind(kind, rev);
    const flags = buffer.readUInt8(at + 1);
    const keyBytes = buffer.readUInt16LE(at + 2);
    at += effectHeaderBytes;
    assert(at + keyBytes <= end, 'a key fits into its record');
    const isWanted = wanted === undefined || wanted[kind] !== 0;
    const key = isWanted ? buffer.toString('utf8', at, at + keyBytes) : '';
    at += keyBytes;
    if ((flags & flagPut) === 0) {
      if (!isWanted) continue;
      effects.push((flags & flagExpired) === 0 ? { kind, key, till: 0 } : { kind, key, till: 0, expired: true });
      continue;
    }
    assert(at + putHeaderBytes <= end, 'an effect fits into its record');
    const till = buffer.readUIntLE(at, 6);
    const valueBytes = buffer.readUInt32LE(at + 6);
    at += putHeaderBytes;
    assert(at + valueBytes <= end, 'a value fits into its record');
    if (isWanted) effects.push({ kind, key, till, value: buffer.toString('utf8', at, at + valueBytes) });
    at += valueBytes;
  }
  return { rev, account, effects };
}

function unknownKind(letter: number, rev: Revision): NewerData {
  return new NewerData(
    `The commit ${rev} has an entry of the kind ${JSON.stringify(String.fromCharCode(letter))}, which this server does not ` +
      'know: a newer server has written it. Nothing was lost. Start the version of the server that wrote it, or a later one.',
  );
}
