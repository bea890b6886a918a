/**
 * What a shard remembers of its queues: the beginning of each line, as the entries have it. Nothing here is needed: a
 * line that was forgotten is read again, so a start loads nothing, and a queue that nobody touches costs no memory.
 *
 * Fresh messages are those in front of which nobody has passed. A mark on disk says how far they have been handed out;
 * it is written with every 1000th, so a line that is read anew passes at most so many that were delivered.
 */
import type { Entries } from '../../../protocol/entries.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import { kinds } from '../../../protocol/record.ts';
import { rememberedQueuesMax } from '../../../shared/limits.ts';
import { GroupFirsts } from './group-firsts.ts';
import { LineWindow } from './line-window.ts';
import { decodeQueue, partPrefix, plainQueue, type PartLetter, type QueueRecord } from './queue-records.ts';

/** Keys read at a time, and the bytes of their entries after which a read ends early. */
const readAhead = 64;
const readAheadBytes = 1024 * 1024;
/** Fresh messages that are handed out before the mark is written again. */
export const markEvery = 1000;
const priorityChars = '0123456789';

export class QueueLine {
  readonly record: QueueRecord;
  /** Keys of fresh messages, and of what is ready again: priority and place. */
  readonly fresh = new LineWindow();
  readonly again = new LineWindow();
  readonly firsts = new GroupFirsts();
  readonly #entries: Entries;
  readonly #account: AccountId;
  readonly #queue: string;
  /** By priority: no message up to this place is fresh. */
  readonly #marks: Map<string, string>;
  #sinceMark = 0;
  constructor(entries: Entries, account: AccountId, queue: string) {
    this.#entries = entries;
    this.#account = account;
    this.#queue = queue;
    const stored = entries.get(kinds.queue, account, partPrefix(queue, 'p', 0));
    this.record = stored === undefined ? plainQueue : decodeQueue(stored.value, stored.rev);
    const mark = entries.get(kinds.queue, account, partPrefix(queue, 'h', 0));
    this.#marks = new Map(mark === undefined ? [] : (JSON.parse(mark.value.slice(1)) as [string, string][]));
  }

