/**
 * Clients that watch single keys, prefixes poll by poll, or prefixes as a stream. A prefix watcher remembers its
 * position over crashes and restarts. It must get every later event exactly once, in order, each commit whole (I10), or
 * be refused with `compacted`.
 */
import { type AccountId, revision } from '../../src/protocol/ids.ts';
import { kinds } from '../../src/protocol/record.ts';
import type { Reply } from '../../src/protocol/replies.ts';
import type { Cancelable, StreamSink } from '../../src/router/dispatcher.ts';
import type { Router } from '../../src/router/router.ts';
import type { ReplyBody } from '../support/reply-body.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import type { Timeline } from './timeline.ts';
import type { FailureCode } from './faults.ts';
import { Violation, type Counts } from './trace.ts';
import { replyStatus } from '../support/reply-status.ts';

interface Event {
  readonly Key: string;
  readonly Version: number;
  readonly Rev: number;
  readonly Value?: unknown;
  readonly Deleted?: true;
  readonly Expired?: true;
}

export interface Seen {
  /** Call when something that depends on this revision has left the server. */
  readonly show: (rev: number, what: string) => void;
  readonly counts: Counts;
  readonly random: SeededRandom;
  readonly timeline: Timeline;
}

export class PrefixWatcher {
  readonly #seen: Seen;
  readonly #account: AccountId;
  readonly #prefix: string;
  readonly #streams: boolean;
  #position: number | undefined;
  #pending: Cancelable | undefined;
  #resume: (() => void) | undefined;
  /** Distinguishes this watch from an earlier one that may still answer. */
  #watch = 0;

  constructor(seen: Seen, account: AccountId, prefix: string, streams: boolean) {
    this.#seen = seen;
    this.#account = account;
    this.#prefix = prefix;
    this.#streams = streams;
  }

  get waits(): boolean {
    return this.#pending !== undefined;
  }

  /** The revision up to which the watcher has been given everything. */
  get position(): number {
    return this.#position ?? 0;
  }

