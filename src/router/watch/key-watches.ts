/**
 * All watchers that wait for a key to change. The front end asks each shard once for each watcher ("are these keys still
 * at these versions?"). The shard reports a key's next change once to each front end, with a finished reply: ten thousand
 * watchers of one key share one text.
 *
 *   asked ──another version──► answered
 *     └──registered at R──► waits ──a change after R──► answered (asked again if it is the version that it has)
 *
 * Only the shard's own answer tells what the key was when the watch began. A change that the shard reported before it
 * took the question is older than what it answers, and may still be on its way here for an earlier watcher: the client
 * may know of later ones, through this front end or another. So a watcher ignores every change up to the revision at
 * which it was registered. For the same reason a watch does not end with "nothing happened" before the shard has
 * answered, however short its wait is (docs/decisions/0039-a-watch-begins-at-its-shard.md).
 */
import { failure } from '../../protocol/errors.ts';
import { type AccountId, type Revision, revision } from '../../protocol/ids.ts';
import type { KeyEvent } from '../../protocol/wire/shard-messages.ts';
import { failureReply, type Reply } from '../../protocol/replies.ts';
import { watchName } from '../../protocol/footprint.ts';
import type { After } from '../../shared/clock.ts';
import type { Limits } from '../../shared/limits.ts';
import type { ReplySink, Cancelable, WatchedKey, WatchInfo } from '../dispatcher.ts';
import type { WatchKey, WatchLock } from '../../protocol/operations/watch.ts';
import { someWatches } from './some-watches.ts';
import { watchBytes, WatchLoads, type WatchCounts, type WatchLoad } from './watch-loads.ts';

/** Of a key of a question; the watch itself is counted with its keys. */
const questionBytes = 256;

interface Watcher {
  readonly account: AccountId;
  readonly sink: ReplySink;
  readonly load: WatchLoad;
  readonly interests: Interest[];
  /** Questions on their way; for each what cancels it: one that still waits for a batch over several shards stops. */
  readonly asked: Set<Question>;
  /** Those that the shards have not answered yet. */
  unanswered: number;
  /** The wait has run out; the watcher ends when all its questions are answered. */
  late: boolean;
  /** Cancels the timer that ends the wait. */
  stopWaiting: () => void;
  done: boolean;
}

/** One key of a watcher. */
interface Interest {
  readonly key: string;
  readonly version: number;
  readonly lock: true | undefined;
  readonly watcher: Watcher;
  /** The shard reports every change after this revision; undefined: it has not answered yet. */
  registered: Revision | undefined;
}

/** What one shard is asked about some keys of a watcher. After its answer come the changes. */
class Question implements ReplySink {
  readonly disconnected = false;
  readonly bytes: number;
  readonly #watcher: Watcher;
  readonly #interests: readonly Interest[];
  readonly #watches: KeyWatches;
  cancelable: Cancelable | undefined;

  constructor(watches: KeyWatches, watcher: Watcher, interests: readonly Interest[]) {
    this.#watches = watches;
    this.#watcher = watcher;
    this.#interests = interests;
    this.bytes = questionBytes * interests.length;
    for (const interest of interests) interest.registered = undefined;
    watcher.unanswered += 1;
    watcher.asked.add(this);
  }

  get command(): WatchKey | WatchLock {
    const { account } = this.#watcher;
    const [{ key, version, lock }, ...others] = this.#interests as [Interest, ...Interest[]];
    if (lock !== undefined) return { kind: 'watch.lock', account, id: key, version };
    const also = others.map((other) => ({ key: other.key, version: other.version }));
    return { kind: 'watch.key', account, key, version, ...(also.length > 0 && { also }) };
  }

  deliver(reply: Reply): void {
    this.#watcher.unanswered -= 1;
    this.#watcher.asked.delete(this);
    if (reply.outcome === 'registered') for (const interest of this.#interests) interest.registered = reply.rev;
    this.#watches.answered(this.#watcher, reply);
  }
}

/** Returns whether the shard made this change after it had registered this interest. */
function concerns({ registered }: Interest, event: KeyEvent): boolean {
  return registered !== undefined && event.rev > registered;
}

function nameIn({ watcher, key, lock }: Interest): string {
  return watchName({ account: watcher.account, key, lock });
}

export interface Unwatched {
  readonly account: AccountId;
  readonly keys: readonly string[];
  readonly lock?: true;
}

export interface KeyWatchesOptions {
  /** Asks a shard, by way of the router. */
  readonly request: (command: WatchKey | WatchLock, sink: ReplySink) => Cancelable;
  readonly shardOf: (account: AccountId, key: string) => number;
  readonly unwatch: (shard: number, unwatched: Unwatched) => void;
  readonly limits: Limits;
  /** Of all front ends. */
  readonly counts: WatchCounts;
  readonly after: After;
}

export class KeyWatches {
  readonly #options: KeyWatchesOptions;
  /** By `watchName`: the interests in it. */
  readonly #waiting = new Map<string, Set<Interest>>();
  readonly #watchers = new Set<Watcher>();
  readonly #loads: WatchLoads;

