/**
 * `ops` of a batch: operations on keys as Redis knows them, see `protocol/operations/string-op.ts`. They read and write
 * the write set of their batch, so each sees what the ones before it did. They never fail the batch, except by too much
 * work: one that cannot be done answers an error, and leaves its key as it is.
 */
import type { Entry } from '../../../protocol/entries.ts';
import { failure } from '../../../protocol/errors.ts';
import {
  resultDone,
  resultNil,
  type ExpireCondition,
  type SetCondition,
  type StringOp,
  type StringOpError,
  type StringOpResult,
  type Till,
} from '../../../protocol/operations/string-op.ts';
import { kinds } from '../../../protocol/record.ts';
import { bytesOfJson, isString, jsonOfBytes, lengthOfJson } from '../../../protocol/string-value.ts';
import { unreachable } from '../../../shared/assert.ts';
import { opsBytesMax, tillMsMax, type Limits } from '../../../shared/limits.ts';
import type { BatchEvaluation } from './batch-evaluation.ts';
import type { SectionBehaviour } from './behaviour.ts';
import { addDouble, addInteger } from './string-numbers.ts';

type Op<Kind extends StringOp['kind']> = Extract<StringOp, { kind: Kind }>;
/** What operations need of the batch that is evaluated. A script that works on a copy of keys has another. */
export type StringOpTarget = Pick<BatchEvaluation, 'now' | 'writeSet' | 'opsBytes' | 'failed' | 'fail' | 'entry'> & {
  readonly state: { readonly limits: Pick<Limits, 'value_bytes_max'> };
};
type Evaluation = StringOpTarget;
/** What a key has now, with what the batch itself has done to it so far. */
type Current = Pick<Entry, 'till'> & { readonly value: string };

export const opsBehaviour: SectionBehaviour<'ops'> = {
  evaluate: evaluateOp,
  members: ({ results }) => `"Ops":${JSON.stringify(results.ops)},`,
};

/** Does one operation on what those before it left. */
export function evaluateOp(evaluation: StringOpTarget, op: StringOp): StringOpResult {
  // Most writes need not know what they replace.
  if (op.kind === 'set') return isBlind(op) ? setBlindly(evaluation, op) : set(evaluation, op);
  const current = currentOf(evaluation, op.key);
  switch (op.kind) {
    case 'get':
      return current?.value ?? resultNil;
    case 'delete':
      return remove(evaluation, op, current);
    case 'expire':
      return expire(evaluation, op, current);
    case 'persist':
      return current === undefined || current.till === 0
        ? no
        : (put(evaluation, op.key, { value: current.value, till: 0 }) ?? yes);
    case 'add':
      return add(evaluation, op, current);
    case 'addFloat':
      return addFloat(evaluation, op, current);
    case 'append':
      return append(evaluation, op, current);
    case 'setRange':
      return setRange(evaluation, op, current);
    case 'range':
      return range(evaluation, op, current);
    case 'length':
      return current === undefined || !spend(evaluation, current.value) ? no : `:${lengthOfJson(current.value)}`;
    case 'exists':
      return current === undefined ? no : yes;
    case 'ttl':
      return ttl(evaluation, op, current);
    case 'version':
      return `:${evaluation.entry(kinds.kv, op.key)?.rev ?? 0}`;
    case 'getBit':
      return current === undefined || !spend(evaluation, current.value)
        ? no
        : `:${bitOf(bytesOfJson(current.value), op.offset)}`;
    case 'setBit':
      return setBit(evaluation, op, current);
    default:
      return unreachable(op);
  }
}

const yes = ':1';
const no = ':0';

function currentOf(evaluation: Evaluation, key: string): Current | undefined {
  const pending = evaluation.writeSet.find(kinds.kv, key);
  if (pending === undefined) return evaluation.entry(kinds.kv, key);
  return pending.value === undefined ? undefined : (pending as Current);
}

/** Writes the key. @returns the error, if the value is too large */
function put({ writeSet, state }: Evaluation, key: string, { value, till }: Current): StringOpResult | undefined {
  const most = state.limits.value_bytes_max;
  if (value.length * 3 > most && Buffer.byteLength(value) > most) return errorOf('too_large');
  writeSet.put({ kind: kinds.kv, key, till, value });
  return undefined;
}

/** Undoes what the batch has written, and deletes what was there before it. */
function erase(evaluation: Evaluation, key: string): void {
  evaluation.writeSet.remove(kinds.kv, key);
  if (evaluation.entry(kinds.kv, key) !== undefined) evaluation.writeSet.put({ kind: kinds.kv, key, till: 0 });
}