  prefix(letter: PartLetter): string {
    const { generation, deletions } = this.record;
    if (letter === 'h' || letter === 'p' || letter === 'o') return partPrefix(this.#queue, letter, 0);
    return partPrefix(this.#queue, letter, letter === 'x' ? deletions : generation);
  }

  /** Makes the windows hold `wanted` keys each, or all that there are. */
  fill(wanted: number): void {
    if (!this.fresh.complete && this.fresh.keys.length < wanted) this.#readFresh(Math.max(wanted, readAhead));
    if (!this.again.complete && this.again.keys.length < wanted) this.#readAgain(Math.max(wanted, readAhead));
  }

  /** The text of the mark, if it is to be written with this delivery. `taken` are the keys of fresh messages in it. */
  markAfter(taken: readonly string[]): string | undefined {
    if (taken.length === 0 || this.#sinceMark + taken.length < markEvery) return undefined;
    const marks = new Map(this.#marks);
    for (const key of taken) marks.set(key.charAt(0), key.slice(1));
    return `h${JSON.stringify([...marks])}`;
  }

  /** Follows a change of an entry. `part` is its key after the name of the queue. */
  note(letter: string, rest: string, value: string | undefined): void {
    if (letter === 'm') {
      if (value === undefined) this.fresh.remove(rest);
      else if (!this.#isKnown(rest)) this.fresh.add(rest);
    } else if (letter === 's') {
      if (value?.[1] === 'm') this.#handedOut(value.charAt(2), rest);
    } else if (letter === 'r') {
      if (value === undefined) this.again.remove(rest);
      else this.again.add(rest);
    } else if (letter === 'h') {
      this.#sinceMark = 0;
    } else if (letter === 'g' && value !== undefined) this.firsts.placed(rest);
  }

  /** A message whose end in time is taken off is put again: it is not fresh. */
  #isKnown(rest: string): boolean {
    const mark = this.#marks.get(rest.charAt(0));
    return mark !== undefined && rest.slice(1) <= mark;
  }

  #handedOut(priority: string, place: string): void {
    if (!this.fresh.remove(priority + place)) return;
    this.#sinceMark += 1;
    const mark = this.#marks.get(priority);
    if (mark === undefined || place > mark) this.#marks.set(priority, place);
  }

  #readFresh(wanted: number): void {
    const keys: string[] = [];
    let bytes = 0;
    const prefix = this.prefix('m');
    const states = this.prefix('s');
    for (const priority of priorityChars) {
      const mark = this.#marks.get(priority);
      const from = prefix + priority;
      const rows = this.#entries.range(kinds.queue, this.#account, from, mark === undefined ? undefined : from + mark);
      let passed: string | undefined;
      const before = keys.length;
      for (const { key, entry } of rows) {
        const place = key.slice(from.length);
        if (this.#entries.get(kinds.queue, this.#account, states + place) !== undefined) {
          if (keys.length === before) passed = place;
          this.#sinceMark += 1;
          continue;
        }
        if (keys.length >= wanted || bytes >= readAheadBytes) {
          if (passed !== undefined) this.#marks.set(priority, passed);
          return this.fresh.set(keys, false);
        }
        bytes += entry.value.length;
        keys.push(priority + place);
      }
      if (passed !== undefined) this.#marks.set(priority, passed);
    }
    this.fresh.set(keys, true);
  }

  #readAgain(wanted: number): void {
    const prefix = this.prefix('r');
    // What stands here may be behind what has been passed.
    const { passed, keys: before } = this.again;
    const keys = passed === undefined ? [] : before.filter((key) => key <= passed);
    const after = passed === undefined ? undefined : prefix + passed;
    for (const { key } of this.#entries.range(kinds.queue, this.#account, prefix, after)) {
      if (keys.length >= wanted) return this.again.set(keys, false);
      keys.push(key.slice(prefix.length));
    }
    this.again.set(keys, true);
  }
}

export class QueueLines {
  /** By account and queue; the one used last is last. */
  readonly #lines = new Map<string, QueueLine>();
  /** Messages that were delivered since the start, and those of them that had been delivered before. */
  deliveries = 0;
  redeliveries = 0;

  countDeliveries(messages: readonly { readonly attempts: number }[]): void {
    this.deliveries += messages.length;
    for (const { attempts } of messages) if (attempts > 1) this.redeliveries += 1;
  }

  /** The queues that were used last, at most so many. */
  lastUsed(most: number): { readonly account: AccountId; readonly queue: string }[] {
    const names = [...this.#lines.keys()].slice(-most);
    return names.map((name) => {
      const end = name.indexOf('\0');
      return { account: name.slice(0, end) as AccountId, queue: name.slice(end + 1) };
    });
  }

  get size(): number {
    return this.#lines.size;
  }

  of(entries: Entries, account: AccountId, queue: string): QueueLine {
    const name = `${account}\0${queue}`;
    let line = this.#lines.get(name);
    if (line === undefined) line = new QueueLine(entries, account, queue);
    else this.#lines.delete(name);
    this.#lines.set(name, line);
    if (this.#lines.size > rememberedQueuesMax) this.#lines.delete(this.#lines.keys().next().value!);
    return line;
  }

  /** Forgets all queues of an account. */
  forget(account: AccountId): void {
    for (const name of this.#lines.keys()) if (name.startsWith(`${account}\0`)) this.#lines.delete(name);
  }

  /** Follows a change of an entry of kind `q`. @returns the name of its queue */
  note(account: AccountId, key: string, value: string | undefined): string {
    const queue = key.slice(0, key.indexOf('\0'));
    if (this.#lines.size === 0) return queue;
    const name = `${account}\0${queue}`;
    const line = this.#lines.get(name);
    if (line === undefined) return queue;
    const letter = key.charAt(queue.length + 1);
    // A policy, a pause or a purge: what was read before may be of another generation.
    if (letter === 'p') this.#lines.delete(name);
    else {
      const prefix = line.prefix(letter as PartLetter);
      if (key.startsWith(prefix)) line.note(letter, key.slice(prefix.length), value);
    }
    return queue;
  }
}
