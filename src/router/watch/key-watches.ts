/**
 * All watchers that wait for a key to change. The front end asks the shard once for each watcher ("is it still at this
 * version?"). The shard reports the next change once to each front end, with a finished reply: ten thousand watchers of
 * one key share one text.
 */
import { failure } from '../../protocol/errors.ts';
import { type AccountId, type Revision, revision } from '../../protocol/ids.ts';
import type { KeyEvent } from '../../protocol/wire/shard-messages.ts';
import { failureReply, type Reply } from '../../protocol/replies.ts';
import { nameOf } from '../../protocol/footprint.ts';
import type { After } from '../../shared/clock.ts';
import type { Limits } from '../../shared/limits.ts';
import type { ReplySink, Cancelable, WatchedKey } from '../dispatcher.ts';
import type { WatchKey } from '../../protocol/operations/watch.ts';
import { watchBytes, WatchLoads, type WatchCounts, type WatchLoad } from './watch-loads.ts';

interface Watcher {
  readonly account: AccountId;
  readonly keys: readonly WatchedKey[];
  readonly sink: ReplySink;
  readonly load: WatchLoad;
  /** The questions to the shards. Cancelling one that still waits for a batch over several shards stops it. */
  readonly asked: Cancelable[];
  /** Cancels the timer that ends the wait. */
  stopWaiting: () => void;
  done: boolean;
}

export interface KeyWatchesOptions {
  /** Asks a shard, by way of the router. */
  readonly request: (command: WatchKey, sink: ReplySink) => Cancelable;
  readonly unwatch: (account: AccountId, key: string) => void;
  readonly limits: Limits;
  /** Of all front ends. */
  readonly counts: WatchCounts;
  readonly after: After;
}

export class KeyWatches {
  readonly #options: KeyWatchesOptions;
  /** Account NUL key → the watchers of the key, with the version that each has. */
  readonly #waiting = new Map<string, Map<Watcher, number>>();
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
    const watcher: Watcher = { account, keys, sink, load, asked: [], stopWaiting: () => {}, done: false };
    const { after } = this.#options;
    this.#watchers.add(watcher);
    watcher.stopWaiting = after(waitMs, () => this.#finish(watcher, nothing));
    for (const { key, version } of keys) {
      if (watcher.done) break;
      const name = nameOf(account, key);
      const waiting = this.#waiting.get(name);
      if (waiting === undefined) this.#waiting.set(name, new Map([[watcher, version]]));
      else waiting.set(watcher, version);
      this.#ask(watcher, key, version);
    }
    return { waits: true, cancel: () => this.#leave(watcher) };
  }

  /**
   * Takes a change that is durable. A watcher that already has this version goes on waiting, and asks the shard again,
   * because the change has ended its interest. (It watches a key whose expiry was not committed yet.)
   */
  changed(event: KeyEvent): void {
    const reply: Reply = { rev: event.rev, outcome: 'ok', body: event.body };
    for (const [watcher, version] of this.#waiting.get(nameOf(event.account, event.key)) ?? []) {
      if (version !== event.version) this.#finish(watcher, reply);
      else this.#ask(watcher, event.key, version);
    }
  }

  drain(): void {
    const message = 'The server is going down; nothing was missed: watch again with the same version.';
    for (const watcher of this.#watchers)
      this.#finish(watcher, failureReply(revision(0), failure('draining', message)));
  }

  #ask(watcher: Watcher, key: string, version: number): void {
    const asker: ReplySink = {
      disconnected: false,
      bytes: questionBytes,
      deliver: (reply) => {
        if (reply.outcome !== 'registered') this.#finish(watcher, reply);
      },
    };
    const command: WatchKey = { kind: 'watch.key', account: watcher.account, key, version };
    watcher.asked.push(this.#options.request(command, asker));
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
    for (const asked of watcher.asked) asked.cancel();
    for (const { key } of watcher.keys) {
      const name = nameOf(watcher.account, key);
      const waiting = this.#waiting.get(name);
      if (waiting === undefined) continue;
      waiting.delete(watcher);
      if (waiting.size > 0) continue;
      this.#waiting.delete(name);
      this.#options.unwatch(watcher.account, key);
    }
  }
}

/** The watch itself is counted with its keys. */
const questionBytes = 256;
const nothing: Reply = { rev: 0 as Revision, outcome: 'none', body: '' };