function errorOf(code: StringOpError): StringOpResult {
  return `!${code}`;
}

/**
 * Counts the values that the operations of this batch take apart or put together. A batch that goes on too long fails:
 * the shard does nothing else meanwhile.
 */
function spend(evaluation: Evaluation, ...values: readonly string[]): boolean {
  for (const { length } of values) evaluation.opsBytes += length;
  if (evaluation.opsBytes <= opsBytesMax) return true;
  const message = `This batch takes apart and puts together values of more than ${opsBytesMax} bytes in all; expected fewer operations on large values at a time.`;
  if (evaluation.failed.length === 0) evaluation.fail(failure('too_large', message));
  return false;
}

function isBlind({ condition, till, old }: Op<'set'>): boolean {
  return condition === undefined && old === undefined && till?.kind !== 'keep';
}

function set(evaluation: Evaluation, op: Op<'set'>): StringOpResult {
  const { condition, till, old } = op;
  const current = currentOf(evaluation, op.key);
  const before = old === true ? (current?.value ?? resultNil) : undefined;
  if (condition !== undefined && !holds(evaluation, condition, current)) return before ?? resultNil;
  const kept = till?.kind === 'keep' ? (current?.till ?? 0) : undefined;
  const result = setBlindly(evaluation, op, kept);
  return result === resultDone ? (before ?? resultDone) : result;
}

/** @param kept the end of its time that the key keeps */
function setBlindly(evaluation: Evaluation, { key, value, till: ends }: Op<'set'>, kept = 0): StringOpResult {
  const till = ends !== undefined && 'ms' in ends ? endsAt(evaluation, ends) : kept;
  if (till > tillMsMax) return errorOf('bad_till');
  const refused = put(evaluation, key, { value, till });
  if (refused !== undefined) return refused;
  if (till !== 0 && till <= evaluation.now) erase(evaluation, key);
  return resultDone;
}

function remove(evaluation: Evaluation, op: Op<'delete'>, current: Current | undefined): StringOpResult {
  const { key, condition, old } = op;
  const missed = old === true ? resultNil : no;
  if (current === undefined || (condition !== undefined && !holds(evaluation, condition, current))) return missed;
  erase(evaluation, key);
  return old === true ? current.value : yes;
}

function holds(evaluation: Evaluation, condition: SetCondition, current: Current | undefined): boolean {
  switch (condition.kind) {
    case 'nx':
      return current === undefined;
    case 'xx':
      return current !== undefined;
    case 'eq':
      return current !== undefined && isEqual(evaluation, condition.value, current.value);
    case 'ne':
      return current === undefined || !isEqual(evaluation, condition.value, current.value);
    default:
      return unreachable(condition);
  }
}

/** One value may be written in several ways: 5 and "5", or escapes of other clients. */
function isEqual(evaluation: Evaluation, a: string, b: string): boolean {
  return a === b || (spend(evaluation, a, b) && bytesOfJson(a).equals(bytesOfJson(b)));
}

/** The end as Unix milliseconds. 0 means none, so what is over by then is 1. */
function endsAt({ now }: Evaluation, { kind, ms }: Till): number {
  return Math.max(1, kind === 'in' ? now + ms : ms);
}

function expire(evaluation: Evaluation, op: Op<'expire'>, current: Current | undefined): StringOpResult {
  const { key, till: ends, when, condition } = op;
  if (current === undefined || (condition !== undefined && !holds(evaluation, condition, current))) return no;
  if (ends.kind === 'later' && current.till === 0) return no;
  const till = ends.kind === 'later' ? Math.max(1, current.till + ends.ms) : endsAt(evaluation, ends);
  if (till > tillMsMax) return errorOf('bad_till');
  if (when !== undefined && !mayEnd(when, current.till, till)) return no;
  if (till > evaluation.now) return put(evaluation, key, { value: current.value, till }) ?? yes;
  erase(evaluation, key);
  return yes;
}

/** @param before 0: the key has no time to live, which counts as the latest end */
function mayEnd(when: ExpireCondition, before: number, till: number): boolean {
  switch (when) {
    case 'nx':
      return before === 0;
    case 'xx':
      return before !== 0;
    case 'gt':
      return before !== 0 && till > before;
    case 'lt':
      return before === 0 || till < before;
    case 'xxlt':
      return before !== 0 && till < before;
    default:
      return unreachable(when);
  }
}

function ttl({ now }: Evaluation, { at }: Op<'ttl'>, current: Current | undefined): StringOpResult {
  if (current === undefined) return ':-2';
  if (current.till === 0) return ':-1';
  return `:${at === true ? current.till : current.till - now}`;
}

