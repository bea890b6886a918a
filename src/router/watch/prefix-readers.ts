/** The two readers of a prefix: `PollReader` answers one request, `StreamReader` feeds a stream until it ends. */
import type { AccountId, Revision } from '../../protocol/ids.ts';
import { kinds, type CommitRecord } from '../../protocol/record.ts';
import type { Reply } from '../../protocol/replies.ts';
import { keyEventBody } from '../../protocol/key-event-body.ts';
import { changesBody } from '../../protocol/page.ts';
import { changedLines } from '../../shard-worker/core/operations/export-lines.ts';
import { pageBytesMax } from '../../shared/limits.ts';
import type { PrefixWatch, StreamSink } from '../dispatcher.ts';

/** In the place of a prefix, which has no NUL: everything that the account has. */
const wholeAccount = '\0';

export interface PrefixReader {
  readonly account: AccountId;
  readonly prefix: string;
  /** The reader has been given everything up to here. */
  readonly position: Revision;
  /** Takes one commit with events under the prefix. */
  commit(rev: Revision, events: readonly string[], pace: 'live' | 'history'): void;
  /** Returns whether it takes more history now; if not, calls `resume` when it does. */
  ready(resume: () => void): boolean;
  /** The reader has been handed everything up to and including `position`; more is to follow. */
  handed(position: Revision): void;
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

  /** @param prefix `wholeAccount`: as lines of an export */
  under(prefix: string): readonly string[] {
    if (prefix === wholeAccount) return changedLines(this.#record);
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

/**
 * Even when its wait runs out, a poll is not answered before it has read all that was durable when it began: otherwise
 * it would say "no event" of what was acknowledged before.
 */
export class PollReader implements PrefixReader {
  readonly account: AccountId;
  readonly prefix: string;
  readonly #changesTo: Revision | undefined;
  readonly #limit: number;
  /** What was durable when the poll began. */
  readonly #target: Revision;
  readonly #answer: (reply: Reply) => void;
  readonly #events: string[] = [];
  #bytes = 0;
  #position: Revision;
  /** The wait has run out. */
  #late = false;
  #done = false;

  constructor(watch: PrefixWatch, durable: Revision, answer: (reply: Reply) => void) {
    this.account = watch.account;
    this.prefix = watch.changesTo === undefined ? watch.prefix : wholeAccount;
    this.#changesTo = watch.changesTo;
    this.#limit = watch.limit;
    this.#position = watch.after ?? durable;
    this.#target = durable;
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

  handed(position: Revision): void {
    if (this.#late && position >= this.#target) this.caughtUp(position);
  }

  caughtUp(position: Revision): void {
    if (this.#done || position < this.#position) return;
    this.#position = position;
    if (this.#events.length > 0) this.#reply();
    else if (this.#late) this.runOut();
  }

  /** Ends the wait: answers what there is, and the revision reached, so that the next poll reads nothing twice. */
  runOut(): void {
    this.#late = true;
    if (this.#position >= this.#target) this.#reply();
  }

  end(reply: Reply): void {
    if (this.#done) return;
    this.#done = true;
    this.#answer(reply);
  }

  #reply(): void {
    const rev = this.#position;
    if (this.#changesTo !== undefined)
      return this.end({ rev, outcome: 'ok', body: changesBody(this.#events, rev, this.#changesTo) });
    this.end({ rev, outcome: 'ok', body: `{"Events":[${this.#events.join(',')}],"Rev":${rev}}` });
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

  handed(): void {
    // A stream tells its position only when it is up to date.
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
