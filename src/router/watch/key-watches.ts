/**
 * All watchers that wait for a key to change. The front end asks the shard once for each watcher and key ("is it still
 * at this version?"). The shard reports the next change once to each front end, with a finished reply: ten thousand
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
import type { ReplySink, Cancelable, WatchedKey } from '../dispatcher.ts';
import type { WatchKey, WatchLock } from '../../protocol/operations/watch.ts';
import { watchBytes, WatchLoads, type WatchCounts, type WatchLoad } from './watch-loads.ts';

/** Of a question; the watch itself is counted with its keys. */
const questionBytes = 256;

interface Watcher {
  readonly account: AccountId;
  readonly sink: ReplySink;
  readonly load: WatchLoad;
  readonly interests: Interest[];
  /** Questions that the shards have not answered yet. */
  unanswered: number;
  /** The wait has run out; the watcher ends when all its questions are answered. */
  late: boolean;
  /** Cancels the timer that ends the wait. */
  stopWaiting: () => void;
  done: boolean;
}

/** One key of a watcher: takes the shard's answer to the question, then the changes that come after it. */
class Interest implements ReplySink {
  readonly disconnected = false;
  readonly bytes = questionBytes;
  readonly key: string;
  readonly version: number;
  readonly lock: true | undefined;
  readonly watcher: Watcher;
  /** The last question. Cancelling one that still waits for a batch over several shards stops it. */
  asked: Cancelable | undefined;
  /** The shard reports every change after this revision; undefined: it has not answered yet. */
  #registered: Revision | undefined;
  readonly #watches: KeyWatches;

  constructor(watches: KeyWatches, watcher: Watcher, { key, version, lock }: WatchedKey) {
    this.#watches = watches;
    this.watcher = watcher;
    this.key = key;
    this.version = version;
    this.lock = lock;
  }

  /** Of what it watches. */
  get name(): string {
    return watchName({ account: this.watcher.account, key: this.key, lock: this.lock });
  }

  /** A new question is on its way. */
  ask(): void {
    this.#registered = undefined;
    this.watcher.unanswered += 1;
  }

  deliver(reply: Reply): void {
    this.watcher.unanswered -= 1;
    if (reply.outcome === 'registered') this.#registered = reply.rev;
    this.#watches.answered(this.watcher, reply);
  }

  /** Returns whether the shard made this change after it had registered this interest. */
  concerns(event: KeyEvent): boolean {
    return this.#registered !== undefined && event.rev > this.#registered;
  }
}

export interface KeyWatchesOptions {
  /** Asks a shard, by way of the router. */
  readonly request: (command: WatchKey | WatchLock, sink: ReplySink) => Cancelable;
  readonly unwatch: (watched: { readonly account: AccountId; readonly key: string; readonly lock?: true }) => void;
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
      unanswered: 0,
      late: false,
      stopWaiting: () => {},
      done: false,
    };
    const { after } = this.#options;
    this.#watchers.add(watcher);
    watcher.stopWaiting = after(waitMs, () => this.#runOut(watcher));
    for (const watched of keys) {
      if (watcher.done) break;
      const interest = new Interest(this, watcher, watched);
      watcher.interests.push(interest);
      const { name } = interest;
      const waiting = this.#waiting.get(name);
      if (waiting === undefined) this.#waiting.set(name, new Set([interest]));
      else waiting.add(interest);
      this.#ask(interest);
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
      if (!interest.concerns(event)) continue;
      if (interest.version !== event.version) this.#finish(interest.watcher, reply);
      else this.#ask(interest);
    }
  }

  /** Takes a shard's answer to a question of this watcher. */
  answered(watcher: Watcher, reply: Reply): void {
    if (reply.outcome !== 'registered') this.#finish(watcher, reply);
    else if (watcher.late) this.#runOut(watcher);
  }

  drain(): void {
    const message = 'The server is going down; nothing was missed: watch again with the same version.';
    for (const watcher of this.#watchers)
      this.#finish(watcher, failureReply(revision(0), failure('draining', message)));
  }

  #ask(interest: Interest): void {
    const { watcher, key, version, lock } = interest;
    const { account } = watcher;
    interest.ask();
    const command: WatchKey | WatchLock =
      lock === undefined
        ? { kind: 'watch.key', account, key, version }
        : { kind: 'watch.lock', account, id: key, version };
    interest.asked = this.#options.request(command, interest);
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
    for (const interest of watcher.interests) {
      interest.asked?.cancel();
      const { name, key, lock } = interest;
      const waiting = this.#waiting.get(name);
      if (waiting === undefined) continue;
      waiting.delete(interest);
      if (waiting.size > 0) continue;
      this.#waiting.delete(name);
      const { account } = watcher;
      this.#options.unwatch(lock === undefined ? { account, key } : { account, key, lock });
    }
  }
}

const nothing: Reply = { rev: 0 as Revision, outcome: 'none', body: '' };
