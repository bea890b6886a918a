/**
 * A batch under evaluation: what it would write, and which conditions fail. Nothing happens until the write set is
 * sealed with a revision and committed.
 */
import { hasLapsed, type Entry } from '../../../protocol/entries.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import type { Failure } from '../../../protocol/errors.ts';
import { sections, type Batch, type SectionName } from '../../../protocol/operations/operations.ts';
import type { Kind } from '../../../protocol/record.ts';
import type { FailedItem } from '../../../protocol/wire/shard-messages.ts';
import type { ShardState } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import { WriteSet } from '../state/write-set.ts';

/** Exceeds the operations of any batch, so that each step of each section has a range of places. */
const placesOfStep = 1e9;

export class BatchEvaluation {
  readonly writeSet = new WriteSet();
  readonly failed: FailedItem[] = [];
  readonly turn: Turn;
  readonly batch: Batch;
  /** What its `ops` have taken apart and put together so far, see `opsBytesMax`. */
  opsBytes = 0;
  /** Of the values that it merges into. */
  mergedBytes = 0;
  #step = 0;
  #section: SectionName = 'guard';
  #index = 0;

  constructor(turn: Turn, batch: Batch) {
    this.turn = turn;
    this.batch = batch;
  }

  get state(): ShardState {
    return this.turn.state;
  }

  get account(): AccountId {
    return this.batch.account;
  }

  get now(): number {
    return this.turn.now;
  }

  /** Of the operation under way, within its section. */
  get index(): number {
    return this.#index;
  }

  /** Attributes further failures to this operation. `step` grows in the order in which failures are listed. */
  enter(step: number, section: SectionName, index: number): void {
    this.#step = step;
    this.#section = section;
    this.#index = index;
  }

  /** @param field the field of the request that is at fault; by default the operation itself */
  fail(failure: Failure, field: string = this.#field()): void {
    this.failed.push({ field, place: this.#step * placesOfStep + this.#index, ...failure });
  }

  /** Returns the entry, unless its time is over. */
  entry(kind: Kind, key: string): Entry | undefined {
    const entry = this.state.entries.get(kind, this.batch.account, key);
    return entry !== undefined && hasLapsed(entry, this.now) ? undefined : entry;
  }

  #field(): string {
    const { body, list } = sections[this.#section];
    return list ? `${body}[${this.#index}]` : body;
  }
}
