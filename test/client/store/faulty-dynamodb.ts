/** A DynamoDB client whose writes fail on demand, as on a network. It counts every fault. */
import type { DynamoDbCalls, UpdateItemInput, UpdateItemOutput } from '../../../src/client/store/dynamodb-calls.ts';

export type Fault =
  /** The write is applied, and its reply is lost. */
  | 'reply lost'
  /** The write is not applied. */
  | 'request lost'
  /** The call fails, and the write is applied when `deliver` is called. */
  | 'delayed'
  /** The write is applied, its reply is lost, and the SDK sends it again itself. */
  | 'sent twice';

export class FaultyDynamoDb implements DynamoDbCalls {
  readonly #calls: DynamoDbCalls;
  /** The fault of each next write in turn; `undefined`: none. */
  readonly faults: (Fault | undefined)[] = [];
  /** Makes every call fail, reads too. */
  isDown = false;
  /** Number of faults that have taken effect. */
  count = 0;
  /** Called at each read of a single item. */
  onRead: () => void = () => {};
  /** Runs after the next write that fails, before the next read. */
  meanwhile: (() => Promise<void>) | undefined;
  #delayed: UpdateItemInput[] = [];

  constructor(calls: DynamoDbCalls) {
    this.#calls = calls;
  }

  getItem: DynamoDbCalls['getItem'] = async (input) => {
    this.onRead();
    this.#failIfDown();
    return await this.#calls.getItem(input);
  };

  query: DynamoDbCalls['query'] = async (input) => {
    this.#failIfDown();
    return await this.#calls.query(input);
  };

  updateItem: DynamoDbCalls['updateItem'] = async (input) => {
    this.#failIfDown();
    const fault = this.faults.shift();
    if (fault === undefined) return await this.#calls.updateItem(input);
    this.count += 1;
    return await this.#fail(fault, input);
  };

  /** Applies the delayed writes. */
  async deliver(): Promise<void> {
    const delayed = this.#delayed;
    this.#delayed = [];
    for (const input of delayed) await this.#calls.updateItem(input).catch(() => undefined);
  }

  async #fail(fault: Fault, input: UpdateItemInput): Promise<UpdateItemOutput> {
    if (fault === 'delayed') this.#delayed.push(input);
    if (fault === 'reply lost') await this.#calls.updateItem(input).catch(() => undefined);
    if (fault === 'sent twice') {
      await this.#calls.updateItem(input).catch(() => undefined);
      await this.#runMeanwhile();
      return await this.#calls.updateItem(input).catch((error: { $metadata: { attempts?: number } }) => {
        error.$metadata.attempts = 2;
        throw error;
      });
    }
    await this.#runMeanwhile();
    throw timeout();
  }

  async #runMeanwhile(): Promise<void> {
    const meanwhile = this.meanwhile;
    this.meanwhile = undefined;
    await meanwhile?.();
  }

  #failIfDown(): void {
    if (!this.isDown) return;
    this.count += 1;
    throw timeout();
  }
}

/** The error that the SDK throws after its own retries. */
function timeout(): Error {
  return Object.assign(new Error('socket hang up'), { name: 'TimeoutError', $metadata: { attempts: 3 } });
}
