/**
 * Revisions are a witness: every reply says at which point of one order it was true. So a history is replayed in that
 * order through the contract model, and every reply is compared with the model's, in O(n log n) over any number of
 * operations; nothing is searched for but what was never answered.
 *
 *   commits      at their revision, alone                      a claim     what carries no revision (failures and
 *   reads        at the revision that they claim, after its                 replays over HTTP) has to be true at some
 *                commit; exactly that state, whole batches                  moment of its window: no earlier than all
 *   real time    answered before another was sent: not later                that was told before it was sent, no later
 *   gaps         every revision is somebody's                               than what was asked after its answer
 *
 * Compared is every member of every reply but messages, RequestIDs and the number of waiters. Times may be off by
 * `clockToleranceMs`; what ends may be seen as ended from its time on, and must be once it is surely past.
 *
 * Not checked: queues, which `queue-ledger.ts` judges; the order of a line of waiters; which of several limits refused a
 * request (429, 503, 507, `too_large` and `request_in_progress` only say that nothing was done, which the replay holds
 * them to); mutexes beyond `lease-intervals.ts`. After a violation what it touched is left out, so that one fault is reported once.
 */
import { Span } from '../contract/expected.ts';
import {
  claimedRevision,
  describe,
  mayCommit,
  type Answer,
  type History,
  type Operation,
  type Violation,
} from './history.ts';
import { isOfSharedLocks } from '../generators/shared-lock.ts';
import { doubleHolders } from './lease-intervals.ts';
import { boundsOf, endOf, isAfter, realTimeViolations, toldBefore } from './real-time.ts';
import { Replay } from './replay.ts';
import { ReplayByLog, type Unanswered } from './replay-by-log.ts';
import { accountEndings } from './account-endings.ts';
import { auditedRevisions } from './audited.ts';
import { queueEndings } from './queue-endings.ts';
import { shareEndings } from './share-endings.ts';
import { UnknownOutcomes } from './unknown-outcomes.ts';
import { isOnlyOfQueues, withoutQueues } from './without-queues.ts';

export interface WitnessOptions {
  /** How far the clocks of clients and server may be apart, with what is lost in rounding. */
  readonly clockToleranceMs?: number;
}

export interface WitnessReport {
  /** In the order of revisions, then the rest. Empty: the history is as the contract wants it. */
  readonly violations: readonly Violation[];
  readonly operations: number;
  readonly commits: number;
  /** Compared with the model: the others were never answered, or only say that nothing was done. */
  readonly compared: number;
  readonly unknown: { readonly happened: number; readonly unseen: number };
}

/** Something to replay. `order`: at one revision its commit comes first, then what may be one, then what only reads. */
export interface Happening {
  readonly operation: Operation;
  readonly answer: Answer | undefined;
  readonly rev: number;
  readonly order: 0 | 1 | 2;
  readonly now: Span;
}

/** A failure or a replay that does not say when it was true. */
export interface Claim {
  readonly operation: Operation;
  readonly answer: Answer;
  readonly lo: number;
  readonly hi: number;
  readonly now: Span;
}

/** Codes that say no more than that nothing was done. */
const says = new Set([
  'version_mismatch',
  'precondition_failed',
  'overflow',
  'out_of_bounds',
  'lock_lost',
  'not_locked',
  'not_found',
  'limited',
]);
const saysOfIds = new Set(['duplicate_request', 'idempotency_mismatch']);

