/**
 * The replay where the log of the server can be read: every revision belongs to exactly one of
 *
 *   an operation that was answered      at the revision that it claims; the log holds exactly its changes
 *   one that was not                    the log holds what it would change here, and it takes nobody else's place:
 *                                       of several that could have, `Placement` finds who can have done which
 *   an end                              each effect is that of something whose time has come
 *   a lease that is taken back          that of an operation which was never answered
 *   a start
 *
 * and then the state is that of the log, to the millisecond. Nothing is ever undecided.
 */
import {
  changesDiffer,
  changesIn,
  effectDiffers,
  isStart,
  lockIn,
  nameIn,
  storedIn,
  type LogEffect,
  withReplies,
  type LogRecord,
} from './commit-log.ts';
import { changedBy } from './command-names.ts';
import { Span } from '../contract/expected.ts';
import { describe, type Answer, type Operation, type Restart, type Violation } from './history.ts';
import { end, lockMemoryMs, lockNow, restart } from '../contract/lease.ts';
import type { Outcome } from '../contract/moment.ts';
import {
  describeName,
  ContractState,
  nameOf,
  type KvEntry,
  type LockEntry,
  type StoredEntry,
} from '../contract/state.ts';
import { accept, step, type StepResult } from './step.ts';
import { OpenClaims, type ClaimJudge } from './open-claims.ts';
import { Placement } from './placement.ts';
import { recordWithoutQueues } from './without-queues.ts';
import type { Claim, Happening } from './witness-checker.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';

export interface Unanswered {
  readonly operation: Operation;
  /** Its revision is in (lo, hi], if it has one. */
  readonly lo: number;
  readonly hi: number;
  readonly now: Span;
}

export class ReplayByLog implements ClaimJudge {
  commits = 0;
  readonly #log: readonly LogRecord[];
  readonly #restarts: readonly Restart[];
  readonly #toleranceMs: number;
  readonly #placement = new Placement<Unanswered>();
  readonly #byName = new Map<string, Unanswered[]>();
  readonly #clears: Unanswered[] = [];
  readonly #state = new ContractState();
  readonly #by = new Map<number, Operation>();
  readonly #violations: Violation[] = [];
  #claims = new OpenClaims([], this);
  #restarted = 0;

  constructor(
    log: readonly LogRecord[],
    unanswered: readonly Unanswered[],
    restarts: readonly Restart[],
    toleranceMs: number,
  ) {
    this.#log = log.map((record) => recordWithoutQueues(withReplies(record)));
    this.#restarts = restarts;
    this.#toleranceMs = toleranceMs;
    for (const one of unanswered) {
      const { call } = one.operation;
      if (call.kind === 'batch' && call.clear !== undefined) this.#clears.push(one);
      for (const name of changedBy(call)) {
        const others = this.#byName.get(name);
        if (others === undefined) this.#byName.set(name, [one]);
        else others.push(one);
      }
    }
  }

  get happened(): number {
    return this.#placement.size;
  }

  run(happenings: readonly Happening[], claims: readonly Claim[]): readonly Violation[] {
    this.#claims = new OpenClaims(claims, this);
    let at = 0;
    for (const [i, record] of this.#log.entries()) {
      const { rev } = record;
      const before = this.#log[i - 1]?.rev ?? rev - 1;
      if (rev !== before + 1) this.#violation(`Revision ${rev} follows ${before} in the log`);
      for (; (happenings[at]?.rev ?? Infinity) < rev; at++) this.#happen(happenings[at]!);
      this.#claims.passTo(rev);
      let next = at;
      while (happenings[next]?.rev === rev) next += 1;
      const here = happenings.slice(at, next);
      at = next;
      // Of those that may have committed only the log can tell.
      const committer =
        here.find(({ order }) => order === 0) ??
        here.find((happening) => happening.order === 1 && this.#attempt(happening, record).ok);
      if (committer === undefined && record.effects.length === 0) this.#state.rev = rev;
      else if (committer === undefined) this.#unclaimed(record);
      else this.#happen(committer, record);
      for (const other of here) if (other !== committer) this.#happen(other);
    }
    for (; at < happenings.length; at++) this.#happen(happenings[at]!);
    this.#claims.end();
    return this.#violations;
  }

  opens(): boolean {
    return true;
  }

  isTrue({ operation, answer, now }: Claim): boolean {
    return step(this.#state, operation.call, this.#state.rev, now, answer).ok;
  }

  wasNeverTrue({ operation, answer, now, lo, hi }: Claim): void {
    const result = step(this.#state, operation.call, this.#state.rev, now, answer);
    if (result.ok) return;
    const window = `at no moment between revision ${lo} and ${hi} was it true`;
    this.#violation(`${describe(operation)}: ${window}: ${result.explanation}`, operation);
  }

  /** `record`: the log's, if it commits. */
  #happen(happening: Happening, record?: LogRecord): void {
    const { operation, rev } = happening;
    const result = this.#attempt(happening, record);
    if (!result.ok) {
      const where = record === undefined ? 'reading at' : 'at';
      this.#violation(`${describe(operation)} ${where} revision ${rev}: ${result.explanation}`, operation);
    }
    if (record !== undefined) this.#commit(record, operation, result);
    else if (result.ok) accept(this.#state, rev, { ...result, outcome: { ...result.outcome, changes: [] } });
  }

  #attempt({ operation: { call }, answer, rev, now }: Happening, record: LogRecord | undefined): StepResult {
    return step(this.#state, call, rev, now, answer, (outcome) => {
      if (record !== undefined) return this.#differs(call, outcome, record) ?? timesDiffer(answer, record);
      if (!outcome.changes.some(({ name }) => !name.startsWith('m'))) return undefined;
      const other = this.#by.get(rev);
      return `it changes something, and revision ${rev} is ${other === undefined ? 'not its own' : `that of ${describe(other)}`}`;
    });
  }

  /** What a command was to delete may have come to its end a moment before. */
  #differs(call: Command, { changes }: Outcome, record: LogRecord): string | undefined {
    return changesDiffer(changes, record, (effect) => {
      return effect.expired === true && mayHaveChanged(call, nameIn(record, effect)) && this.#isEnd(effect, record);
    });
  }

