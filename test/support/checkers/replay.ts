/** The replay itself: happenings in the order of their revisions, claims in their windows, and what is left over. */
import { Span } from '../contract/expected.ts';
import { describe, type Answer, type Operation, type Restart, type Violation } from './history.ts';
import { lockMemoryMs, restart, whatUnlockDoes } from '../contract/lease.ts';
import { compareUtf8, ContractState, nameOf, type LockEntry } from '../contract/state.ts';
import { accept, step, type StepResult } from './step.ts';
import { Endings } from './endings.ts';
import type { Outcome } from '../contract/moment.ts';
import { OpenClaims, type ClaimJudge } from './open-claims.ts';
import { isAfter } from './real-time.ts';
import { unexplainedGaps, type Explainer } from './revision-gaps.ts';
import { namesOf, listed } from './command-names.ts';
import type { Unknown, UnknownOutcomes } from './unknown-outcomes.ts';
import type { Claim, Happening } from './witness-checker.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';

type Agreed = Extract<StepResult, { ok: true }>;

export class Replay implements ClaimJudge {
  commits = 0;
  /** Who may have taken revisions beside what the model knows of. */
  others: readonly Explainer[] = [];
  readonly #state = new ContractState();
  readonly #restarts: readonly Restart[];
  readonly #unknown: UnknownOutcomes;
  readonly #toleranceMs: number;
  readonly #endings: Endings;
  readonly #violations: Violation[] = [];
  /** Names that a violation touched: nothing more is said of them. */
  readonly #leftOut = new Set<string>();
  #claims = new OpenClaims([], this);
  /** Who took a revision. */
  readonly #by = new Map<number, Operation>();
  #restarted = 0;

  /** `toldBefore`: the highest revision that anybody had been told at a time. */
  constructor(
    restarts: readonly Restart[],
    unknown: UnknownOutcomes,
    toleranceMs: number,
    toldBefore: (time: number) => number,
  ) {
    this.#restarts = restarts;
    this.#unknown = unknown;
    this.#toleranceMs = toleranceMs;
    this.#endings = new Endings((time) => toldBefore(time - toleranceMs));
  }

