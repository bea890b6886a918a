/** The two readers of a prefix: `PollReader` answers one request, `StreamReader` feeds a stream until it ends. */
import type { AccountId, Revision } from '../../protocol/ids.ts';
import { kinds, type CommitRecord } from '../../protocol/record.ts';
import type { Reply } from '../../protocol/replies.ts';
import { keyEventBody } from '../../protocol/key-event-body.ts';
import { pageBytesMax } from '../../shared/limits.ts';
import type { PrefixWatch, StreamSink } from '../dispatcher.ts';

export interface PrefixReader {
  readonly account: AccountId;
  readonly prefix: string;
  /** The reader has been given everything up to here. */
  readonly position: Revision;
  /** Takes one commit with events under the prefix. */
  commit(rev: Revision, events: readonly string[], pace: 'live' | 'history'): void;
  /** Returns whether it takes more history now; if not, calls `resume` when it does. */
  ready(resume: () => void): boolean;
  /** The reader has seen everything that is durable, up to and including `position`. */
  caughtUp(position: Revision): void;
  end(reply: Reply): void;
}

/** The events of one commit, as JSON texts, each made once for all readers. */
export class EventTexts {
  readonly #record: CommitRecord;
  readonly #texts: (string | undefined)[] = [];

  constructor(record: CommitRecord) {
    this.#record = record;
  }

  under(prefix: string): string[] {
    const { rev, effects } = this.#record;
    const events: string[] = [];
    effects.forEach(({ kind, key, value, expired }, i) => {
      if (kind !== kinds.kv || !key.startsWith(prefix)) return;
      const version = value === undefined ? 0 : rev;
      events.push((this.#texts[i] ??= keyEventBody(rev, { key, version, value, expired })));
    });
    return events;
  }
}

export class PollReader implements PrefixReader {
  readonly account: AccountId;
  readonly prefix: string;
  readonly #limit: number;
  readonly #answer: (reply: Reply) => void;
  readonly #events: string[] = [];
  #bytes = 0;
  #position: Revision;
  #done = false;

  constructor(watch: PrefixWatch, position: Revision, answer: (reply: Reply) => void) {
    this.account = watch.account;
    this.prefix = watch.prefix;
    this.#limit = watch.limit;
    this.#position = position;
    this.#answer = answer;
  }

  get position(): Revision {
    return this.#position;
  }

  commit(rev: Revision, events: readonly string[]): void {
    if (this.#done) return;
    this.#position = rev;
    for (const event of events) {
      this.#events.push(event);
      this.#bytes += event.length;
    }
    if (this.#events.length >= this.#limit || this.#bytes >= pageBytesMax) this.#reply();
  }

  ready(): boolean {
    return true;
  }

  caughtUp(position: Revision): void {
    if (this.#done || position < this.#position) return;
    this.#position = position;
    if (this.#events.length > 0) this.#reply();
  }

  /** Returns no event, but the revision reached: a watch that resumes from there reads nothing twice. */
  timedOut(): Reply {
    return this.#page();
  }

  end(reply: Reply): void {
    if (this.#done) return;
    this.#done = true;
    this.#answer(reply);
  }

  #reply(): void {
    this.end(this.#page());
  }

  #page(): Reply {
    const rev = this.#position;
    return { rev, outcome: 'ok', body: `{"Events":[${this.#events.join(',')}],"Rev":${rev}}` };
  }
}

export class StreamReader implements PrefixReader {
  readonly account: AccountId;
  readonly prefix: string;
  readonly #sink: StreamSink;
  readonly #leave: () => void;
  #position: Revision;
  /** The stream has been told its position. */
  #bookmarked = false;
  #done = false;

  constructor(watch: Omit<PrefixWatch, 'waitMs' | 'limit'>, position: Revision, sink: StreamSink, leave: () => void) {
    this.account = watch.account;
    this.prefix = watch.prefix;
    this.#position = position;
    this.#sink = sink;
    this.#leave = leave;
  }

  get position(): Revision {
    return this.#position;
  }

  commit(rev: Revision, events: readonly string[], pace: 'live' | 'history'): void {
    if (this.#done) return;
    this.#position = rev;
    if (this.#sink.commit(rev, events, pace)) return;
    this.#leave();
    this.end();
  }

  ready(resume: () => void): boolean {
    return this.#sink.ready(resume);
  }

  caughtUp(position: Revision): void {
    if (this.#done || position < this.#position || (this.#bookmarked && position === this.#position)) return;
    this.#position = position;
    this.#bookmarked = true;
    this.#sink.bookmark(position);
  }

  end(reply?: Reply): void {
    if (this.#done) return;
    this.#done = true;
    this.#sink.end(reply);
  }
}
