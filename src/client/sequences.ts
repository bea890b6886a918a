/** Sequences: numbers from 1, without gaps. */
import { showCallers } from './caller.ts';
import { sequenceName } from './call-names.ts';
import { anId, anInteger } from './checks.ts';
import { NotFoundError } from './errors.ts';
import { pathOf } from './paths.ts';
import { checkCallOptions, type CallOptions, type StoreCalls } from './store-calls.ts';

/** Numbers of a sequence; both ends are included. */
export interface Block {
  /** The first of them. */
  readonly from: number;
  /** The last of them. */
  readonly to: number;
}

/** Sequences: `client.sequence`. They count from 1, without gaps. */
export class Sequences {
  static {
    showCallers(this, 'next', 'block', 'get', 'reset');
  }

  readonly #calls: StoreCalls;
  readonly #account: string;

  constructor(calls: StoreCalls, account: string) {
    this.#calls = calls;
    this.#account = account;
  }

  /** Takes the next number. */
  async next(key: string, options?: CallOptions): Promise<number> {
    return (await this.block(key, 1, options)).to;
  }

  /** Takes the next `n` numbers. */
  async block(key: string, n: number, options?: CallOptions): Promise<Block> {
    checkCallOptions(options);
    const path = pathOf(this.#account, 'sequence', anId(key, 'key'), { n: anInteger(n, 'n', 1) });
    const { From, To } = await this.#calls.rest('POST', path, [sequenceName(key)], options);
    return { from: Number(From), to: Number(To) };
  }

  /** @returns the last number taken; 0 if there is none */
  async get(key: string, options?: CallOptions): Promise<number> {
    checkCallOptions(options);
    try {
      const path = pathOf(this.#account, 'sequence', anId(key, 'key'));
      return Number((await this.#calls.rest('GET', path, [sequenceName(key)], options))['Value']);
    } catch (error) {
      if (error instanceof NotFoundError) return 0;
      throw error;
    }
  }

  /** Starts the sequence again from 1. */
  async reset(key: string, options?: CallOptions): Promise<void> {
    checkCallOptions(options);
    const path = pathOf(this.#account, 'sequence', anId(key, 'key'));
    await this.#calls.rest('DELETE', path, [sequenceName(key)], options);
  }
}