  run(happenings: readonly Happening[], claims: readonly Claim[]): readonly Violation[] {
    this.#claims = new OpenClaims(claims, this);
    for (const happening of happenings) {
      this.#claims.passTo(happening.rev);
      this.#restartBefore(happening.operation, happening.rev);
      this.#happen(happening);
    }
    this.#claims.end();
    // What was left out may have taken revisions that are missed then.
    if (this.#violations.length === 0) this.#checkGaps(happenings);
    return this.#violations;
  }

  #happen(happening: Happening): void {
    const { operation, answer, rev, order, now } = happening;
    const { call } = operation;
    // They are only looked at when something is wrong, or not known.
    let names: readonly string[] = [];
    if (this.#unknown.all.length > 0 || this.#leftOut.size > 0) names = this.#unknown.namesOf(call);
    if (this.#isLeftOut(operation, names)) {
      if (order === 0) this.#takeRevision(happening);
      if (order < 2) this.#leaveOut(names);
      return;
    }
    // Whether it committed nobody said: it did not, if the revision is another's.
    const allows = ({ changes }: Outcome): string | undefined => {
      if (order === 0 || changes.length === 0 || !this.#unknown.used.has(rev)) return undefined;
      return `revision ${rev} is that of operation ${this.#by.get(rev)?.id ?? 'somebody else'}`;
    };
    const attempt = (): StepResult => step(this.#state, call, rev, now, answer, allows);
    let result = attempt();
    if (!result.ok) names = this.#unknown.namesOf(call);
    if (!result.ok) result = this.#explain(names, order === 0 ? rev - 1 : rev, attempt) ?? result;
    if (!result.ok) {
      this.#report(
        operation,
        names,
        `${result.explanation}${this.#context(names)}`,
        order < 2 ? ` at revision ${rev}` : ` reading at revision ${rev}`,
        this.#unknown.mayHaveMattered(names, rev),
      );
      if (order === 0) this.#takeRevision(happening);
      return;
    }
    if (order === 1) result = this.#orRepeated(result, happening);
    this.#accept(result, happening);
    if (order === 1) for (const name of result.guessed) this.#unknown.doubtful.add(name);
    if (this.#unknown.all.length === 0) return;
    const changed = result.outcome.changes.map(({ name }) => name);
    if (changed.length > 0) this.#unknown.wrote(changed, rev);
    if (answer === undefined) return;
    const unchanged = changed.length === 0 ? names : names.filter((name) => !changed.includes(name));
    const stillTrue = (): boolean | undefined => {
      const same = names.every((name) => (this.#endings.lastWrite(name) ?? 0) <= rev);
      return same && changed.length === 0 ? step(this.#state, call, rev, now, answer).ok : undefined;
    };
    this.#unknown.told(toldAbout(call, answer, names), rev);
    this.#unknown.read(unchanged, { rev, stillTrue });
  }

  /**
   * An unlock that is answered 200 may have ended the lease, or may repeat one that was never answered and did:
   * then the lease ended earlier. One that ends it in another way leaves the lock in doubt.
   */
  #orRepeated(result: Agreed, { operation, rev }: Happening): Agreed {
    const { call } = operation;
    if (call.kind !== 'batch' || call.unlock === undefined || result.outcome.changes.length === 0) return result;
    const name = nameOf('lock', call.account, call.unlock.id);
    const before = this.#state.entries.get(name) as LockEntry | undefined;
    const why = before && endsHow(before, call);
    if (why === undefined) return result;
    let from = Infinity;
    for (const { operation: other, lo, now } of this.#unknown.unsureOf([name])) {
      const otherWhy = endsHow(before!, other.call);
      if (lo >= rev || otherWhy === undefined) continue;
      if (otherWhy !== why) this.#unknown.doubtful.add(name);
      from = Math.min(from, now.lo);
    }
    if (from === Infinity) return result;
    const changes = result.outcome.changes.map((change) =>
      change.name === name ? { name, entry: endedSince(change.entry as LockEntry, from) } : change,
    );
    return { ...result, outcome: { ...result.outcome, changes } };
  }

  #accept(result: Agreed, happening: Happening): void {
    const { rev, now } = happening;
    const { changes } = result.outcome;
    accept(this.#state, rev, result);
    if (changes.length === 0) return;
    this.#takeRevision(happening);
    this.#endings.changed(changes, rev, now);
    this.#claims.recheck(changes);
  }

  #takeRevision({ operation, rev, order, answer }: Happening): void {
    const other = this.#by.get(rev);
    if (other !== undefined) {
      this.#violations.push({
        verdict: 'violation',
        message: `Revision ${rev} was given to two commits: ${describe(other)} and ${describe(operation)}.`,
        operations: [other.id, operation.id],
      });
    }
    this.#by.set(rev, operation);
    if (order !== 0) this.#unknown.used.add(rev);
    this.commits += 1;
    if (answer === undefined) this.#mayBeTakenBack(operation, rev, Infinity);
  }

  #explain(names: readonly string[], rev: number, attempt: () => StepResult): Agreed | undefined {
    if (this.#unknown.all.length === 0) return undefined;
    const found = this.#unknown.explain(this.#state, names, rev, attempt, (unknown) => this.#catchUp(unknown));
    if (found === undefined) return undefined;
    for (const unknown of found.chosen) this.#placed(unknown);
    return found.result;
  }

  #placed({ operation, rev, hi, names }: Unknown): void {
    this.#by.set(rev!, operation);
    this.commits += 1;
    const changes = names.map((name) => {
      const entry = this.#state.entries.get(name);
      return entry === undefined ? { name } : { name, entry };
    });
    this.#endings.changed(changes, rev!, undefined);
    this.#claims.recheck(changes);
    this.#mayBeTakenBack(operation, rev!, hi);
  }

  /** A lock that nobody was told of is given back when the server finds that its client is gone. */
  #mayBeTakenBack({ id, client, call, sentAt }: Operation, fence: number, hi: number): void {
    if (call.kind !== 'batch' || call.lock === undefined || call.lock.extend !== undefined) return;
    const unlock = { id: call.lock.id, fence };
    const back = { kind: 'batch', account: call.account, format: 'lock.release', unlock } as const;
    const operation = { id: `${id}, taken back`, client, call: back, sentAt };
    this.#unknown.add(operation, fence, hi, new Span(sentAt, Infinity));
  }

