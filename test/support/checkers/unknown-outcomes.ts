/**
 * Operations that nobody was answered. Each happened once, or not at all, and always as a whole. What they left behind
 * tells which it was, in two ways:
 *
 *   pinned   somebody saw a version, a fence or a stored reply whose revision no answer accounts for: the operation
 *            that wrote it is known, and is replayed at that revision like any other
 *   placed   an answer that the model cannot explain may be explained by what was not answered: those that touch the
 *            same things are tried, at revisions that are free, since which nobody has written anything of theirs, and
 *            which what was read meanwhile does not contradict
 *
 * The search is greedy and bounded. What it chooses among alternatives may turn out wrong later: names that could have
 * been touched otherwise are remembered as doubtful, and what goes wrong with them is `undecided`, not a violation.
 */
import type { Command } from '../../../src/protocol/operations/operations.ts';
import { evidenceIn } from './evidence.ts';
import { changedBy, namesOf, setBy, withoutNames, listed } from './command-names.ts';
import { Span } from '../contract/expected.ts';
import { mayCommit, type Answer, type Operation } from './history.ts';
import { nameOf, type ContractState, type Entry, type Kind } from '../contract/state.ts';
import { step, type StepResult } from './step.ts';

export interface Unknown {
  readonly operation: Operation;
  readonly names: readonly string[];
  /** Those of them that it may change. */
  readonly changes: readonly string[];
  /** Those of them that it would give a value of its version. */
  readonly sets: readonly string[];
  /** Its revision is in (lo, hi], if it has one. */
  readonly lo: number;
  readonly hi: number;
  readonly now: Span;
  /** Equal ones can stand for each other. */
  readonly like: string;
  /** Where it happened, once that is known. */
  rev?: number;
  /** Somebody saw its revision; otherwise that is a guess. */
  pinned?: true;
  /** The reply that was stored, when it was shown to somebody later. */
  answer?: Answer;
}

/** An answer that an operation placed before it must not contradict. */
export interface Read {
  readonly rev: number;
  /** Whether it agrees with the state as it is now; undefined if other things have changed since. */
  readonly stillTrue: () => boolean | undefined;
}

type Agreed = Extract<StepResult, { ok: true }>;

/** How many steps the search for one explanation may take. */
const stepsMax = 2000;
/** How many reads since the last write are asked whether they could have seen what is placed before them. */
const readsMax = 100;
/** How far back a free revision is looked for. */
const lookBackMax = 1000;

export class UnknownOutcomes {
  readonly all: Unknown[] = [];
  readonly used: Set<number>;
  readonly doubtful = new Set<string>();
  /** Revisions that one of these has taken, nobody knows which. */
  readonly #reserved = new Map<number, Set<Unknown>>();
  readonly #byName = new Map<string, Unknown[]>();
  /** The revision at which a name was last written; only of names that matter here. */
  readonly #written = new Map<string, number>();
  /** The revision at which an answer last told all about it, and agreed with the model. */
  readonly #told = new Map<string, number>();
  /** What was said of it since. */
  readonly #reads = new Map<string, Read[]>();
  /** Versions that somebody read, and the revision up to which they stood at least. */
  readonly #seen = new Map<string, { readonly until: Map<number, number>; sorted?: number[] }>();

  /** `used`: revisions that are taken by what was answered, or pinned; it grows. */
  constructor(used: Set<number>) {
    this.used = used;
  }

  add(operation: Operation, lo: number, hi: number, now: Span): Unknown | undefined {
    const { call } = operation;
    if (!mayCommit(call)) return undefined;
    const unknown: Unknown = {
      operation,
      names: namesOf(call),
      changes: changedBy(call),
      sets: setBy(call),
      lo,
      hi,
      now,
      like: JSON.stringify(call),
    };
    this.all.push(unknown);
    for (const name of unknown.names) {
      const others = this.#byName.get(name);
      if (others === undefined) this.#byName.set(name, [unknown]);
      else others.push(unknown);
    }
    return unknown;
  }