  constructor(options: KeyWatchesOptions) {
    this.#options = options;
    this.#loads = new WatchLoads(options.limits, options.counts);
  }

  watch(account: AccountId, keys: readonly WatchedKey[], waitMs: number, sink: ReplySink): Cancelable {
    const load: WatchLoad = { kind: 'keyWatches', use: this.#loads.use(account), bytes: watchBytes(keys) };
    const refused = this.#loads.take(load);
    if (refused !== undefined) {
      sink.deliver(failureReply(revision(0), refused));
      return { cancel: () => {} };
    }
    const watcher: Watcher = {
      account,
      sink,
      load,
      interests: [],
      asked: new Set(),
      unanswered: 0,
      late: false,
      stopWaiting: () => {},
      done: false,
    };
    const { after } = this.#options;
    this.#watchers.add(watcher);
    watcher.stopWaiting = after(waitMs, () => this.#runOut(watcher));
    for (const { key, version, lock } of keys) {
      const interest: Interest = { watcher, key, version, lock, registered: undefined };
      watcher.interests.push(interest);
      const name = nameIn(interest);
      const waiting = this.#waiting.get(name);
      if (waiting === undefined) this.#waiting.set(name, new Set([interest]));
      else waiting.add(interest);
    }
    for (const interests of this.#byShard(watcher).values()) {
      if (watcher.done) break;
      this.#ask(watcher, interests);
    }
    return { waits: true, cancel: () => this.#leave(watcher) };
  }

  /**
   * Takes a change that is durable. A watcher that already has this version goes on waiting, and asks the shard again,
   * because the change has ended its interest. (It watches a key whose expiry was not committed yet.)
   */
  changed(event: KeyEvent): void {
    const reply: Reply = { rev: event.rev, outcome: 'ok', body: event.body };
    for (const interest of this.#waiting.get(watchName(event)) ?? []) {
      if (!concerns(interest, event)) continue;
      if (interest.version !== event.version) this.#finish(interest.watcher, reply);
      else this.#ask(interest.watcher, [interest]);
    }
  }

  /** Takes a shard's answer to a question of this watcher. */
  answered(watcher: Watcher, reply: Reply): void {
    if (reply.outcome !== 'registered') this.#finish(watcher, reply);
    else if (watcher.late) this.#runOut(watcher);
  }

  /** Some of the watchers. Looks at a bounded number, whichever account is asked for. */
  list(of: AccountId | undefined, limit: number): WatchInfo[] {
    return someWatches(this.#watchers, { of, limit }, ({ account, interests }) => {
      return { Account: account, Kind: 'keys', Key: interests[0]?.key ?? '', Keys: interests.length };
    });
  }

  drain(): void {
    const message = 'The server is going down; nothing was missed: watch again with the same version.';
    for (const watcher of this.#watchers)
      this.#finish(watcher, failureReply(revision(0), failure('draining', message)));
  }

  #ask(watcher: Watcher, interests: readonly Interest[]): void {
    const question = new Question(this, watcher, interests);
    question.cancelable = this.#options.request(question.command, question);
  }

  #byShard({ account, interests }: Watcher): Map<number, readonly Interest[]> {
    return Map.groupBy(interests, ({ key }) => this.#options.shardOf(account, key));
  }

  /** Ends the wait. Until every shard has answered, nobody knows that nothing has happened. */
  #runOut(watcher: Watcher): void {
    watcher.late = true;
    if (watcher.unanswered === 0) this.#finish(watcher, nothing);
  }

  #finish(watcher: Watcher, reply: Reply): void {
    if (watcher.done) return;
    this.#leave(watcher);
    if (!watcher.sink.disconnected) watcher.sink.deliver(reply);
  }

  #leave(watcher: Watcher): void {
    if (watcher.done) return;
    watcher.done = true;
    watcher.stopWaiting();
    this.#watchers.delete(watcher);
    this.#loads.give(watcher.load);
    for (const question of watcher.asked) question.cancelable?.cancel();
    for (const [shard, interests] of this.#byShard(watcher)) {
      const { account } = watcher;
      const keys = interests.filter((interest) => this.#forget(interest)).map(({ key }) => key);
      // A watch is one of keys, or of a lock.
      const [{ lock }] = interests as [Interest];
      if (keys.length > 0)
        this.#options.unwatch(shard, lock === undefined ? { account, keys } : { account, keys, lock });
    }
  }

  /** @returns whether nobody watches its key any more */
  #forget(interest: Interest): boolean {
    const name = nameIn(interest);
    const waiting = this.#waiting.get(name);
    if (waiting === undefined) return false;
    waiting.delete(interest);
    if (waiting.size > 0) return false;
    this.#waiting.delete(name);
    return true;
  }
}

const nothing: Reply = { rev: 0 as Revision, outcome: 'none', body: '' };