  /** Call when all messages have arrived: the watcher must have every durable event. */
  checkIdle(): void {
    if (!this.waits || this.#resume !== undefined || this.#position === undefined) return;
    const missing = this.#expected(this.#position, this.#seen.timeline.synced);
    if (missing.length > 0)
      throw new Violation(`I10: a watcher after ${this.#position} did not get ${missing.join(' ')}`);
  }

  start(router: Router): void {
    this.#watch += 1;
    const watch = this.#watch;
    const after = this.#position;
    const ask = {
      account: this.#account,
      prefix: this.#prefix,
      ...(after === undefined ? {} : { after: revision(after) }),
    };
    this.#pending = { cancel: () => {} };
    if (!this.#streams) {
      const waitMs = this.#seen.random.below(4000);
      const limit = 1 + this.#seen.random.below(5);
      const { shown } = this.#seen.timeline;
      const deliver = (reply: Reply): void => this.#answered(watch, reply, { limit, shown });
      const pending = router.watchPrefix({ ...ask, waitMs, limit }, { disconnected: false, deliver });
      if (this.#pending !== undefined) this.#pending = pending;
      return;
    }
    const pending = router.streamPrefix(ask, this.#sink(watch));
    if (this.#pending !== undefined) this.#pending = pending;
  }

  /** Lets the reader of a stream take more. */
  resume(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    resume?.();
  }

  /** The client disconnects, and comes back later at its position. */
  leave(): void {
    this.#watch += 1;
    this.#pending?.cancel();
    this.#pending = undefined;
    this.#resume = undefined;
  }

  /** Call when the server has died. */
  forget(): void {
    this.#watch += 1;
    this.#pending = undefined;
    this.#resume = undefined;
  }

  #sink(watch: number): StreamSink {
    return {
      commit: (rev, events) => {
        if (watch !== this.#watch) throw new Violation('a stream goes on that was cancelled');
        this.#take(
          events.map((event) => JSON.parse(event) as Event),
          rev,
        );
        this.#seen.counts.add('stream commit');
        if (this.#seen.random.below(30) > 0) return true;
        this.#seen.counts.add('slow stream closed');
        return false;
      },
      ready: (resume) => {
        if (this.#seen.random.below(4) > 0) return true;
        this.#resume = resume;
        return false;
      },
      bookmark: (rev) => {
        this.#take([], rev);
        return true;
      },
      end: (reply) => {
        if (reply !== undefined) this.#refused(reply);
        this.forget();
      },
    };
  }

  #answered(watch: number, reply: Reply, { limit, shown }: { limit: number; shown: number }): void {
    if (watch !== this.#watch) throw new Violation('a watch is answered that was cancelled');
    this.forget();
    if (replyStatus(reply) !== 200) return this.#refused(reply);
    const { Events, Rev } = JSON.parse(reply.body) as { Events: Event[]; Rev: number };
    if (Rev !== reply.rev) throw new Violation(`a page up to ${Rev} waited for ${reply.rev}`);
    // A full page ends where it is full.
    if (Events.length < limit && Rev < shown)
      throw new Violation(`I10: a prefix watch ends at ${Rev}, after ${shown} was shown`);
    this.#take(Events, Rev);
    if (Events.length > 0) this.#seen.counts.add('prefix page');
  }

  #refused(reply: Reply): void {
    const { body } = reply;
    const status = replyStatus(reply);
    const { Code, Oldest } = JSON.parse(body) as ReplyBody;
    this.#seen.counts.add(`watch ${Code}`);
    if (Code === 'compacted') {
      // A reader whose own call failed cannot know whether anything came after its position.
      const least = this.#hasFailed('EIO', 'EACCES', 'ENOSPC') ? this.position : this.position + 1;
      if (Oldest < least) throw new Violation(`I10: ${this.position} is refused although ${Oldest} is kept`);
      this.#position = Oldest;
    } else if (Code !== 'draining' && !(Code === 'overloaded' && this.#hasFailed('EMFILE', 'ENFILE')))
      throw new Violation(`I10: a watch after ${this.position} is answered ${status} ${body}`);
  }

  /** Whether a call of a reader may have failed with one of these codes. */
  #hasFailed(...codes: readonly FailureCode[]): boolean {
    const { counts } = this.#seen;
    return codes.some((code) => counts.get(`${code} open`) + counts.get(`${code} read`) > 0);
  }

  /** Checks that the events after the position, up to `rev`, are exactly these. */
  #take(events: readonly Event[], rev: number): void {
    this.#seen.show(rev, 'a prefix watch');
    if (this.#position !== undefined) {
      const expected = this.#expected(this.#position, rev);
      const found = events.map(show);
      if (expected.join('\n') !== found.join('\n')) {
        throw new Violation(
          `I10: after ${this.#position} up to ${rev}\n  expected: ${expected.join(' ')}\n  got:      ${found.join(' ')}`,
        );
      }
    }
    this.#position = rev;
  }

  #expected(after: number, upTo: number): string[] {
    const events: string[] = [];
    for (let rev = after + 1; rev <= upTo; rev += 1) {
      const record = this.#seen.timeline.record(rev);
      if (record?.account !== this.#account) continue;
      for (const { kind, key, value, expired } of record.effects) {
        if (kind !== kinds.kv || !key.startsWith(this.#prefix)) continue;
        if (value !== undefined)
          events.push(show({ Key: key, Version: rev, Rev: rev, Value: JSON.parse(value) as unknown }));
        else
          events.push(show({ Key: key, Version: 0, Rev: rev, Deleted: true, ...(expired ? { Expired: true } : {}) }));
      }
    }
    return events;
  }
}

function show({ Key, Version, Rev, Value, Deleted, Expired }: Event): string {
  return `${Rev} ${Key}@${Version}${Deleted ? ' deleted' : ''}${Expired ? ' expired' : ''}${Value === undefined ? '' : JSON.stringify(Value)}`;
}

export interface CheckedKeyWatch {
  readonly timeline: Timeline;
  readonly account: AccountId;
  /** Key → the version that the watcher has. */
  readonly asked: ReadonlyMap<string, number>;
  readonly now: number;
  /** The highest revision that any client had seen when the watch was sent. */
  readonly shown: number;
}

/** Checks the reply to a watch of single keys. */
export function checkKeyWatch({ timeline, account, asked, now, shown }: CheckedKeyWatch, reply: Reply): void {
  if (replyStatus(reply) === 204) return;
  const { Code, Key, Version, Deleted, Rev } = JSON.parse(reply.body) as ReplyBody;
  if (Code !== undefined) {
    if (Code === 'draining') return;
    throw new Violation(`a key watch is answered ${reply.body}`);
  }
  if (asked.get(Key) === Version)
    throw new Violation(`I10: a watcher that has version ${Version} of ${Key} gets it again`);
  if (Rev !== reply.rev) throw new Violation(`an event of ${Rev} waited for ${reply.rev}`);
  if (Rev < shown) throw new Violation(`I10: a watcher gets ${reply.body}, after ${shown} was shown`);
  const entry = timeline.at(kinds.kv, account, Key, Rev);
  const over = entry !== undefined && entry.till !== 0 && entry.till <= now;
  const right = Version === 0 ? Deleted && (entry === undefined || over) : entry?.rev === Version;
  if (!right) throw new Violation(`I10: a watcher gets ${reply.body}; at ${Rev} the entry is ${JSON.stringify(entry)}`);
}
