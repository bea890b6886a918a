/** Claims: failures and replays that do not say when they were true, but have to have been within their window. */
import { namesOf } from './command-names.ts';
import type { Change } from '../contract/state.ts';
import type { Claim } from './witness-checker.ts';

export interface ClaimJudge {
  /** False: nothing is to be said about it. */
  readonly opens: (claim: Claim) => boolean;
  readonly isTrue: (claim: Claim) => boolean;
  /** Its window has closed, and it has not been true in it. */
  readonly wasNeverTrue: (claim: Claim) => void;
}

export class OpenClaims {
  readonly #opening: readonly Claim[];
  readonly #closing: readonly Claim[];
  readonly #judge: ClaimJudge;
  /** Those that are open and have not been true yet, by the names that could make them true. */
  readonly #open = new Map<string, Set<Claim>>();
  #opened = 0;
  #closed = 0;

  constructor(claims: readonly Claim[], judge: ClaimJudge) {
    this.#opening = claims.toSorted((a, b) => a.lo - b.lo);
    this.#closing = claims.toSorted((a, b) => a.hi - b.hi);
    this.#judge = judge;
  }

  /** The next commit has this revision. */
  passTo(rev: number): void {
    for (; (this.#opening[this.#opened]?.lo ?? Infinity) < rev; this.#opened++)
      this.#start(this.#opening[this.#opened]!);
    for (; (this.#closing[this.#closed]?.hi ?? Infinity) < rev; this.#closed++)
      this.#close(this.#closing[this.#closed]!);
  }

  /** There is nothing more to come. */
  end(): void {
    this.passTo(Infinity);
    for (; this.#closed < this.#closing.length; this.#closed++) this.#close(this.#closing[this.#closed]!);
  }

  /** These have changed. */
  recheck(changes: readonly Change[]): void {
    if (this.#open.size === 0) return;
    for (const { name } of changes) {
      for (const claim of this.#open.get(name) ?? []) {
        if (this.#judge.isTrue(claim)) this.#forget(claim, namesOf(claim.operation.call));
      }
    }
  }

  #start(claim: Claim): void {
    if (!this.#judge.opens(claim) || this.#judge.isTrue(claim)) return;
    for (const name of namesOf(claim.operation.call)) {
      const waiting = this.#open.get(name);
      if (waiting === undefined) this.#open.set(name, new Set([claim]));
      else waiting.add(claim);
    }
  }

  #close(claim: Claim): void {
    const names = namesOf(claim.operation.call);
    const isOpen = names.some((name) => this.#open.get(name)?.has(claim));
    this.#forget(claim, names);
    if (isOpen) this.#judge.wasNeverTrue(claim);
  }

  #forget(claim: Claim, names: readonly string[]): void {
    for (const name of names) {
      const waiting = this.#open.get(name);
      if (waiting?.delete(claim) && waiting.size === 0) this.#open.delete(name);
    }
  }
}
