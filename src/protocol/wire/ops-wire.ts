/**
 * `ops` of a batch on the wire to a shard: for each its code, its key, and its operands. Nothing is left out, so each
 * code has a fixed number of pieces. A plain `set` has a code of its own, because most operations are one.
 *
 *   get, persist, length, exists, version    key                setBit        key, offset, bit
 *   plain set, append                        key, value         setRange      key, offset, value
 *   add, addFloat                            key, n             range         key, start, end
 *   ttl                                      key, at            getBit        key, offset
 *   set       key, value, condition, its value, till, its ms, old
 *   delete    key, condition, its value, old
 *   expire    key, till, its ms, when, condition, its value
 *
 * Conditions, tills and `when` are indices of the lists below; what has no value has '' or 0; `at` and `old` are 0 or 1.
 */
import { unreachable } from '../../shared/assert.ts';
import type {
  ExpireCondition,
  ExpireTill,
  SetCondition,
  SetTill,
  StringOp,
  ValueCondition,
} from '../operations/string-op.ts';
import type { Pieces, WireReader } from './wire-reader.ts';

type Op<Kind extends StringOp['kind']> = Extract<StringOp, { kind: Kind }>;

const codes = {
  plainSet: 0,
  set: 1,
  get: 2,
  delete: 3,
  expire: 4,
  persist: 5,
  add: 6,
  addFloat: 7,
  append: 8,
  setRange: 9,
  range: 10,
  length: 11,
  exists: 12,
  ttl: 13,
  version: 14,
  getBit: 15,
  setBit: 16,
} as const satisfies Record<StringOp['kind'] | 'plainSet', number>;
const kinds = Object.keys(codes) as (keyof typeof codes)[];

const conditions = ['none', 'nx', 'xx', 'eq', 'ne'] as const satisfies readonly (SetCondition['kind'] | 'none')[];
const tills = ['none', 'clear', 'keep', 'in', 'at', 'later'] as const satisfies readonly (
  | SetTill['kind']
  | ExpireTill['kind']
  | 'none'
)[];
const whens = ['none', 'nx', 'xx', 'gt', 'lt', 'xxlt'] as const satisfies readonly (ExpireCondition | 'none')[];

export function putOps(wire: Pieces, ops: readonly StringOp[]): void {
  wire.push(ops.length);
  for (const op of ops) putOp(wire, op);
}

function putOp(wire: Pieces, op: StringOp): void {
  switch (op.kind) {
    case 'set':
      return putSet(wire, op);
    case 'get':
    case 'persist':
    case 'length':
    case 'exists':
    case 'version':
      wire.push(codes[op.kind], op.key);
      return;
    case 'append':
      wire.push(codes.append, op.key, op.value);
      return;
    case 'add':
    case 'addFloat':
      wire.push(codes[op.kind], op.key, op.n);
      return;
    case 'ttl':
      wire.push(codes.ttl, op.key, op.at === true ? 1 : 0);
      return;
    case 'delete':
      wire.push(codes.delete, op.key);
      putCondition(wire, op.condition);
      wire.push(op.old === true ? 1 : 0);
      return;
    case 'expire':
      wire.push(codes.expire, op.key, tills.indexOf(op.till.kind), op.till.ms, whens.indexOf(op.when ?? 'none'));
      putCondition(wire, op.condition);
      return;
    case 'setRange':
      wire.push(codes.setRange, op.key, op.offset, op.value);
      return;
    case 'range':
      wire.push(codes.range, op.key, op.start, op.end);
      return;
    case 'getBit':
      wire.push(codes.getBit, op.key, op.offset);
      return;
    case 'setBit':
      wire.push(codes.setBit, op.key, op.offset, op.bit);
      return;
    default:
      return unreachable(op);
  }
}

function putSet(wire: Pieces, { key, value, condition, till, old }: Op<'set'>): void {
  if (condition === undefined && till === undefined && old === undefined) {
    wire.push(codes.plainSet, key, value);
    return;
  }
  wire.push(codes.set, key, value);
  putCondition(wire, condition);
  wire.push(tills.indexOf(till?.kind ?? 'none'), till !== undefined && 'ms' in till ? till.ms : 0);
  wire.push(old === true ? 1 : 0);
}

function putCondition(wire: Pieces, condition: SetCondition | undefined): void {
  wire.push(conditions.indexOf(condition?.kind ?? 'none'));
  wire.push(condition !== undefined && 'value' in condition ? condition.value : '');
}

export function takeOp(wire: WireReader): StringOp {
  const kind = kinds[wire.number()]!;
  const key = wire.text();
  switch (kind) {
    case 'plainSet':
      return { kind: 'set', key, value: wire.text() };
    case 'set':
      return takeSet(wire, key);
    case 'get':
    case 'persist':
    case 'length':
    case 'exists':
    case 'version':
      return { kind, key };
    case 'append':
      return { kind, key, value: wire.text() };
    case 'add':
    case 'addFloat':
      return { kind, key, n: wire.number() };
    case 'ttl':
      return wire.number() === 1 ? { kind, key, at: true } : { kind, key };
    case 'delete': {
      const condition = takeCondition(wire) as ValueCondition | undefined;
      return { kind, key, ...(condition && { condition }), ...(wire.number() === 1 && { old: true }) };
    }
    case 'expire': {
      const till = takeTill(wire) as ExpireTill;
      const when = whens[wire.number()]!;
      const condition = takeCondition(wire) as ValueCondition | undefined;
      return { kind, key, till, ...(when !== 'none' && { when }), ...(condition && { condition }) };
    }
    case 'setRange':
      return { kind, key, offset: wire.number(), value: wire.text() };
    case 'range':
      return { kind, key, start: wire.number(), end: wire.number() };
    case 'getBit':
      return { kind, key, offset: wire.number() };
    case 'setBit':
      return { kind, key, offset: wire.number(), bit: wire.number() as 0 | 1 };
    default:
      return unreachable(kind);
  }
}

function takeSet(wire: WireReader, key: string): Op<'set'> {
  const value = wire.text();
  const condition = takeCondition(wire);
  const till = takeTill(wire) as SetTill | undefined;
  const old = wire.number() === 1;
  return { kind: 'set', key, value, ...(condition && { condition }), ...(till && { till }), ...(old && { old }) };
}

function takeCondition(wire: WireReader): SetCondition | undefined {
  const kind = conditions[wire.number()]!;
  const value = wire.text();
  if (kind === 'none') return undefined;
  return kind === 'eq' || kind === 'ne' ? { kind, value } : { kind };
}

function takeTill(wire: WireReader): SetTill | ExpireTill | undefined {
  const kind = tills[wire.number()]!;
  const ms = wire.number();
  if (kind === 'none') return undefined;
  return kind === 'clear' || kind === 'keep' ? { kind } : { kind, ms };
}
