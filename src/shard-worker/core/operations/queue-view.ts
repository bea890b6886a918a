/**
 * A queue as a batch sees it that is being evaluated, or an expiry: the entries, and over them what it has changed so
 * far. All changes go into a write set; nothing happens before that is committed.
 */
import { hasLapsed } from '../../../protocol/entries.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import { kinds } from '../../../protocol/record.ts';
import { lockGraceMs } from '../../../shared/limits.ts';
import type { QueueLine } from '../state/queue-lines.ts';
import { openPlace } from '../state/places.ts';
import {
  decodeGroup,
  decodeState,
  encodeGroup,
  encodeState,
  outOf,
  parsePlace,
  placeText,
  type GroupRecord,
  type PartLetter,
  type QueueRecord,
  type StateRecord,
} from '../state/queue-records.ts';
import type { ShardState } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import type { WriteSet } from '../state/write-set.ts';

/** Length of a place in a key: its revision, and the index within the commit. */
const indexLength = 4;
const kind = kinds.queue;

/** An entry, or a change of one; `rev` 0: the revision of this commit. */
export interface Part {
  readonly rev: number;
  readonly till: number;
  readonly value: string;
}

export type PartOf<RecordType> = RecordType & { readonly rev: number; readonly till: number };

export class QueueView {
  readonly state: ShardState;
  readonly now: number;
  readonly account: AccountId;
  readonly queue: string;
  readonly line: QueueLine;
  readonly writeSet: WriteSet;

  constructor(
    { state, now }: Pick<Turn, 'state' | 'now'>,
    { account, queue, writeSet }: { account: AccountId; queue: string; writeSet: WriteSet },
  ) {
    this.state = state;
    this.now = now;
    this.account = account;
    this.queue = queue;
    this.writeSet = writeSet;
    this.line = state.queues.of(state.entries, account, queue);
  }

  get record(): QueueRecord {
    return this.line.record;
  }

  find(letter: PartLetter, rest: string): Part | undefined {
    const key = this.line.prefix(letter) + rest;
    const pending = this.writeSet.find(kind, key);
    if (pending !== undefined) {
      const { value, till } = pending;
      return value === undefined ? undefined : { rev: 0, till, value };
    }
    return this.state.entries.get(kind, this.account, key);
  }

  stateOf(place: string): PartOf<StateRecord> | undefined {
    const part = this.find('s', place);
    return part === undefined ? undefined : { ...decodeState(part.value), rev: part.rev, till: part.till };
  }

  groupOf(group: string): PartOf<GroupRecord> | undefined {
    const part = this.find('G', group);
    return part === undefined ? undefined : { ...decodeGroup(part.value), rev: part.rev, till: part.till };
  }

  putState(place: string, record: StateRecord, till = 0): void {
    this.put('s', place, encodeState(record), till);
  }

  putGroup(group: string, record: GroupRecord, till = 0): void {
    this.put('G', group, encodeGroup(record), till);
  }

  put(letter: PartLetter, rest: string, value: string, till = 0): void {
    const key = this.line.prefix(letter) + rest;
    const placeAt = key.length - indexLength - openPlace.length;
    const isOpen = letter !== 'G' && key.startsWith(openPlace, placeAt);
    this.writeSet.put(isOpen ? { kind, key, till, value, opens: placeAt } : { kind, key, till, value });
  }

  drop(letter: PartLetter, rest: string, expired = false): void {
    const key = this.line.prefix(letter) + rest;
    const isStored = this.state.entries.get(kind, this.account, key) !== undefined;
    this.writeSet.drop(expired ? { kind, key, till: 0, expired } : { kind, key, till: 0 }, isStored);
  }

  /**
   * The messages of a group in order, without those that this commit deletes or adds.
   * @param behind a place
   */
  *groupMessages(
    group: string,
    behind?: string,
  ): Generator<{ readonly place: string; readonly part: Part }, void, undefined> {
    const prefix = `${this.line.prefix('g')}${group}\0`;
    const first = this.line.firsts.of(group);
    const isWhole = behind === undefined || (first !== undefined && behind < first);
    const from = isWhole ? first && placeBefore(first) : behind;
    const after = from === undefined ? undefined : prefix + from;
    let isFirst = isWhole;
    for (const { key, entry } of this.state.entries.range(kind, this.account, prefix, after)) {
      const pending = this.writeSet.find(kind, key);
      const place = key.slice(prefix.length);
      if (isFirst) this.line.firsts.set(group, place);
      isFirst = false;
      if (pending === undefined) yield { place, part: entry };
      else if (pending.value !== undefined) {
        yield { place, part: { rev: 0, till: pending.till, value: pending.value } };
      }
    }
    if (isFirst) this.line.firsts.set(group, undefined);
  }

  hasLapsed(part: Pick<Part, 'till'>): boolean {
    return hasLapsed(part, this.now);
  }

  /** The place that this commit gives to what becomes ready, behind all that is. */
  nextPlace(): { readonly rev: 0; readonly index: number } {
    return { rev: 0, index: this.writeSet.takePlace() };
  }

  /** When a lease ends. One from before this start lasts as long as a lock does that was held over it. */
  leaseEnd({ rev, till }: Pick<Part, 'rev' | 'till'>, durMs: number): number {
    const { boot } = this.state;
    if (rev === 0 || rev > boot.rev) return till;
    return Math.min(Math.max(till, boot.at + Math.min(durMs, lockGraceMs)), boot.at + durMs);
  }

  /** Messages in every state, the dead too. */
  messages(): number {
    return this.#count((letter) => (letter === 'm' || letter === 'd' || letter === 'g' || letter === 'z' ? 1 : 0));
  }

  /** Messages that are out. */
  live(): number {
    return this.#count((letter, state) => (letter === 's' ? Number(state === 'f') : letter === 'G' ? outOf(state) : 0));
  }

  /** Sums up over the entries of this generation, with what this commit changes. */
  #count(weigh: (letter: string, state: string) => number): number {
    const { queue, line, state, account } = this;
    const ofGeneration = line.prefix('m').slice(queue.length + 2);
    let sum = 0;
    for (const { part, entries } of state.entries.partsOf(kind, account, queue)) {
      if (part.slice(1, -1) === ofGeneration) sum += entries * weigh(part[0]!, part.at(-1)!);
    }
    for (const { kind: of, key, value } of this.writeSet.all()) {
      if (of !== kind || !key.startsWith(`${queue}\0`) || !key.startsWith(ofGeneration, queue.length + 2)) continue;
      const letter = key.charAt(queue.length + 1);
      const before = state.entries.get(kind, account, key);
      if (before !== undefined) sum -= weigh(letter, before.value[0]!);
      if (value !== undefined) sum += weigh(letter, value[0]!);
    }
    return sum;
  }
}

/** The place before this one: no message has it, or it is further to the front. */
export function placeBefore(place: string): string {
  const { rev, index } = parsePlace(place);
  return index > 0 ? placeText(rev, index - 1) : `${placeText(rev - 1, 0).slice(0, 11)}vvvv`;
}
