/** Flows of tasks: `client.flows` limits tasks that have the same `flowKey`. Its calls need the scope `admin`. */
import { flowPerMsMax } from '../shared/task-limits.ts';
import { showCallers } from './caller.ts';
import { anId, integerIf, secondsIf, type Duration } from './checks.ts';
import { NotFoundError } from './errors.ts';
import { checkOptions, type NamesOf } from './option-names.ts';
import { pathOf } from './paths.ts';
import { checkCallOptions, type CallOptions, type StoreCalls } from './store-calls.ts';

/** What a flow allows. Rate and parallel hold together. */
export interface FlowLimits {
  /** So many runs begin within `per`, evenly. */
  readonly rate?: number | undefined;
  /** Default 1 second. */
  readonly per?: Duration | undefined;
  /** So many run at once. */
  readonly parallel?: number | undefined;
  /** None begins. */
  readonly paused?: boolean | undefined;
}

/** A flow as the server has it. */
export interface Flow {
  /** The `flowKey` of its tasks. */
  readonly key: string;
  /** So many runs begin within `per`. */
  readonly rate?: number;
  /** Milliseconds. */
  readonly per?: number;
  /** So many run at once. */
  readonly parallel?: number;
  /** None begins. */
  readonly paused: boolean;
}

const limitNames: NamesOf<FlowLimits> = { rate: true, per: true, parallel: true, paused: true };

/** The flows of the account. */
export class Flows {
  static {
    showCallers(this, 'get', 'set', 'delete');
  }

  readonly #calls: StoreCalls;
  readonly #account: string;

  constructor(calls: StoreCalls, account: string) {
    this.#calls = calls;
    this.#account = account;
  }

  /** @returns undefined: there is no such flow, and nothing limits its tasks */
  async get(key: string, options?: CallOptions): Promise<Flow | undefined> {
    checkCallOptions(options);
    try {
      return flowOf(await this.#calls.rest('GET', this.#path(key), [], options));
    } catch (error) {
      if (error instanceof NotFoundError) return undefined;
      throw error;
    }
  }

  /** Puts limits in the place of those before. */
  async set(key: string, limits: FlowLimits, options?: CallOptions): Promise<Flow> {
    checkCallOptions(options);
    checkOptions(limits, limitNames, 'limits');
    const { rate, per, parallel, paused } = limits;
    const body = {
      Rate: rate,
      Per: secondsIf(per, 'per', { min: 1, max: flowPerMsMax }),
      Parallel: integerIf(parallel, 'parallel', 1),
      Paused: paused,
    };
    return flowOf(await this.#calls.rest('PUT', this.#path(key), [], options, body));
  }

  /** @returns whether there was such a flow */
  async delete(key: string, options?: CallOptions): Promise<boolean> {
    checkCallOptions(options);
    const body = await this.#calls.rest('DELETE', this.#path(key), [], options);
    return (body as unknown as { Deleted: boolean }).Deleted;
  }

  #path(key: string): string {
    return pathOf(this.#account, 'flow', anId(key, 'key'));
  }
}

function flowOf(body: object): Flow {
  const { Key, Rate, Per, Parallel, Paused } = body as {
    Key: string;
    Rate?: number;
    Per?: number;
    Parallel?: number;
    Paused: boolean;
  };
  return {
    key: Key,
    ...(Rate !== undefined && { rate: Rate, per: Per! * 1000 }),
    ...(Parallel !== undefined && { parallel: Parallel }),
    paused: Paused,
  };
}
