/**
 * Operations on keys as Redis knows them (`ops`): values are bytes, each operation sees what those before it did, and
 * none makes the batch fail. What depends on how much time is left (`ttl`, and which of two ends is later) can only be
 * predicted, where time is exact.
 */
import { Json, Span } from './expected.ts';
import { keyAt } from './kv.ts';
import type { Performed, Turn } from './moment.ts';
import { nameOf, type KvEntry } from './state.ts';
import { unreachable } from '../../../src/shared/assert.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import type { SetCondition, SetTill, StringOp } from '../../../src/protocol/operations/string-op.ts';

const valueBytesMax = 1024 * 1024;
const endMax = 2 ** 48 - 1;

export const stringOp = {
  perform(turn: Turn, { ops }: Batch): Performed {
    return { members: { Ops: ops?.map((op) => result(turn, op)) } };
  },
};

type Found = KvEntry | undefined;

function result(turn: Turn, op: StringOp): string {
  const name = nameOf('kv', turn.account, op.key);
  const before = keyAt(turn.at, turn.account, op.key);
  const now: Found = turn.changes.has(name) ? (turn.changes.get(name) as Found) : before;
  const gone = (): void => {
    if (before === undefined) turn.changes.delete(name);
    else turn.changes.set(name, undefined);
  };
  const write = (text: string, till: KvEntry['till'], says: string): string => {
    if (Buffer.byteLength(text) > valueBytesMax) return '!too_large';
    const ends = till === undefined ? {} : { till };
    turn.changes.set(name, { version: turn.at.rev, value: new Json(text), ...ends });
    return says;
  };
  const writeBytes = (bytes: Buffer, says = `:${bytes.length}`): string => write(jsonOf(bytes), now?.till, says);
  const old = now === undefined ? Buffer.alloc(0) : bytesOf(now.value.text);
  switch (op.kind) {
    case 'get':
      return now?.value.text ?? '_';
    case 'set': {
      const was = op.old === true ? (now?.value.text ?? '_') : undefined;
      if (!meets(op.condition, now)) return was ?? '_';
      const till = endOf(turn, op.till, now);
      if (till !== undefined && till.lo > endMax) return '!bad_till';
      const said = write(op.value, till, was ?? '');
      if (!said.startsWith('!') && till !== undefined && till.hi <= turn.at.now.lo) gone();
      return said;
    }
    case 'delete': {
      if (now === undefined || !meets(op.condition, now)) return op.old === true ? '_' : ':0';
      gone();
      return op.old === true ? now.value.text : ':1';
    }
    case 'expire': {
      if (now === undefined || !meets(op.condition, now)) return ':0';
      const till = op.till.kind === 'later' ? now.till?.plus(op.till.ms) : endOf(turn, op.till, now)!;
      if (till === undefined) return ':0';
      if (till.lo > endMax) return '!bad_till';
      const [a, b] = [now.till?.lo ?? Infinity, till.lo];
      const may = {
        nx: a === Infinity,
        xx: a < Infinity,
        gt: b > a,
        lt: b < a,
        xxlt: a < Infinity && b < a,
        always: true,
      };
      if (!may[op.when ?? 'always']) return ':0';
      if (till.hi > turn.at.now.lo) return write(now.value.text, till, ':1');
      gone();
      return ':1';
    }
    case 'persist':
      return now?.till === undefined ? ':0' : write(now.value.text, undefined, ':1');
    case 'add': {
      const text = now === undefined ? '0' : old.toString('latin1');
      if (!/^(0|-?[1-9][0-9]*)$/.test(text) || BigInt.asIntN(64, BigInt(text)) !== BigInt(text)) return '!not_integer';
      const sum = BigInt(text) + BigInt(op.n);
      const most = BigInt(Number.MAX_SAFE_INTEGER);
      if ([BigInt(text), sum].some((n) => n > most || n < -most)) return '!overflow';
      return write(asBefore(now, `${sum}`), now?.till, `:${sum}`);
    }
    case 'addFloat': {
      const text = now === undefined ? '0' : old.toString('latin1');
      if (!/^[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)(e[-+]?[0-9]+)?$/i.test(text) || !Number.isFinite(Number(text)))
        return '!not_float';
      const sum = Number(text) + op.n;
      if (!Number.isFinite(sum)) return '!not_finite';
      const whole = Number.isInteger(sum) && !Number.isSafeInteger(sum);
      const json = asBefore(whole ? undefined : now, decimals(sum));
      return write(json, now?.till, json);
    }
    case 'append': {
      const more = bytesOf(op.value);
      if (now === undefined) return write(op.value, undefined, `:${more.length}`);
      return more.length === 0 ? `:${old.length}` : writeBytes(Buffer.concat([old, more]));
    }
    case 'setRange': {
      const piece = bytesOf(op.value);
      if (piece.length === 0) return `:${old.length}`;
      if (op.offset + piece.length > valueBytesMax) return '!too_large';
      const bytes = Buffer.alloc(Math.max(old.length, op.offset + piece.length));
      old.copy(bytes);
      piece.copy(bytes, op.offset);
      return writeBytes(bytes);
    }
    case 'range': {
      const from = op.start < 0 ? Math.max(0, old.length + op.start) : op.start;
      const to = op.end < 0 ? old.length + op.end : op.end;
      return to < from ? '""' : jsonOf(old.subarray(from, to + 1));
    }
    case 'length':
      return `:${old.length}`;
    case 'exists':
      return now === undefined ? ':0' : ':1';
    case 'ttl':
      if (now === undefined) return ':-2';
      if (now.till === undefined) return ':-1';
      return `:${now.till.lo - (op.at === true ? 0 : turn.at.now.lo)}`;
    case 'version':
      return `:${before?.version ?? 0}`;
    case 'getBit':
      return `:${bitAt(old, op.offset)}`;
    case 'setBit': {
      const byte = Math.floor(op.offset / 8);
      const bit = bitAt(old, op.offset);
      if (byte < old.length && bit === op.bit) return `:${bit}`;
      if (byte >= valueBytesMax) return '!too_large';
      const bytes = Buffer.alloc(Math.max(old.length, byte + 1));
      old.copy(bytes);
      if (bit !== op.bit) bytes[byte]! ^= 0x80 >> (op.offset % 8);
      return writeBytes(bytes, `:${bit}`);
    }
    default:
      return unreachable(op);
  }
}

