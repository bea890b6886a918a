/**
 * One step of a replay: does this answer agree with the contract, here and now?
 *
 * When an entry's end lies within the time in which the operation may have happened, either may be true. Then all
 * combinations are tried (there are seldom more than one or two such entries), and what agrees with the answer is kept:
 * an entry that was seen to be over at some revision is over at all later ones.
 */
import { outcomeOf } from '../contract/contract.ts';
import { anyNumber, difference, plain, Span, type Body } from '../contract/expected.ts';
import type { Contents, Moment, Outcome } from '../contract/moment.ts';
import type { ContractState, Entry } from '../contract/state.ts';
import type { Answer } from './history.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';

/** What a step needs of a state: what is in it, and which of its entries were seen to be over. */
export interface ReplayState extends Contents {
  readonly mutexHandle: number;
  wasGone(entry: Entry, rev: number): boolean;
}

export type StepResult =
  | {
      readonly ok: true;
      readonly outcome: Outcome;
      readonly over: readonly Entry[];
      /** Names of which it was guessed whether they are over. */
      readonly guessed: readonly string[];
    }
  | { readonly ok: false; readonly explanation: string };

const waiters = (): typeof anyNumber => anyNumber;

/** More entries that may or may not be over than this are not tried in all combinations. */
const guessedMax = 6;

/**
 * Compares an answer with what the contract demands at this revision; the state is not changed. Without an answer the
 * question is whether it can have succeeded. `allows` may object to an outcome that agrees otherwise.
 */
export function step(
  state: ReplayState,
  call: Command,
  rev: number,
  now: Span,
  answer: Answer | undefined,
  allows?: (outcome: Outcome) => string | undefined,
): StepResult {
  const body = answer?.body;
  const listed = body === undefined ? undefined : listedKeys(call, body);
  // A batch over several shards looked at some of them a little before.
  const exactly = body?.Now === undefined || answer?.replayed ? now : new Span(now.lo, body.Now);
  if (body?.Now !== undefined && !answer?.replayed && (body.Now < now.lo || body.Now > now.hi)) {
    return { ok: false, explanation: `Now: expected a time from ${now.lo} to ${now.hi}, got ${body.Now}` };
  }
  // Any fence will do that is higher than all before.
  const mutexHandle = Math.max(state.mutexHandle + 1, body?.Lock ?? 0);
  let explanation = '';
  const guessed: { readonly name: string; readonly entry: Entry }[] = [];
  for (let guess = 0; guess < 1 << Math.min(guessed.length, guessedMax) || guess === 0; guess++) {
    const isOver = (name: string, entry: Entry, till: Span, maybe: boolean): boolean => {
      if (exactly.lo >= till.hi) return true;
      if (exactly.hi < till.lo && !maybe) return false;
      if (state.wasGone(entry, rev)) return true;
      if (listed !== undefined) return !listed.has(name.slice(name.indexOf('\0') + 1));
      let at = guessed.findIndex((item) => item.name === name);
      if (at < 0) at = guessed.push({ name, entry }) - 1;
      return at < guessedMax && ((guess >> at) & 1) === 1;
    };
    const moment: Moment = { state, now: exactly, rev, mutexHandle, said: body, over: isOver, waiters, ahead: () => 0 };
    const outcome = outcomeOf(moment, call);
    const found = disagreement(outcome, answer) ?? allows?.(outcome);
    if (found === undefined) {
      const over = guessed.filter((_, at) => (guess >> at) & 1).map(({ entry }) => entry);
      return { ok: true, outcome, over, guessed: guessed.map(({ name }) => name) };
    }
    if (guess === 0) explanation = found;
  }
  return { ok: false, explanation };
}

function disagreement(outcome: Outcome, answer: Answer | undefined): string | undefined {
  if (answer === undefined) {
    return outcome.status === 200 ? undefined : `it cannot have happened: ${JSON.stringify(plain(outcome.body))}`;
  }
  const { status, body } = answer;
  if (outcome.status !== status) {
    const expected = JSON.stringify(plain({ ...outcome.body, Rev: undefined }));
    return `expected status ${outcome.status} ${expected}, got ${status} ${JSON.stringify(body)}`;
  }
  if (outcome.replayed !== answer.replayed) return outcome.replayed ? 'expected a replay' : 'is told to be a replay';
  const expected = outcome.body as Body;
  if (expected.Failed !== undefined) return failedDiffer(expected.Failed, body);
  // Only a batch over several shards lists what failed when its lock is busy.
  const said = expected.Code === 'not_locked' ? { ...body, Failed: undefined } : body;
  if (expected.IDs === undefined) return difference(expected, said);
  return difference({ ...expected, IDs: expected.IDs.toSorted() }, { ...said, IDs: body.IDs?.toSorted() });
}

/** In which order a reply lists what failed is its own affair; the first gives it its code. */
function failedDiffer(expected: readonly Body[], { Failed, Code }: Body): string | undefined {
  if (Failed === undefined) return `Failed: expected ${JSON.stringify(plain(expected))}, got nothing`;
  if (Failed[0]?.Code !== Code) return `Code: expected that of the first of Failed, ${Failed[0]?.Code}, got ${Code}`;
  return difference(expected.toSorted(byField), Failed.toSorted(byField), 'Failed');
}

function byField(a: Body, b: Body): number {
  const [left, right] = [String(a['Field']), String(b['Field'])];
  return left < right ? -1 : left > right ? 1 : 0;
}

function listedKeys(call: Command, body: Body): Set<unknown> | undefined {
  if (call.kind === 'kv.list') return new Set(body.KV?.map(({ Key }) => Key));
  if (call.kind === 'counter.list') return new Set(body.Counters?.map(({ Key }) => Key));
  if (call.kind === 'lock.list') return new Set(body.Locks?.map(({ LockID }) => LockID));
  return undefined;
}

/** What was decided by a step becomes the state. */
export function accept(state: ContractState, rev: number, { outcome, over }: Extract<StepResult, { ok: true }>): void {
  for (const entry of over) state.seenGone(entry, rev);
  state.apply(outcome.changes);
  if (outcome.changes.length > 0) state.rev = Math.max(state.rev, rev);
}