  /** What a command touches, as far as it matters here: of a list what is known to be touched by others. */
  namesOf(call: Command): readonly string[] {
    const kind = (listed as Readonly<Record<string, Kind | undefined>>)[call.kind];
    if (kind === undefined) return namesOf(call);
    const prefix = nameOf(kind, call.account, (call as { readonly prefix: string }).prefix);
    return [...this.#byName.keys()].filter((name) => name.startsWith(prefix));
  }

  /** Those that are not known to have happened, and touch one of the names. */
  touching(names: readonly string[]): Unknown[] {
    return this.unsureOf(names).filter(({ rev }) => rev === undefined);
  }

  /** Those too of which it is only a guess where they happened. */
  unsureOf(names: readonly string[]): Unknown[] {
    const found = new Set(names.flatMap((name) => this.#byName.get(name) ?? []));
    return [...found].filter(({ pinned }) => !pinned);
  }

  wrote(names: readonly string[], rev: number): void {
    for (const name of names) {
      if (!this.#byName.has(name)) continue;
      this.#written.set(name, rev);
      this.#reads.delete(name);
    }
  }

  /** An answer told all about them, and agreed with the model. */
  told(names: readonly string[], rev: number): void {
    for (const name of names) if (this.#byName.has(name)) this.#told.set(name, rev);
  }

  read(names: readonly string[], read: Read): void {
    for (const name of names) {
      if (!this.#byName.has(name)) continue;
      const reads = this.#reads.get(name);
      if (reads === undefined) this.#reads.set(name, [read]);
      else if (reads.push(read) > readsMax) reads.shift();
    }
  }

  /** Learns from what an answer shows of others' commits; returns those that it proves to have happened. */
  learn(operation: Operation, readAt: number): Unknown[] {
    const found: Unknown[] = [];
    for (const { name, rev, wrote, version, stored } of evidenceIn(operation)) {
      if (!this.#byName.has(name)) continue;
      if (version) {
        const { until } = this.#seen.get(name) ?? { until: new Map<number, number>() };
        until.set(rev, Math.max(readAt, until.get(rev) ?? 0));
        this.#seen.set(name, { until });
      }
      const pinned = this.#pin(name, rev, wrote);
      if (pinned === undefined) continue;
      // What was stored then is what would have been answered.
      if (stored !== undefined) pinned.answer = { at: pinned.now.hi, status: 200, body: stored, rev };
      found.push(pinned);
    }
    return found;
  }

  #pin(name: string, rev: number, wrote: (operation: Operation) => boolean): Unknown | undefined {
    if (this.used.has(rev)) return undefined;
    const candidates = (this.#byName.get(name) ?? []).filter(
      (unknown) => unknown.rev === undefined && unknown.lo < rev && rev <= unknown.hi && wrote(unknown.operation),
    );
    const [first] = candidates;
    if (first === undefined) return undefined;
    // Among different ones only the search can choose.
    if (candidates.some(({ like }) => like !== first.like)) {
      this.#reserved.set(rev, new Set(candidates));
      return undefined;
    }
    first.rev = rev;
    first.pinned = true;
    this.used.add(rev);
    return first;
  }

  /**
   * One of the unknown that may be behind what was found at this revision, though no explanation was: one whose time
   * was not over when an answer last told all about a name that it changes; or one that was placed, perhaps before that
   * answer, which is no more than a guess.
   */
  mayHaveMattered(names: readonly string[], rev: number): Unknown | undefined {
    return this.unsureOf(names).find(({ lo, hi, changes, rev: placed }) => {
      if (lo >= rev) return false;
      return changes.some((name) => names.includes(name) && (placed !== undefined || (this.#told.get(name) ?? 0) < hi));
    });
  }

  /**
   * Makes some of the unknown happen, so that `agrees` is satisfied at `rev`; the state is changed accordingly.
   * `rev` itself is free for them when the one who asks only reads.
   */
  explain(
    state: ContractState,
    names: readonly string[],
    rev: number,
    agrees: () => StepResult,
    catchUp: (unknown: Unknown) => void,
  ): { readonly result: Agreed; readonly chosen: readonly Unknown[] } | undefined {
    const candidates = this.touching(names).filter(
      ({ lo, changes }) => lo < rev && changes.some((name) => names.includes(name)),
    );
    if (candidates.length === 0) return undefined;
    state.remember();
    const chosen: Unknown[] = [];
    const gone: [Entry, number][] = [];
    let steps = 0;
    const tryAt = (unknown: Unknown, at: number): Agreed | undefined => {
      steps += 1;
      const happened = step(state, this.#whatIsLeft(unknown, at), at, unknown.now, undefined);
      if (!happened.ok) return undefined;
      const mark = state.mark;
      state.apply(happened.outcome.changes);
      catchUp(unknown);
      unknown.rev = at;
      this.used.add(at);
      chosen.push(unknown);
      const result = this.#contradictsReads(unknown, at) ? undefined : agrees();
      const found = result?.ok ? result : result && search();
      if (found !== undefined) {
        for (const entry of happened.over) gone.push([entry, at]);
        return found;
      }
      chosen.pop();
      this.used.delete(at);
      delete unknown.rev;
      state.undo(mark);
      return undefined;
    };
    const search = (): Agreed | undefined => {
      const tried = new Set<string>();
      for (const unknown of candidates) {
        if (unknown.rev !== undefined || tried.has(unknown.like)) continue;
        for (const at of this.#revisionsFor(unknown, names, rev)) {
          tried.add(unknown.like);
          const found = steps < stepsMax ? tryAt(unknown, at) : undefined;
          if (found !== undefined) return found;
        }
      }
      return undefined;
    };
    const result = search();
    state.keep();
    if (result === undefined) return undefined;
    for (const [entry, at] of gone) state.seenGone(entry, at);
    for (const { names: changed, rev: at } of chosen) {
      for (const name of changed) this.#written.set(name, Math.max(at!, this.#written.get(name) ?? 0));
    }
    const likes = new Set(chosen.map(({ like }) => like));
    for (const other of candidates) {
      if (other.rev !== undefined || likes.has(other.like)) continue;
      for (const name of [...other.names, ...chosen.flatMap((unknown) => unknown.names)]) this.doubtful.add(name);
    }
    return { result, chosen };
  }

  /** Where it may have happened: where one of its kind did, or else as late as possible, when fewer have read it. */
  #revisionsFor(unknown: Unknown, asked: readonly string[], rev: number): number[] {
    const { names, changes, sets, lo, hi } = unknown;
    const written = (name: string): number => this.#written.get(name) ?? 0;
    // Something of what is asked about has to be left of it.
    const floor = Math.max(lo, Math.min(...changes.filter((name) => asked.includes(name)).map(written)));
    const top = Math.min(rev, hi);
    const untouched = Math.max(floor, ...names.map(written));
    const known: number[] = [];
    let latest: number | undefined;
    for (let at = top; at > floor && at > top - lookBackMax; at--) {
      // Where others have written since, only if there is no better place.
      if (at <= untouched && latest !== undefined && this.#reserved.size === 0) break;
      if (this.used.has(at) || this.#contradicted(sets, at)) continue;
      const reserved = this.#reserved.get(at);
      if (reserved?.has(unknown)) known.push(at);
      else if (reserved === undefined) latest ??= at;
    }
    return latest === undefined ? known : [...known, latest];
  }

  #whatIsLeft({ operation: { call }, names }: Unknown, at: number): Command {
    const covered = names.filter((name) => (this.#written.get(name) ?? 0) > at);
    return covered.length === 0 ? call : withoutNames(call, new Set(covered));
  }

  #contradictsReads({ names }: Unknown, at: number): boolean {
    const reads = new Set(names.flatMap((name) => this.#reads.get(name) ?? []));
    return [...reads].some((read) => read.rev >= at && read.stillTrue() === false);
  }

  /** Whether somebody read, at or after this revision, a version from before it. */
  #contradicted(names: readonly string[], at: number): boolean {
    return names.some((name) => {
      const seen = this.#seen.get(name);
      if (seen === undefined) return false;
      seen.sorted ??= [...seen.until.keys()].toSorted((a, b) => a - b);
      const before = seen.sorted.findLast((version) => version < at);
      return before !== undefined && seen.until.get(before)! >= at;
    });
  }
}