  opens({ operation }: Claim): boolean {
    this.#restartBefore(operation, Infinity);
    return !this.#isLeftOut(operation, namesOf(operation.call));
  }

  isTrue(claim: Claim): boolean {
    return this.#attempt(claim).ok;
  }

  wasNeverTrue(claim: Claim): void {
    const names = namesOf(claim.operation.call);
    if (this.#isLeftOut(claim.operation, names)) return;
    const attempt = (): StepResult => this.#attempt(claim);
    if (this.#explain(names, Math.min(claim.hi, this.#state.rev + this.#unknown.all.length), attempt) !== undefined)
      return;
    const result = attempt();
    if (result.ok) return;
    // Something unknown may have made it true for a while, and be covered by something else since.
    const other =
      this.#unknown.unsureOf(names).find(({ lo, hi }) => lo < claim.hi && hi > claim.lo) ??
      this.#unknown.mayHaveMattered(names, claim.hi) ??
      this.#behindStored(claim.answer);
    const window = `at no moment between revision ${claim.lo} and ${claim.hi} was it true: `;
    this.#report(claim.operation, names, `${window}${result.explanation}${this.#context(names)}`, '', other);
  }

  /**
   * Of a stored reply that nobody was given only its revision is known: what it says was made up from what is known of
   * the time before, where something unknown may have happened, however long ago that is.
   */
  #behindStored({ body: { Response: stored, Rev: rev } }: Answer): Unknown | undefined {
    const writer = stored === undefined || rev === undefined ? undefined : this.#by.get(rev);
    if (writer === undefined || writer.answer !== undefined) return undefined;
    return this.#unknown.unsureOf(namesOf(writer.call)).find(({ lo }) => lo < rev!);
  }

  #attempt({ operation, answer, now }: Claim): StepResult {
    return step(this.#state, operation.call, this.#state.rev, now, answer);
  }

  /** All that is sent after a start has a higher revision than all before it: the first to be sent after it tells. */
  #restartBefore(operation: Operation, rev: number): void {
    for (; this.#restarted < this.#restarts.length; this.#restarted++) {
      const next = this.#restarts[this.#restarted]!;
      if (!isAfter(operation, next)) return;
      restart(this.#state, next, this.#toleranceMs);
      this.#endings.restarted(this.#state.rev, rev, next.starts ?? 1);
    }
  }

  /** What is found to have happened before a start has been through that start. */
  #catchUp({ operation, names }: Unknown): void {
    for (const past of this.#restarts.slice(0, this.#restarted)) {
      if (!isAfter(operation, past)) restart(this.#state, past, this.#toleranceMs, names);
    }
  }

  #report(operation: Operation, names: readonly string[], what: string, where: string, unsure?: Unknown): void {
    const undecided = unsure !== undefined || names.some((name) => this.#unknown.doubtful.has(name));
    const because = undecided ? ' It may be due to an operation that was never answered.' : '';
    this.#violations.push({
      verdict: undecided ? 'undecided' : 'violation',
      message: `${describe(operation)}${where}: ${what}.${because}`,
      operations: [operation.id],
    });
    this.#leaveOut(names);
  }

  /** Who wrote last what the operation touches. */
  #context(names: readonly string[]): string {
    const writers = new Set<string>();
    for (const name of names) {
      const rev = this.#endings.lastWrite(name);
      const writer = rev === undefined ? undefined : this.#by.get(rev);
      if (writer !== undefined) writers.add(`operation ${writer.id} at revision ${rev}`);
    }
    return writers.size === 0 ? '' : ` (last written by ${[...writers].join(', ')})`;
  }

  #isLeftOut({ call }: Operation, names: readonly string[]): boolean {
    if (this.#leftOut.size === 0) return false;
    if (names.some((name) => this.#leftOut.has(name))) return true;
    if (call.kind !== 'kv.list' && call.kind !== 'counter.list' && call.kind !== 'lock.list') return false;
    const prefix = nameOf(listed[call.kind], call.account, call.prefix);
    return [...this.#leftOut].some((name) => name.startsWith(prefix));
  }

  #leaveOut(names: readonly string[]): void {
    for (const name of names) this.#leftOut.add(name);
  }

  #checkGaps(happenings: readonly Happening[]): void {
    const [first] = happenings;
    const last = happenings.at(-1);
    if (first === undefined || last === undefined) return;
    const until = happenings.reduce((most, { now }) => (now.hi < Infinity ? Math.max(most, now.hi) : most), 0);
    // Where it was placed was a guess.
    const unseen = this.#unknown.all.filter(({ pinned }) => !pinned);
    const possible = unseen.flatMap(({ operation: { call, sentAt }, lo, hi, now }) => {
      const starts = this.#restarts.reduce((sum, { downAt, starts = 1 }) => sum + (downAt >= sentAt ? starts : 0), 0);
      return [{ from: lo, to: hi, count: 1 }, ...this.#endings.ofUnknown(call, now.lo, lo, until, starts)];
    });
    const explainers = [...this.#endings.explainers(until), ...possible, ...this.others];
    const guessed = new Set(unseen.map(({ rev }) => rev));
    const used = [...this.#unknown.used].filter((rev) => rev > first.rev && rev <= last.rev && !guessed.has(rev));
    for (const rev of unexplainedGaps([first.rev, ...used, last.rev + 1], explainers)) {
      const why = 'no answer names it, and nothing that was not answered, ended by itself or started can have taken it';
      this.#violations.push({
        verdict: 'violation',
        message: `Revision ${rev} belongs to nobody: ${why}.`,
        operations: [],
      });
    }
  }
}

/** How a command ends the lease of a lock, if it does. */
function endsHow(lock: LockEntry, call: Operation['call']): 'released' | 'forced' | undefined {
  if (call.kind !== 'batch' || call.unlock === undefined) return undefined;
  const answer = whatUnlockDoes(lock, call.unlock);
  return answer.does === 'release' ? answer.why : undefined;
}

/** The last lease of it may have ended since then. */
function endedSince({ ended: [last, ...older], forget }: LockEntry, from: number): LockEntry {
  const since = (time: Span): Span => new Span(Math.min(from, time.lo), time.hi);
  return {
    ended:
      last === undefined ? older : [{ ...last, ...(last.at === undefined ? {} : { at: since(last.at) }) }, ...older],
    ...(forget === undefined ? {} : { forget: new Span(Math.min(from + lockMemoryMs, forget.lo), forget.hi) }),
  };
}

/**
 * Of these names those of which an answer tells all there is. A refusal tells of what it names, a page of what is on it
 * or would be, and of a lock only its new holder is told how it stands.
 */
function toldAbout(call: Operation['call'], { status, body }: Answer, names: readonly string[]): readonly string[] {
  const { account } = call;
  if (call.kind === 'kv.list') {
    const last = nameOf('kv', account, body.After ?? '');
    return body.More === true ? names.filter((name) => compareUtf8(name, last) <= 0) : names;
  }
  if (call.kind === 'lock.list' || call.kind === 'lock.inspect') return [];
  if (status !== 200 && status !== 404) {
    const keys = new Set(body.Failed?.map(({ Key }) => Key));
    return names.filter((name) => name[0] !== 'i' && name[0] !== 'l' && keys.has(name.slice(name.indexOf('\0') + 1)));
  }
  const grants = body.Lock !== undefined && body.Lock === body.Rev;
  return names.filter((name) => !name.startsWith('l') || (grants && call.kind === 'batch' && isLock(call, name)));
}

function isLock({ account, lock }: Batch, name: string): boolean {
  return lock !== undefined && nameOf('lock', account, lock.id) === name;
}
