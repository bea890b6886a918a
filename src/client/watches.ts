/**
 * Watches as async iterators: `for await (const … of client.watch.key('flag'))`. They survive lost connections and
 * restarts of the server. They end when the loop is left (`break`, or `return()` at any time), their signal fires, or
 * the client is closed.
 *
 * **Keys** show the latest state: several changes between two polls appear as one. **A prefix** shows every commit, in
 * order, each once, none missing. It begins with a list, and the commits that follow apply to it. If the watch lags so
 * far that the server's history no longer reaches back to its position, another list replaces the missed commits.
 */
import { showCallers } from './caller.ts';
import { entryOf, type WireEntry } from './batch-from-wire.ts';
import type { Entry } from './batch-result.ts';
import type { CallSender } from './call-sender.ts';
import { anId, anInteger, gotText, invalid } from './checks.ts';
import { CompactedError, DragonLockError } from './errors.ts';
import type { KeyValues, Page } from './kv.ts';
import { lockStates } from './lock-states.ts';
import { leavable } from './leavable.ts';
import { checkList, checkOptions, type NamesOf } from './option-names.ts';
import type {
  Change,
  KeyState,
  LockState,
  PrefixEvent,
  WatchKeyOptions,
  WatchOptions,
  WatchPrefixOptions,
} from './watch-events.ts';
import { isTransient } from './retry.ts';
import { TransportError } from './transport.ts';

/** Milliseconds that one request waits in the server. */
const pollMs = 30_000;
/** Keys in one request. */
const keysMax = 1000;

const watchNames: NamesOf<WatchOptions> = { signal: true };
const keyNames: NamesOf<WatchKeyOptions> = { version: true, signal: true };
const prefixNames: NamesOf<WatchPrefixOptions> = { after: true, signal: true };
const itemNames = { key: true, version: true } as const;

/** Watches: `client.watch`. Each is an async iterator that ends with its loop, its signal, or the client. */
export class Watches {
  static {
    showCallers(this, 'key', 'keys', 'prefix', 'lock');
  }

  readonly #sender: CallSender;
  readonly #kv: KeyValues;

  constructor(sender: CallSender, kv: KeyValues) {
    this.#sender = sender;
    this.#kv = kv;
  }

  /** The current state of a key, then each change. */
  key<Value = unknown>(key: string, options: WatchKeyOptions = {}): AsyncGenerator<KeyState<Value>, never, undefined> {
    checkOptions(options, keyNames);
    anId(key, 'key');
    const { version, signal } = options;
    if (version !== undefined) anInteger(version, 'version', 0);
    return this.keys<Value>([version === undefined ? key : { key, version }], { signal });
  }

  /** The current state of each key, then each change. A key can come with the version that the watcher knows. */
  keys<Value = unknown>(
    keys: readonly (string | { readonly key: string; readonly version: number })[],
    options: WatchOptions = {},
  ): AsyncGenerator<KeyState<Value>, never, undefined> {
    checkOptions(options, watchNames);
    checkList(keys, 'keys');
    for (const [i, item] of keys.entries()) {
      if (typeof item !== 'string') {
        checkOptions(item, itemNames, `keys[${i}]`);
        anInteger(item.version, `keys[${i}].version`, 0);
      }
      anId(typeof item === 'string' ? item : item.key, `keys[${i}]`);
    }
    return leavable(options.signal, (stop) => this.#keys<Value>(keys, stop));
  }

  async *#keys<Value>(
    keys: readonly (string | { readonly key: string; readonly version: number })[],
    signal: AbortSignal,
  ): AsyncGenerator<KeyState<Value>, never, undefined> {
    const versions = new Map<string, number>();
    const unknown: string[] = [];
    for (const item of keys) {
      if (typeof item === 'string') unknown.push(item);
      else versions.set(item.key, item.version);
    }
    for (let i = 0; i < unknown.length; i += keysMax) {
      const part = unknown.slice(i, i + keysMax);
      const entries = await this.#persist(() => this.#kv.getAll<Value>(part, { signal }), signal);
      for (const [j, key] of part.entries()) {
        const entry = entries[j];
        versions.set(key, entry?.version ?? 0);
        yield entry === undefined
          ? { kind: 'none', key, version: 0, expired: false }
          : { kind: 'value', key, version: entry.version, value: entry.value };
      }
    }
    for (;;) {
      const IDs = [...versions].map(([ID, Version]) => ({ ID, Version }));
      const seen = await this.#poll({ IDs, Wait: pollMs / 1000 }, signal);
      if (seen === undefined) continue;
      const { Key, Version, Value, Expired } = seen as unknown as WireState;
      // The server looks at the keys in order. To its end with this one, so that it cannot hide changes of the others.
      versions.delete(Key);
      versions.set(Key, Version);
      yield Version === 0
        ? { kind: 'none', key: Key, version: 0, expired: Expired === true }
        : { kind: 'value', key: Key, version: Version, value: Value as Value };
    }
  }