function add(evaluation: Evaluation, { key, n }: Op<'add'>, current: Current | undefined): StringOpResult {
  const added = addInteger(current?.value, n);
  if (typeof added === 'string') return errorOf(added);
  return put(evaluation, key, { value: added.json, till: current?.till ?? 0 }) ?? `:${added.sum}`;
}

function addFloat(evaluation: Evaluation, { key, n }: Op<'addFloat'>, current: Current | undefined): StringOpResult {
  const added = addDouble(current?.value, n);
  if (typeof added === 'string') return errorOf(added);
  return put(evaluation, key, { value: added.json, till: current?.till ?? 0 }) ?? added.json;
}

function append(evaluation: Evaluation, { key, value }: Op<'append'>, current: Current | undefined): StringOpResult {
  if (!spend(evaluation, value, current?.value ?? '')) return resultNil;
  if (current === undefined) return put(evaluation, key, { value, till: 0 }) ?? `:${lengthOfJson(value)}`;
  const { value: before, till } = current;
  if (value === '""') return `:${lengthOfJson(before)}`;
  if (!isString(before) || !isString(value)) {
    const bytes = Buffer.concat([bytesOfJson(before), bytesOfJson(value)]);
    return putBytes(evaluation, key, { bytes, till });
  }
  const joined = before.slice(0, -1) + value.slice(1);
  return put(evaluation, key, { value: joined, till }) ?? `:${lengthOfJson(before) + lengthOfJson(value)}`;
}

function setRange(evaluation: Evaluation, op: Op<'setRange'>, current: Current | undefined): StringOpResult {
  if (!spend(evaluation, op.value, current?.value ?? '')) return resultNil;
  const value = bytesOfJson(op.value);
  const before = current === undefined ? empty : bytesOfJson(current.value);
  if (value.length === 0) return `:${before.length}`;
  const bytes = grown(evaluation, before, op.offset + value.length);
  if (bytes === undefined) return errorOf('too_large');
  value.copy(bytes, op.offset);
  return putBytes(evaluation, op.key, { bytes, till: current?.till ?? 0 });
}

const empty = Buffer.alloc(0);

/** Copies bytes into a buffer of at least `length`, with zeros at its end; undefined: no value may have so many. */
function grown(evaluation: Evaluation, bytes: Buffer, length: number): Buffer | undefined {
  if (length > evaluation.state.limits.value_bytes_max) return undefined;
  evaluation.opsBytes += length;
  const copy = Buffer.alloc(Math.max(bytes.length, length));
  bytes.copy(copy);
  return copy;
}

/** @returns the new length */
function putBytes(
  evaluation: Evaluation,
  key: string,
  { bytes, till }: { readonly bytes: Buffer; readonly till: number },
): StringOpResult {
  return put(evaluation, key, { value: jsonOfBytes(bytes), till }) ?? `:${bytes.length}`;
}

function range(evaluation: Evaluation, op: Op<'range'>, current: Current | undefined): StringOpResult {
  if (current === undefined || !spend(evaluation, current.value)) return '""';
  const bytes = bytesOfJson(current.value);
  const start = Math.max(0, op.start < 0 ? bytes.length + op.start : op.start);
  const end = Math.min(bytes.length - 1, op.end < 0 ? bytes.length + op.end : op.end);
  return start > end ? '""' : jsonOfBytes(bytes.subarray(start, end + 1));
}

function setBit(evaluation: Evaluation, op: Op<'setBit'>, current: Current | undefined): StringOpResult {
  if (!spend(evaluation, current?.value ?? '')) return resultNil;
  const before = current === undefined ? empty : bytesOfJson(current.value);
  const at = Math.floor(op.offset / 8);
  const old = bitOf(before, op.offset);
  if (at < before.length && old === op.bit) return `:${old}`;
  const bytes = grown(evaluation, before, at + 1);
  if (bytes === undefined) return errorOf('too_large');
  const mask = 0x80 >> (op.offset % 8);
  bytes[at] = op.bit === 1 ? bytes[at]! | mask : bytes[at]! & ~mask;
  const result = putBytes(evaluation, op.key, { bytes, till: current?.till ?? 0 });
  return result.startsWith('!') ? result : `:${old}`;
}

function bitOf(bytes: Buffer, offset: number): 0 | 1 {
  const byte = bytes[Math.floor(offset / 8)] ?? 0;
  return (byte & (0x80 >> (offset % 8))) === 0 ? 0 : 1;
}
