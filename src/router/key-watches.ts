/**
 * Everyone who waits for a key to change. The shard is asked once a watcher ("is it still at this version?") and tells
 * of the next change once a front end, with a finished reply: ten thousand watchers of one key share one text.
 */
import type { WatchKey } from '../protocol/commands.ts';
import { failure } from '../protocol/errors.ts';
import type { AccountId, Revision } from '../protocol/ids.ts';
import { revision } from '../protocol/ids.ts';
import type { KeyEvent } from '../protocol/messages.ts';
import { failureReply, type Reply } from '../protocol/replies.ts';
import { nameOf } from '../protocol/scope.ts';
import type { Limits } from '../shared/limits.ts';
import type { Client, Pending, WatchedKey } from './dispatcher.ts';

interface Watcher {
  readonly account: AccountId;
  readonly keys: readonly WatchedKey[];
  readonly client: Client;
  /** The questions to the shards. One that has not set out yet (behind a batch over several shards) never does. */
  readonly asked: Pending[];
  timer: NodeJS.Timeout | undefined;
  done: boolean;
}

export class KeyWatches {
  readonly #router: { request(command: WatchKey, client: Client): Pending };
  readonly #limits: Limits;
  readonly #unwatch: (account: AccountId, key: string) => void;
  /** Account NUL key → who waits for it, with the version that each has. */
  readonly #waiting = new Map<string, Map<Watcher, number>>();
  readonly #watchers = new Set<Watcher>();

  constructor(
    router: { request(command: WatchKey, client: Client): Pending },
    limits: Limits,
    unwatch: (account: AccountId, key: string) => void,
  ) {
    this.#router = router;
    this.#limits = limits;
    this.#unwatch = unwatch;
  }

  get size(): number {
    return this.#watchers.size;
  }

  watch(account: AccountId, keys: readonly WatchedKey[], waitMs: number, client: Client): Pending {
    const watcher: Watcher = { account, keys, client, asked: [], timer: undefined, done: false };
    if (this.#watchers.size >= this.#limits.watchers_max) {
      const message = `${this.#limits.watchers_max} watchers are open already (limits.watchers_max).`;
      client.deliver(failureReply(revision(0), failure('too_many_waiters', message)));
      return { cancel: () => {} };
    }
    this.#watchers.add(watcher);
    watcher.timer = setTimeout(() => this.#finish(watcher, nothing), waitMs);
    for (const { key, version } of keys) {
      if (watcher.done) break;
      const name = nameOf(account, key);
      const waiting = this.#waiting.get(name);
      if (waiting === undefined) this.#waiting.set(name, new Map([[watcher, version]]));
      else waiting.set(watcher, version);
      this.#ask(watcher, key, version);
    }
    return { cancel: () => this.#leave(watcher) };
  }

  /**
   * The change is durable. A watcher that knows this very version already goes on waiting, and the shard is asked again,
   * since its interest has ended with the change. (One that waits for a key whose expiry was still to be committed.)
   */
  changed(event: KeyEvent): void {
    const reply: Reply = { rev: event.rev, status: 200, body: event.body };
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
    const asker: Client = {
      gone: false,
      deliver: (reply) => {
        if (reply.status !== 0) this.#finish(watcher, reply);
      },
    };
    watcher.asked.push(this.#router.request({ kind: 'watch.key', account: watcher.account, key, version }, asker));
  }

  #finish(watcher: Watcher, reply: Reply): void {
    if (watcher.done) return;
    this.#leave(watcher);
    if (!watcher.client.gone) watcher.client.deliver(reply);
  }

  #leave(watcher: Watcher): void {
    if (watcher.done) return;
    watcher.done = true;
    clearTimeout(watcher.timer);
    this.#watchers.delete(watcher);
    for (const asked of watcher.asked) asked.cancel();
    for (const { key } of watcher.keys) {
      const name = nameOf(watcher.account, key);
      const waiting = this.#waiting.get(name);
      if (waiting === undefined) continue;
      waiting.delete(watcher);
      if (waiting.size > 0) continue;
      this.#waiting.delete(name);
      this.#unwatch(watcher.account, key);
    }
  }
}

const nothing: Reply = { rev: 0 as Revision, status: 204, body: '' };