  /**
   * Who holds a lock, then each grant and each end of a lease; not when one is renewed. Of a lock that several hold:
   * when it is first held, and each end.
   */
  lock(id: string, options: WatchKeyOptions = {}): AsyncGenerator<LockState, never, undefined> {
    checkOptions(options, keyNames);
    anId(id, 'id');
    const { version, signal } = options;
    if (version !== undefined) anInteger(version, 'version', 0);
    return leavable(signal, (stop) => lockStates(id, version, (body) => this.#poll(body, stop)));
  }

  /** Everything under a prefix, then each commit that changes it: in order, each once, none missing. */
  prefix<Value = unknown>(
    prefix: string,
    options: WatchPrefixOptions = {},
  ): AsyncGenerator<PrefixEvent<Value>, never, undefined> {
    checkOptions(options, prefixNames);
    if (typeof prefix !== 'string') throw invalid(`prefix: expected a string, got ${gotText(prefix)}`);
    const { after, signal } = options;
    if (after !== undefined) anInteger(after, 'after', 0);
    return leavable(signal, (stop) => this.#prefix<Value>(prefix, after, stop));
  }

  async *#prefix<Value>(
    prefix: string,
    after: number | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<PrefixEvent<Value>, never, undefined> {
    let rev = after;
    let pages = new Pages();
    for (;;) {
      if (rev === undefined) {
        pages = new Pages();
        const entries: Entry<Value>[] = [];
        let next: string | undefined;
        do {
          const from: string | undefined = next;
          const page: Page<Value> = await this.#persist(
            () => this.#kv.page<Value>({ prefix, after: from, limit: 1000, signal }),
            signal,
          );
          pages.add(page);
          entries.push(...page.entries);
          rev ??= page.rev;
          next = page.after;
        } while (next !== undefined);
        yield { kind: 'list', entries, rev };
      }
      try {
        const seen = await this.#poll({ Prefix: prefix, After: rev, Wait: pollMs / 1000, Limit: 1000 }, signal);
        if (seen === undefined) continue;
        const { Events, Rev } = seen as unknown as WireEvents;
        for (const commit of commitsOf(Events)) {
          const changes = commit.filter((event) => !pages.shows(event.Key, event.Rev)).map(changeOf<Value>);
          if (changes.length > 0) yield { kind: 'commit', changes, rev: commit[0]!.Rev };
        }
        rev = Rev;
      } catch (error) {
        if (!(error instanceof CompactedError)) throw error;
        rev = undefined;
      }
    }
  }

  /** @returns undefined if nothing has happened */
  async #poll(body: object, signal: AbortSignal | undefined): Promise<Readonly<Record<string, unknown>> | undefined> {
    const text = JSON.stringify(body);
    const answer = await this.#persist(
      () =>
        this.#sender.call({
          method: 'POST',
          path: `/watch/${this.#sender.settings.account}`,
          body: () => text,
          retry: 'safe',
          waitMs: pollMs,
          signal,
        }),
      signal,
    );
    return answer.status === 204 ? undefined : answer.body;
  }

  /** Retries without end: a watch outlives any downtime for as long as its loop runs. */
  async #persist<Result>(ask: () => Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await ask();
      } catch (error) {
        const transient = error instanceof DragonLockError && (error.code === 'unreachable' || isTransient(error.code));
        if (!transient || this.#sender.closed || this.#isHopeless(error)) throw error;
        await this.#sender.pause(attempt, signal);
      }
    }
  }

  /** No server ever answered, and this address never can: a mistake in the settings, not a downtime. */
  #isHopeless({ cause }: DragonLockError): boolean {
    return !this.#sender.contacted && cause instanceof TransportError && cause.permanent;
  }
}

interface WireState {
  readonly Key: string;
  readonly Version: number;
  readonly Value?: unknown;
  readonly Expired?: boolean;
}

interface WireEvent extends WireEntry {
  readonly Rev: number;
  readonly Deleted?: boolean;
  readonly Expired?: boolean;
}

interface WireEvents {
  readonly Events: readonly WireEvent[];
  readonly Rev: number;
}

function* commitsOf(events: readonly WireEvent[]): Generator<WireEvent[]> {
  let commit: WireEvent[] = [];
  for (const event of events) {
    if (commit.length > 0 && commit[0]!.Rev !== event.Rev) {
      yield commit;
      commit = [];
    }
    commit.push(event);
  }
  if (commit.length > 0) yield commit;
}

function changeOf<Value>(event: WireEvent): Change<Value> {
  const entry = entryOf(event);
  if (entry === undefined) return { kind: 'delete', key: event.Key, expired: event.Expired === true };
  return { kind: 'set', ...(entry as Entry<Value>) };
}

/**
 * Knows what a list has shown. Its pages show different moments, and the watch continues from the first one. A commit
 * that a later page already shows must not be reported again.
 */
class Pages {
  readonly #pages: { readonly upTo: Buffer | undefined; readonly rev: number }[] = [];
  #last = 0;

  add({ after, rev }: Page): void {
    this.#pages.push({ upTo: after === undefined ? undefined : Buffer.from(after), rev });
    this.#last = rev;
  }

  shows(key: string, rev: number): boolean {
    if (rev > this.#last) return false;
    const bytes = Buffer.from(key);
    const page = this.#pages.find(({ upTo }) => upTo === undefined || Buffer.compare(bytes, upTo) <= 0);
    return page !== undefined && rev <= page.rev;
  }
}