export function checkWitness(history: History, options: WitnessOptions = {}): WitnessReport {
  const { clockToleranceMs = 25 } = options;
  const { operations, restarts = [], log } = history;
  const bounds = boundsOf(history);
  const violations = realTimeViolations(history, bounds);
  const happenings: Happening[] = [];
  const claims: Claim[] = [];
  const used = new Set<number>();
  const unknown = new UnknownOutcomes(used);
  const unanswered: Unanswered[] = [];
  operations.forEach((asked, i) => {
    const operation = withoutQueues(asked);
    const { call, answer } = operation;
    const now = new Span(operation.sentAt - clockToleranceMs, endOf(operation, restarts) + clockToleranceMs);
    if (isOnlyOfQueues(asked.call)) {
      if (answer !== undefined && bounds.commits[i]) used.add(claimedRevision(answer)!);
      const fault = answer && faultOf(asked, answer);
      if (fault !== undefined) violations.push({ verdict: 'violation', message: fault, operations: [asked.id] });
      return;
    }
    if (answer === undefined) {
      const [lo, hi] = [bounds.lo[i]!, bounds.hi[i]!];
      if (log === undefined) unknown.add(operation, lo, hi, now);
      else if (mayCommit(call)) unanswered.push({ operation, lo, hi, now });
      return;
    }
    const fault = faultOf(operation, answer);
    if (fault !== undefined) violations.push({ verdict: 'violation', message: fault, operations: [operation.id] });
    if (fault !== undefined || !isCompared(call, answer)) return;
    const rev = claimedRevision(answer);
    if (rev === undefined) {
      claims.push({ operation, answer, lo: bounds.lo[i]!, hi: bounds.hi[i]!, now });
      return;
    }
    const order = bounds.commits[i] ? 0 : mayCommit(asked.call) && answer.status === 200 && !answer.replayed ? 1 : 2;
    happenings.push({ operation, answer, rev, order, now });
    if (order === 0) used.add(rev);
  });
  if (unknown.all.length > 0) pinUnknown(history, unknown, bounds.lo, happenings);
  sortHappenings(happenings);
  // What was asked of a new start comes after all that happened before it, answered or not.
  const floors = restarts.map((restart) =>
    happenings.reduce((most, { operation, rev }) => (isAfter(operation, restart) ? most : Math.max(most, rev)), 0),
  );
  const settled = claims.map((claim) => {
    const last = restarts.findLastIndex((restart) => isAfter(claim.operation, restart));
    return last < 0 ? claim : { ...claim, lo: Math.max(claim.lo, floors[last]!) };
  });

  const report = { operations: operations.length, compared: happenings.length + claims.length };
  const ofOne = { ...history, operations: operations.filter(({ call }) => !isOfSharedLocks(call)) };
  const doubles = doubleHolders(ofOne, clockToleranceMs);
  if (log !== undefined) {
    const replay = new ReplayByLog(log, unanswered, restarts, clockToleranceMs);
    violations.push(...replay.run(happenings, settled), ...doubles);
    const { commits, happened } = replay;
    return { ...report, violations, commits, unknown: { happened, unseen: unanswered.length - happened } };
  }
  const replay = new Replay(restarts, unknown, clockToleranceMs, toldBefore(history));
  replay.others = [
    ...queueEndings(history, bounds.lo),
    ...shareEndings(history, bounds.lo),
    ...accountEndings(history, bounds.lo),
    ...auditedRevisions(history),
  ];
  violations.push(...replay.run(happenings, settled), ...doubles);
  const unseen = unknown.all.filter(({ rev }) => rev === undefined).length;
  return {
    ...report,
    violations,
    commits: replay.commits,
    unknown: { happened: unknown.all.length - unseen, unseen },
  };
}

/** An error that says what is wrong. What is undecided counts as wrong, unless so much of it is allowed. */
export function assertWitness(
  history: History,
  options: WitnessOptions & { undecidedMax?: number } = {},
): WitnessReport {
  const report = checkWitness(history, options);
  const { violations, operations } = report;
  const undecided = violations.filter(({ verdict }) => verdict === 'undecided').length;
  if (violations.length === undecided && undecided <= (options.undecidedMax ?? 0)) return report;
  const shown = violations.slice(0, 10).map(({ verdict, message }) => `${verdict}: ${message}`);
  throw new Error(`${violations.length} faults in ${operations} operations:\n${shown.join('\n')}`);
}

/** What is wrong with an answer by itself, whatever happened. */
export function faultOf(operation: Operation, answer: Answer): string | undefined {
  const { status, body, rev, replayed } = answer;
  if (status === 500) return `${describe(operation)} was answered with an error of the server: ${JSON.stringify(body)}`;
  if (status !== 200) return undefined;
  if (!Number.isSafeInteger(body.Rev)) return `${describe(operation)} succeeded without a Rev: ${JSON.stringify(body)}`;
  if (rev !== undefined && !replayed && rev !== body.Rev) {
    return `${describe(operation)} depends on revision ${rev}, and says Rev ${body.Rev}`;
  }
  return undefined;
}

/** Whether the model has something to say about it. */
export function isCompared({ kind }: Operation['call'], { status, body }: Answer): boolean {
  if (kind === 'mutex.lock' || kind === 'mutex.unlock') return false;
  if (status === 200) return true;
  const { Code = '', Failed } = body;
  // What failed is of queues or tasks (without-queues.ts).
  if (Failed?.length === 0) return false;
  // Who lost its place in the line to another with the same owner is told so without a holder.
  if (Code === 'not_locked') return body.Holder !== undefined;
  return says.has(Code) || saysOfIds.has(Code);
}

function pinUnknown(history: History, unknown: UnknownOutcomes, lo: Float64Array, happenings: Happening[]): void {
  history.operations.forEach((asked, i) => {
    const operation = withoutQueues(asked);
    const readAt = (operation.answer && claimedRevision(operation.answer)) ?? lo[i]!;
    for (const found of unknown.learn(operation, readAt)) {
      happenings.push({ operation: found.operation, answer: found.answer, rev: found.rev!, order: 0, now: found.now });
    }
  });
}

/** By revision, then by order; those that are equal stay as they were sent. Numbers sort much faster than objects. */
function sortHappenings(happenings: Happening[]): void {
  const places = 2 ** 24;
  const highest = happenings.reduce((most, { rev }) => Math.max(most, rev), 0);
  const lowest = happenings.reduce((least, { rev }) => Math.min(least, rev), Infinity);
  if (happenings.length >= places || (highest - lowest + 1) * 4 * places > Number.MAX_SAFE_INTEGER) {
    happenings.sort((a, b) => a.rev - b.rev || a.order - b.order);
    return;
  }
  const keys = Float64Array.from(
    happenings,
    ({ rev, order }, i) => ((rev - lowest) * 4 + order) * places + i,
  ).toSorted();
  const sorted = Array.from(keys, (key) => happenings[key % places]!);
  sorted.forEach((happening, i) => {
    happenings[i] = happening;
  });
}
