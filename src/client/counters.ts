/** Counters: integers within ±(2^53−1). A counter that does not exist counts as 0. */
import { counterName, type AtomicOperation } from './batch.ts';
import { anId } from './checks.ts';
import { NotFoundError } from './errors.ts';
import { pathOf } from './paths.ts';
import type { CallOptions, StoreCalls } from './store-calls.ts';

export interface CounterAddOptions extends CallOptions {
  /** Only if this does not lower the counter below `floor`. Otherwise: `OutOfBoundsError`. */
  readonly floor?: number | undefined;
  /** Only if this does not raise the counter above `ceil`. Otherwise: `OutOfBoundsError`. */
  readonly ceil?: number | undefined;
}

export interface CounterSetOptions extends CallOptions {
  /** Only if the counter has this value. Otherwise: `PreconditionFailedError`. */
  readonly ifEq?: number | undefined;
}

export class Counters {
  readonly #calls: StoreCalls;
  readonly #account: string;

  constructor(calls: StoreCalls, account: string) {
    this.#calls = calls;
    this.#account = account;
  }

  async get(key: string, options?: CallOptions): Promise<number> {
    try {
      const path = pathOf(this.#account, 'counter', anId(key, 'key'));
      return Number((await this.#calls.rest('GET', path, [counterName(key)], options))['Value']);
    } catch (error) {
      if (error instanceof NotFoundError) return 0;
      throw error;
    }
  }

  /** @returns the new value */
  add(key: string, add = 1, { floor, ceil, signal }: CounterAddOptions = {}): Promise<number> {
    return this.#atomic({ key, add, floor, ceil }, { signal });
  }

  set(key: string, value: number, { ifEq, signal }: CounterSetOptions = {}): Promise<number> {
    return this.#atomic({ key, set: value, ifEq }, { signal });
  }

  /** Raises it to `max` if it is lower. @returns the new value */
  max(key: string, max: number, options?: CallOptions): Promise<number> {
    return this.#atomic({ key, max }, options);
  }

  /** Lowers it to `min` if it is higher. @returns the new value */
  min(key: string, min: number, options?: CallOptions): Promise<number> {
    return this.#atomic({ key, min }, options);
  }

  /** Deletes it. @returns its last value */
  async reset(key: string, options?: CallOptions): Promise<number> {
    const path = pathOf(this.#account, 'counter', anId(key, 'key'));
    return Number((await this.#calls.rest('DELETE', path, [counterName(key)], options))['Old']);
  }

  async #atomic(operation: AtomicOperation, options?: CallOptions): Promise<number> {
    return (await this.#calls.batch({ atomic: [operation] }, options)).atomic[0]!.value;
  }
}
