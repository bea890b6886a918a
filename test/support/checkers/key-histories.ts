/**
 * A history as what it is for each thing alone, for `linearizability.ts`: a batch is one call for each key, counter,
 * sequence and lock that it touches, at some moment between its question and its answer. What is left out says less,
 * and never too much: refusals of batches, which may be due to something else, lists, and keys that expire.
 *
 * Mutexes are things of one life of the server, since they are gone after it; locks are looked at in the first life
 * only, because a start lengthens leases. Of a long history the first calls are taken; what was answered behind them
 * counts as not answered.
 */
import type { Body } from '../contract/expected.ts';
import { isOfWholeAccount } from '../generators/whole-account.ts';
import { isOfSharedLocks } from '../generators/shared-lock.ts';
import type { Answer, History, Operation } from './history.ts';
import { checkLinearizable, type SequentialModel, type TimedCall, type Verdict } from './linearizability.ts';
import { isAfter } from './real-time.ts';
import {
  counterModel,
  lockModel,
  registerModel,
  sequenceModel,
  type CounterInput,
  type CounterOutput,
  type LockInput,
  type LockOutput,
  type RegisterInput,
  type RegisterOutput,
  type SequenceInput,
  type SequenceOutput,
} from './sequential-models.ts';
import { lockHistoryMs, mutexHistoryMs } from '../../../src/shared/limits.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';

export interface SearchSampleOptions {
  readonly clockToleranceMs?: number;
  /** Of one thing. */
  readonly callsMax?: number;
  readonly stepsMax?: number;
  /** Keys that change by themselves. */
  readonly mayExpire: (key: string) => boolean;
}

export interface SearchReport {
  readonly searched: number;
  readonly undecided: number;
  readonly calls: number;
  readonly violations: readonly string[];
}

type Calls = {
  readonly registers: TimedCall<RegisterInput, RegisterOutput>[];
  readonly counters: TimedCall<CounterInput, CounterOutput>[];
  readonly sequences: TimedCall<SequenceInput, SequenceOutput>[];
  readonly locks: TimedCall<LockInput, LockOutput>[];
  readonly mutexes: TimedCall<LockInput, LockOutput>[];
};

export function searchKeys(history: History, options: SearchSampleOptions): SearchReport {
  const { clockToleranceMs = 25 } = options;
  const calls: Calls = { registers: [], counters: [], sequences: [], locks: [], mutexes: [] };
  // The registers know no operations of Redis.
  const others = new Set(
    history.operations.flatMap(({ call }) => (call.kind === 'batch' ? (call.ops ?? []) : []).map(({ key }) => key)),
  );
  const mayExpire = (key: string): boolean => others.has(key) || options.mayExpire(key);
  for (const operation of history.operations) project(operation, history, { ...options, mayExpire }, calls);
  const report = { searched: 0, undecided: 0, calls: 0, violations: [] as string[] };
  search(registerModel, calls.registers, options, report);
  search(counterModel, calls.counters, options, report);
  search(sequenceModel, calls.sequences, options, report);
  search(lockModel(clockToleranceMs, lockHistoryMs), calls.locks, options, report);
  search(lockModel(clockToleranceMs, mutexHistoryMs), calls.mutexes, options, report);
  return report;
}

function search<State, Input, Output>(
  model: SequentialModel<State, Input, Output>,
  all: readonly TimedCall<Input, Output>[],
  { callsMax = 300, stepsMax = 200_000 }: SearchSampleOptions,
  report: { searched: number; undecided: number; calls: number; violations: string[] },
): void {
  for (const group of Map.groupBy(all, ({ key }) => key).values()) {
    const calls = firstOf(group, callsMax);
    const verdict: Verdict = checkLinearizable(model, calls, { stepsMax });
    report.searched += 1;
    report.calls += calls.length;
    if (verdict.verdict === 'undecided') report.undecided += 1;
    if (verdict.verdict === 'violation') report.violations.push(verdict.message);
  }
}

function firstOf<Input, Output>(
  calls: readonly TimedCall<Input, Output>[],
  callsMax: number,
): readonly TimedCall<Input, Output>[] {
  if (calls.length <= callsMax) return calls;
  const sorted = calls.toSorted((a, b) => a.sentAt - b.sentAt);
  const end = sorted[callsMax]!.sentAt;
  return sorted.slice(0, callsMax).map((call) => {
    if ((call.answeredAt ?? 0) < end) return call;
    const { answeredAt: _, output: __, ...rest } = call;
    return rest;
  });
}

