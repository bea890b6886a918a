/** Counters: integers within ±(2^53−1). A counter that does not exist counts as 0. */
import { showCallers } from './caller.ts';
import type { AtomicOperation } from './batch.ts';
import { counterName } from './names.ts';
import { anId } from './checks.ts';
import { NotFoundError } from './errors.ts';
import { checkOptions, type NamesOf } from './option-names.ts';
import { pathOf } from './paths.ts';
import { checkCallOptions, type CallOptions, type StoreCalls } from './store-calls.ts';

/** Options of `counter.add`. */
export interface CounterAddOptions extends CallOptions {
  /** Only if this does not lower the counter below `floor`. Otherwise: `OutOfBoundsError`. */
  readonly floor?: number | undefined;
  /** Only if this does not raise the counter above `ceil`. Otherwise: `OutOfBoundsError`. */
  readonly ceil?: number | undefined;
}

/** Options of `counter.set`. */
export interface CounterSetOptions extends CallOptions {
  /** Only if the counter has this value. Otherwise: `PreconditionFailedError`. */
  readonly ifEq?: number | undefined;
}

const addNames: NamesOf<CounterAddOptions> = { floor: true, ceil: true, signal: true };
const setNames: NamesOf<CounterSetOptions> = { ifEq: true, signal: true };

/** Counters: `client.counter`. One that does not exist counts as 0. */
export class Counters {
  static {
    showCallers(this, 'get', 'add', 'set', 'max', 'min', 'reset');
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
    const { floor, ceil, signal } = options;
    return await this.#atomic({ key, add, floor, ceil }, signal);
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

  async #atomic(operation: AtomicOperation, signal: AbortSignal | undefined): Promise<number> {
    const renaming = { 'atomic[0].set': 'value', 'atomic[0].': '' };
    return (await this.#calls.batch({ atomic: [operation] }, { signal, renaming })).atomic[0]!.value;
  }
}
