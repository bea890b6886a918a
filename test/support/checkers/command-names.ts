/** What commands touch, by the names of the model. */
import { nameOf, type Kind } from '../contract/state.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';
import { mayWrite } from './string-op-effects.ts';

/** What each list lists. */
export const listed = {
  'kv.list': 'kv',
  'counter.list': 'counter',
  'lock.list': 'lock',
  'script.list': 'script',
} as const;

/** Every name that a command reads or writes; of a list none. */
export function namesOf(call: Command): string[] {
  const { account } = call;
  if (call.kind === 'lock.inspect') return [nameOf('lock', account, call.id)];
  if (call.kind === 'script.get') return [nameOf('script', account, call.id)];
  if (call.kind === 'watch.key') return [nameOf('kv', account, call.key)];
  if (call.kind !== 'batch') return [];
  const names: string[] = [];
  if (call.lock) names.push(nameOf('lock', account, call.lock.id));
  if (call.unlock) names.push(nameOf('lock', account, call.unlock.id));
  if (call.sequence) names.push(nameOf('sequence', account, call.sequence.key));
  if (call.guard) for (const { id } of call.guard) names.push(nameOf('lock', account, id));
  if (call.check)
    for (const { key, counter } of call.check)
      names.push(nameOf(counter === undefined ? 'kv' : 'counter', account, key));
  if (call.idempotency) for (const id of call.idempotency.ids) names.push(nameOf('stored', account, id));
  if (call.limit) for (const { key } of call.limit) names.push(nameOf('limit', account, key));
  if (call.counter) for (const { key } of call.counter) names.push(nameOf('counter', account, key));
  if (call.get) for (const key of call.get) names.push(nameOf('kv', account, key));
  if (call.set) for (const { key } of call.set) names.push(nameOf('kv', account, key));
  if (call.ops) for (const { key } of call.ops) names.push(nameOf('kv', account, key));
  if (call.script) names.push(nameOf('script', account, call.script.key));
  return names;
}

/** Those that it may change. */
export function changedBy(call: Command): string[] {
  if (call.kind !== 'batch') return [];
  const { counter, sequence, limit, ops, ...rest } = { ...call, guard: [], check: [], get: [] };
  return namesOf({
    ...rest,
    ...(sequence === undefined || sequence.op === 'get' ? {} : { sequence }),
    counter: (counter ?? []).filter(({ op }) => op !== 'get'),
    limit: (limit ?? []).filter(({ cost }) => cost > 0),
    ops: (ops ?? []).filter(mayWrite),
  });
}

/** What of a batch is left when others have written some of what it touches: that part can no longer be checked. */
export function withoutNames(call: Command, covered: ReadonlySet<string>): Command {
  if (call.kind !== 'batch') return call;
  const stays = (kind: Kind, key: string): boolean => !covered.has(nameOf(kind, call.account, key));
  const {
    lock,
    unlock,
    sequence,
    idempotency,
    guard = [],
    check = [],
    limit = [],
    counter = [],
    get = [],
    set = [],
    ops = [],
    script,
  } = call;
  return {
    kind: 'batch',
    account: call.account,
    format: 'batch',
    ...(lock && stays('lock', lock.id) ? { lock } : {}),
    ...(unlock && stays('lock', unlock.id) ? { unlock } : {}),
    ...(sequence && stays('sequence', sequence.key) ? { sequence } : {}),
    ...(idempotency?.ids.every((id) => stays('stored', id)) ? { idempotency } : {}),
    ...(script && stays('script', script.key) ? { script } : {}),
    guard: guard.filter(({ id }) => stays('lock', id)),
    check: check.filter(({ key, counter: of }) => stays(of === undefined ? 'kv' : 'counter', key)),
    limit: limit.filter(({ key }) => stays('limit', key)),
    counter: counter.filter(({ key }) => stays('counter', key)),
    get: get.filter((key) => stays('kv', key)),
    set: set.filter(({ key }) => stays('kv', key)),
    ops: ops.filter(({ key }) => stays('kv', key)),
  };
}

/** Keys that it would give a value of its own version. */
export function setBy(call: Command): string[] {
  const asks = call.kind === 'batch' ? (call.set ?? []) : [];
  const last = new Map(asks.map((ask) => [ask.key, ask]));
  return [...last.values()].flatMap(({ key, value }) => (value === undefined ? [] : [nameOf('kv', call.account, key)]));
}
