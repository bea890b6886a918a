/** Counters: integers within ±(2^53−1). A counter that does not exist counts as 0. */
import { showCallers } from './caller.ts';
import { counterName } from './call-names.ts';
import type { AtomicOperation } from './batch.ts';
import { anId, type Duration } from './checks.ts';
import { NotFoundError } from './errors.ts';
import { checkListArguments, type PageOptions } from './kv.ts';
import { leavable } from './leavable.ts';
import { checkOptions, type NamesOf } from './option-names.ts';
import { pathOf } from './paths.ts';
import { checkCallOptions, type CallOptions, type StoreCalls } from './store-calls.ts';

/** Options of `counter.add`. */
export interface CounterAddOptions extends CallOptions {
  /** Only if this does not lower the counter below `floor`. Otherwise: `OutOfBoundsError`. */
  readonly floor?: number | undefined;
  /** Only if this does not raise the counter above `ceil`. Otherwise: `OutOfBoundsError`. */
  readonly ceil?: number | undefined;
  /** Milliseconds, or `'1m'`, after which the counter ends if this makes it: a window. */
  readonly ttl?: Duration | undefined;
}

/** A counter with its value. */
export interface CounterEntry {
  /** Name of the counter. */
  readonly key: string;
  /** The value. */
  readonly value: number;
  /** When it ends by itself, if it does: milliseconds since the epoch, by the server's clock. */
  readonly till?: number;
}

/** Options of `counter.set`. */
export interface CounterSetOptions extends CallOptions {
  /** Only if the counter has this value. Otherwise: `PreconditionFailedError`. */
  readonly ifEq?: number | undefined;
}

const addNames: NamesOf<CounterAddOptions> = { floor: true, ceil: true, ttl: true, signal: true };
const setNames: NamesOf<CounterSetOptions> = { ifEq: true, signal: true };

/** Counters: `client.counter`. One that does not exist counts as 0. */
export class Counters {
  static {
    showCallers(this, 'get', 'add', 'set', 'max', 'min', 'reset', 'list');
  }

  readonly #calls: StoreCalls;
  readonly #account: string;

  constructor(calls: StoreCalls, account: string) {
    this.#calls = calls;
    this.#account = account;
  }

  /** @returns the value; 0 if there is no such counter */
  async get(key: string, options?: CallOptions): Promise<number> {
    checkCallOptions(options);
    try {
      const path = pathOf(this.#account, 'counter', anId(key, 'key'));
      return Number((await this.#calls.rest('GET', path, [counterName(key)], options))['Value']);
    } catch (error) {
      if (error instanceof NotFoundError) return 0;
      throw error;
    }
  }

  /** Adds a number, which may be negative; 1 if there is none. @returns the new value */
  async add(key: string, add = 1, options: CounterAddOptions = {}): Promise<number> {
    checkOptions(options, addNames);
    const { floor, ceil, ttl, signal } = options;
    return await this.#atomic({ key, add, floor, ceil, ttl }, signal);
  }

  /** @returns the new value */
  async set(key: string, value: number, options: CounterSetOptions = {}): Promise<number> {
    checkOptions(options, setNames);
    const { ifEq, signal } = options;
    return await this.#atomic({ key, set: value, ifEq }, signal);
  }

  /** Raises it to `max` if it is lower. @returns the new value */
  async max(key: string, max: number, options?: CallOptions): Promise<number> {
    checkCallOptions(options);
    return await this.#atomic({ key, max }, options?.signal);
  }

  /** Lowers it to `min` if it is higher. @returns the new value */
  async min(key: string, min: number, options?: CallOptions): Promise<number> {
    checkCallOptions(options);
    return await this.#atomic({ key, min }, options?.signal);
  }

  /** Deletes it. @returns its last value */
  async reset(key: string, options?: CallOptions): Promise<number> {
    checkCallOptions(options);
    const path = pathOf(this.#account, 'counter', anId(key, 'key'));
    return Number((await this.#calls.rest('DELETE', path, [counterName(key)], options))['Old']);
  }

  /** Iterates over the counters under a prefix, in byte order of their names. Each page shows one moment. */
  list(prefix = '', options: Omit<PageOptions, 'prefix'> = {}): AsyncGenerator<CounterEntry, void, undefined> {
    checkListArguments(prefix, options);
    return leavable(options.signal, (signal) => this.#list(prefix, { ...options, signal }));
  }

  async *#list(
    prefix: string,
    { limit, signal, ...from }: Omit<PageOptions, 'prefix'>,
  ): AsyncGenerator<CounterEntry, void, undefined> {
    let { after } = from;
    do {
      const path = pathOf(this.#account, 'counter', undefined, { prefix, after, limit });
      const page = (await this.#calls.rest('GET', path, [], { signal })) as unknown as WirePage;
      for (const { Key, Value, TillMs } of page.Counters)
        yield { key: Key, value: Value, ...(TillMs !== undefined && { till: TillMs }) };
      after = page.More === true ? page.After : undefined;
    } while (after !== undefined);
  }

  async #atomic(operation: AtomicOperation, signal: AbortSignal | undefined): Promise<number> {
    const renaming = { 'atomic[0].set': 'value', 'atomic[0].': '' };
    return (await this.#calls.batch({ atomic: [operation] }, { signal, renaming })).atomic[0]!.value;
  }
}

interface WirePage {
  readonly Counters: readonly { readonly Key: string; readonly Value: number; readonly TillMs?: number }[];
  readonly More?: boolean;
  readonly After?: string;
}