  #commit(record: LogRecord, operation: Operation | undefined, result?: StepResult): void {
    if (result?.ok) for (const entry of result.over) this.#state.seenGone(entry, record.rev);
    const changes = changesIn(record);
    this.#state.apply(changes);
    this.#state.rev = record.rev;
    this.commits += 1;
    if (operation !== undefined) this.#by.set(record.rev, operation);
    this.#claims.recheck(changes);
  }

  /** Nobody was told that it is his. */
  #unclaimed(record: LogRecord): void {
    if (isStart(record)) {
      const next = this.#restarts[this.#restarted];
      if (next?.rev === record.rev) {
        restart(this.#state, next, this.#toleranceMs);
        this.#restarted += 1;
        // Leases have got their grace.
        this.#claims.recheck(Array.from(this.#state.entries.keys(), (name) => ({ name })));
      }
      this.#state.rev = record.rev;
      return;
    }
    const alone = this.#endsByItself(record) || this.#isTakenBack(record);
    const who = this.#placement.place(record.rev, this.#whoCouldHave(record), alone);
    if (who === undefined && !alone) {
      const what = record.effects.map((effect) => describeName(nameIn(record, effect))).join(', ');
      this.#violation(`Revision ${record.rev} belongs to nobody: it changes ${what}`);
    }
    this.#commit(record, who?.operation);
  }

  #whoCouldHave(record: LogRecord): Unanswered[] {
    const [first] = record.effects;
    const named = first === undefined ? [] : (this.#byName.get(nameIn(record, first)) ?? []);
    const candidates = [...named, ...this.#clears];
    return candidates.filter(({ operation: { call }, lo, hi, now }) => {
      if (record.rev <= lo || record.rev > hi) return false;
      const id = record.effects.find(({ kind, value }) => kind === 'i'.charCodeAt(0) && value !== undefined);
      const body = id && storedIn(id.value!).body;
      // What was stored is what would have been answered.
      const answer = body && { at: now.hi, status: 200, body, rev: record.rev };
      const differs = (outcome: Outcome): string | undefined => this.#differs(call, outcome, record);
      return step(this.#state, call, record.rev, now, answer, differs).ok;
    });
  }

  #endsByItself(record: LogRecord): boolean {
    return record.effects.every((effect) => this.#isEnd(effect, record));
  }

  #isEnd(effect: LogEffect, record: LogRecord): boolean {
    const { by, rev } = record;
    const name = nameIn(record, effect);
    const entry = this.#state.entries.get(name);
    if (entry === undefined) return false;
    if (!name.startsWith('l')) {
      const { till } = entry as KvEntry | StoredEntry;
      return effect.expired === true && till !== undefined && till.lo <= by;
    }
    const lock = entry as LockEntry;
    const { lease, forget } = lock;
    if (effect.value === undefined) return effect.expired === true && forget !== undefined && forget.lo <= by;
    if (lease === undefined) return false;
    // A lease that has got its grace is written down when its old time comes.
    if (lockIn(effect.value).lease !== undefined) return effectDiffers(lock, effect, rev) === undefined;
    const from = (lease.maybeOver ?? lease.till).lo;
    const ended = end(lockNow(lock, true), 'expired', new Span(from, by), lockMemoryMs);
    return from <= by && effectDiffers(ended, effect, rev) === undefined;
  }

  /** A lock that nobody was told of is given back when the server finds that its client is gone. */
  #isTakenBack(record: LogRecord): boolean {
    const [effect, ...more] = record.effects;
    const lock = effect && (this.#state.entries.get(nameIn(record, effect)) as LockEntry | undefined);
    if (effect?.value === undefined || more.length > 0 || lock?.lease === undefined) return false;
    const { lease } = lock;
    const holder = this.#by.get(lease.fence);
    if (holder === undefined || holder.answer !== undefined) return false;
    const ended = end(lock, 'released', new Span(lease.since.lo, record.by), lockMemoryMs);
    return effectDiffers(ended, effect, record.rev) === undefined;
  }

  #violation(message: string, operation?: Operation): void {
    this.#violations.push({
      verdict: 'violation',
      message: `${message}.`,
      operations: operation === undefined ? [] : [operation.id],
    });
  }
}

function mayHaveChanged(call: Command, name: string): boolean {
  if (changedBy(call).includes(name)) return true;
  return (
    call.kind === 'batch' && call.clear !== undefined && name.startsWith(nameOf('kv', call.account, call.clear.prefix))
  );
}

/** A grant says when it ends: that is what the log must say. */
function timesDiffer(answer: Answer | undefined, record: LogRecord): string | undefined {
  const said = answer?.body.TillMs;
  const lease = record.effects.find(({ kind, value }) => kind === 'l'.charCodeAt(0) && value?.startsWith('{"lease"'));
  if (said === undefined || lease === undefined || lease.till === said) return undefined;
  return `TillMs: ${lease.till} in the log, got ${said}`;
}