function project(operation: Operation, history: History, { mayExpire }: SearchSampleOptions, calls: Calls): void {
  const { call, answer } = operation;
  // A stored reply, or word of it, tells of an earlier moment.
  if (answer?.replayed || isOfSharedLocks(call) || isOfWholeAccount(call)) return;
  const success = answer?.status === 200 ? answer.body : undefined;
  const timed = <Input, Output>(key: string, input: Input, output: Output | undefined): TimedCall<Input, Output> => {
    const { id, sentAt } = operation;
    return output === undefined
      ? { id, key, input, sentAt }
      : { id, key, input, sentAt, output, answeredAt: answer!.at };
  };
  const locks = call.kind === 'batch' ? calls.locks : calls.mutexes;
  projectLocks(operation, history, (key, input, output) => locks.push(timed(key, input, output)));
  if (call.kind !== 'batch') return;
  if (answer !== undefined && success === undefined) return projectRefusal(call, answer, mayExpire, calls, timed);
  call.get?.forEach((key, i) => {
    const item = success?.KV?.[i] ?? success;
    if (!mayExpire(key) && item !== undefined) calls.registers.push(timed(key, { op: 'get' }, registerOf(item)));
  });
  const last = new Map(call.set?.map((ask, i) => [ask.key, { ask, i }]));
  for (const [key, { ask, i }] of last) {
    if (mayExpire(key)) continue;
    const item = success?.KVSet?.[i] ?? success;
    const condition = ask.version === undefined ? {} : { version: ask.version };
    if (ask.value === undefined) {
      const output = item && { deleted: item.Deleted === true };
      calls.registers.push(timed(key, { op: 'delete', ...condition }, output));
    } else {
      const output = item && { version: item.Version! };
      calls.registers.push(timed(key, { op: 'set', value: canonical(JSON.parse(ask.value)), ...condition }, output));
    }
  }
  call.counter?.forEach(({ key, op, n, ifEq, ...bounds }, i) => {
    const item = success?.Atomic?.[i] ?? success;
    const output = item && { value: item.Value as number, ...(item.Old !== undefined && { old: item.Old }) };
    const input =
      op === 'get' || op === 'reset'
        ? { op }
        : op === 'set'
          ? { op, n, ...(ifEq !== undefined && { ifEq }) }
          : { op, n, ...bounds };
    if (op !== 'get' || output !== undefined) calls.counters.push(timed(key, input, output));
  });
  if (call.sequence === undefined) return;
  const { key, op, n } = call.sequence;
  const output = success && {
    to: (success['To'] ?? success.Value) as number,
    ...(success['From'] !== undefined && { from: success['From'] as number }),
  };
  if (op !== 'get' || output !== undefined) calls.sequences.push(timed(key, { op, n }, output));
}

/** Refusals of one thing only, over REST. */
function projectRefusal(
  { format, get, set, counter, sequence }: Extract<Command, { kind: 'batch' }>,
  { body }: Answer,
  mayExpire: (key: string) => boolean,
  calls: Calls,
  timed: <Input, Output>(key: string, input: Input, output: Output) => TimedCall<Input, Output>,
): void {
  const missing = body.Code === 'not_found';
  if (format === 'kv.get' && missing && !mayExpire(get![0]!)) {
    calls.registers.push(timed(get![0]!, { op: 'get' }, { version: 0 }));
  }
  if (format === 'counter.get' && missing) calls.counters.push(timed(counter![0]!.key, { op: 'get' }, { value: 0 }));
  if (format === 'counter.add' && body.Code === 'out_of_bounds') {
    const { key, n, floor, ceil } = counter![0]!;
    const bounds = { ...(floor !== undefined && { floor }), ...(ceil !== undefined && { ceil }) };
    calls.counters.push(timed(key, { op: 'add', n, ...bounds }, { isnt: body.Value as number }));
  }
  if (format === 'sequence.get' && missing) calls.sequences.push(timed(sequence!.key, { op: 'get' }, { to: 0 }));
  const [ask] = set ?? [];
  if (ask === undefined || body.Code !== 'version_mismatch' || mayExpire(ask.key)) return;
  const version = ask.version!;
  const output = { mismatch: body.Version! };
  if (format === 'kv.delete') calls.registers.push(timed(ask.key, { op: 'delete', version }, output));
  if (format === 'kv.set') calls.registers.push(timed(ask.key, { op: 'set', value: '', version }, output));
}

function projectLocks(
  operation: Operation,
  { restarts = [] }: History,
  add: (key: string, input: LockInput, output: LockOutput | undefined) => void,
): void {
  const { call, answer } = operation;
  if (call.kind !== 'batch' && call.kind !== 'mutex.lock' && call.kind !== 'mutex.unlock') return;
  const life = restarts.filter((restart) => isAfter(operation, restart)).length;
  if (call.kind === 'batch' && life > 0) return;
  const nameOf = (id: string): string => (call.kind === 'batch' ? id : `${id} of life ${life}`);
  const ok = answer?.status === 200;
  const { lock, unlock } = call as { lock?: Locking; unlock?: Unlocking };
  if (lock !== undefined) {
    const { durMs, owner, extend } = lock;
    // Without a holder nobody says that the lock is held.
    const busy = answer?.body.Code === 'not_locked' && answer.body.Holder !== undefined && extend === undefined;
    const output = ok ? { fence: answer.body.Lock!, till: answer.body.TillMs! } : busy ? { ok: false } : undefined;
    const input: LockInput =
      extend === undefined
        ? { op: 'acquire', durMs, ...(owner !== undefined && { owner }) }
        : { op: 'extend', fence: extend, durMs };
    if (answer === undefined || output !== undefined) add(nameOf(lock.id), input, output);
  }
  if (unlock === undefined) return;
  const { id, fence, owner } = unlock;
  const alone = call.kind === 'mutex.unlock' || (call.kind === 'batch' && call.format === 'lock.release');
  const lost = alone && answer?.body.Code === 'lock_lost';
  const output = ok ? { ok: true } : lost ? { ok: false } : undefined;
  const forces = fence === undefined && owner === undefined;
  const input: LockInput = forces
    ? { op: 'force' }
    : { op: 'release', ...(fence !== undefined && { fence }), ...(owner !== undefined && { owner }) };
  if (answer === undefined || output !== undefined) add(nameOf(id), input, output);
}

type Locking = { readonly id: string; readonly durMs: number; readonly owner?: string; readonly extend?: number };
type Unlocking = { readonly id: string; readonly fence?: number; readonly owner?: string };

function registerOf({ Version, Value }: Body): RegisterOutput {
  return Version === 0 ? { version: 0 } : { version: Version!, value: canonical(Value) };
}

/** Equal values have equal texts. */
function canonical(value: unknown): string {
  return JSON.stringify(value);
}
