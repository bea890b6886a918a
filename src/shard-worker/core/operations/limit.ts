/**
 * Rate limits by the generic cell rate algorithm. All that is kept of a limit is the moment at which all of its burst is
 * there again. To take a cost moves that moment on by the time in which so much comes back:
 *
 *          now                        full
 *   ────────┼───────────────────────────┼──────────► time      taken: full − now, at most the time of a burst
 *           └── room ──┐                │
 *                      now + burst ─────┘
 *
 * Times are whole microseconds, and amounts per time are fractions of integers. The time of a cost is rounded up, and
 * the time of a burst down, so that in no window of w more than burst + w × rate / per is taken. Since a burst may then
 * take longer than its own time, a limit that is full gives all of it anyway.
 *
 *   entry   kind g   [at, taken]   the time of the write in milliseconds, and full − at in microseconds
 *
 * `at` bounds what a wall clock can do that was set back before this start: what was taken at the write comes back from
 * the start on. The entry ends when the limit is full. Its `till` is later, and moves only when it must, because each
 * new one costs an update of the index of deadlines, and each end of an entry an effect.
 */
import { failure } from '../../../protocol/errors.ts';
import type { LimitOperation, LimitResult } from '../../../protocol/operations/limit.ts';
import { kinds } from '../../../protocol/record.ts';
import { quoted } from '../../../shared/text.ts';
import type { BatchEvaluation } from './batch-evaluation.ts';
import type { Answered, FormatBehaviour, SectionBehaviour } from './behaviour.ts';

const microsPerMs = 1000;
/** How long an entry stays after the limit is full, so that a limit in steady use keeps its entry. */
const keptMs = 10_000;

export const limitBehaviour: SectionBehaviour<'limit'> = {
  evaluate(evaluation, operation) {
    const { key, burst, cost, waitMs } = operation;
    const before = takenBefore(evaluation, key);
    if (cost === 0) return resultOf(operation, before.taken);
    const burstMicros = roundedDown(operation, burst);
    const costMicros = roundedUp(operation, cost);
    // A limit that is full has room for any cost.
    const missing = Math.min(before.taken + costMicros - burstMicros, before.taken);
    const heldMs = Math.max(0, Math.ceil(missing / microsPerMs));
    if (heldMs > waitMs) {
      const result = resultOf(operation, before.taken);
      const { left, resetMs } = result;
      const message = `The limit ${JSON.stringify(key)} has ${left} left, and ${cost} were asked for; it has so many in ${heldMs} ms.`;
      const details = { Key: key, Left: left, ResetMs: resetMs, RetryAfterMs: heldMs };
      evaluation.fail(failure('limited', message, details));
      return result;
    }
    // A slot begins at a whole millisecond, and only from then on it comes back.
    const taken = Math.max(before.taken, heldMs * microsPerMs) + costMicros;
    put(evaluation, key, { taken, till: before.till });
    const result = resultOf(operation, taken);
    return heldMs === 0 ? result : { ...result, waitMs: heldMs };
  },
  members: (answered) =>
    `"Limit":[${answered.asked.limit!.map((_, i) => `{${limitMembers(answered, i)}}`).join(',')}],`,
};

/** Returns what is taken of the limit, in microseconds, including what the batch itself has taken so far. */
function takenBefore({ writeSet, state, batch, now }: BatchEvaluation, key: string): { taken: number; till: number } {
  const pending = writeSet.find(kinds.limit, key);
  if (pending !== undefined) return { taken: readTaken(pending.value!)[1], till: pending.till };
  const entry = state.entries.get(kinds.limit, batch.account, key);
  if (entry === undefined) return { taken: 0, till: 0 };
  const [writtenAt, taken] = readTaken(entry.value);
  const at = entry.rev > state.boot.rev ? writtenAt : Math.min(writtenAt, state.boot.at);
  return { taken: Math.max(0, taken - (now - at) * microsPerMs), till: entry.till };
}

function put({ writeSet, now }: BatchEvaluation, key: string, { taken, till }: { taken: number; till: number }): void {
  const fullMs = now + Math.ceil(taken / microsPerMs);
  const until = till >= fullMs ? till : fullMs + keptMs;
  writeSet.put({ kind: kinds.limit, key, till: until, value: `[${now},${taken}]` });
}

/**
 * Takes of a limit what was taken of it elsewhere, unless more is taken here: so no window has more than it may, before
 * and behind a move. @returns whether it was not full again by now
 */
export function putTaken(
  evaluation: BatchEvaluation,
  key: string,
  { at, takenMicros }: { readonly at: number; readonly takenMicros: number },
): boolean {
  const taken = takenMicros - Math.max(0, evaluation.now - at) * microsPerMs;
  if (taken <= 0) return false;
  const before = takenBefore(evaluation, key);
  if (taken > before.taken) put(evaluation, key, { taken, till: before.till });
  return true;
}

export function readTaken(text: string): [at: number, taken: number] {
  return JSON.parse(text) as [at: number, taken: number];
}

function resultOf(operation: LimitOperation, taken: number): LimitResult {
  const { rateThousandths, perMs, burst } = operation;
  const resetMs = Math.ceil(taken / microsPerMs);
  if (taken === 0) return { left: burst, resetMs };
  const room = Math.max(0, roundedDown(operation, burst) - taken);
  return { left: Math.min(burst, dividedDown(room, rateThousandths, perMs * microsPerMs * 1000)), resetMs };
}

/** The microseconds in which `amount` comes back. */
function roundedUp({ rateThousandths, perMs }: LimitOperation, amount: number): number {
  return -dividedDown(-amount, perMs * microsPerMs * 1000, rateThousandths);
}

function roundedDown({ rateThousandths, perMs }: LimitOperation, amount: number): number {
  return dividedDown(amount, perMs * microsPerMs * 1000, rateThousandths);
}

/** Returns ⌊a × b / c⌋, exactly: the quotient of two integers that a double holds never rounds up to an integer. */
function dividedDown(a: number, b: number, c: number): number {
  const product = a * b;
  if (Number.isSafeInteger(product)) return Math.floor(product / c);
  const exact = BigInt(a) * BigInt(b);
  const quotient = exact / BigInt(c);
  return Number(exact < 0n && quotient * BigInt(c) !== exact ? quotient - 1n : quotient);
}

/** Returns for how long the reply is held: its last slot begins then. */
export function heldMsOf(results: readonly (LimitResult | null)[]): number {
  return results.reduce((longest, result) => Math.max(longest, result?.waitMs ?? 0), 0);
}

function limitMembers({ asked, results }: Answered, i: number): string {
  const { left, resetMs, waitMs } = results.limit![i]!;
  const held = waitMs === undefined ? '' : `,"WaitMs":${waitMs}`;
  return `"Key":${quoted(asked.limit![i]!.key)},"Left":${left},"ResetMs":${resetMs}${held}`;
}

export const limitFormats = {
  'limit.take': { members: (answered) => `${limitMembers(answered, 0)},` },
} satisfies Record<string, FormatBehaviour>;