function meets(condition: SetCondition | undefined, now: Found): boolean {
  if (condition === undefined) return true;
  if (!('value' in condition)) return (now === undefined) === (condition.kind === 'nx');
  const equal = now !== undefined && bytesOf(now.value.text).equals(bytesOf(condition.value));
  return equal === (condition.kind === 'eq');
}

function endOf({ at }: Turn, till: SetTill | undefined, now: Found): KvEntry['till'] {
  if (till === undefined || !('ms' in till)) return till?.kind === 'keep' ? now?.till : undefined;
  return till.kind === 'at' ? new Span(till.ms, till.ms) : at.now.plus(till.ms);
}

/** Bytes as a JSON string if they are text, else as base64. */
function jsonOf(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes)
    ? JSON.stringify(text)
    : JSON.stringify({ $bytes: bytes.toString('base64') });
}

function bytesOf(json: string): Buffer {
  const value = JSON.parse(json) as unknown;
  if (typeof value === 'string') return Buffer.from(value, 'utf8');
  const members = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  const [name, text] = (members[0] ?? []) as unknown[];
  const isBytes = name === '$bytes' && members.length === 1 && typeof text === 'string';
  if (isBytes && Buffer.from(text, 'base64').toString('base64') === text) return Buffer.from(text, 'base64');
  return Buffer.from(json, 'utf8');
}

/** A number that stood as JSON stays one. */
function asBefore(now: Found, text: string): string {
  return typeof now?.value.value === 'number' ? text : `"${text}"`;
}

function decimals(n: number): string {
  if (Number.isInteger(n)) return `${BigInt(n)}`;
  if (!/e/.test(`${n}`)) return `${n}`;
  const text = n.toFixed(17).replace(/0+$/, '').replace(/[.]$/, '');
  return text === '-0' ? '0' : text;
}

function bitAt(bytes: Buffer, offset: number): number {
  return ((bytes[Math.floor(offset / 8)] ?? 0) >> (7 - (offset % 8))) & 1;
}
