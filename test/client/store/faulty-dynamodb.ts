/** A DynamoDB client whose writes go wrong in the ways that networks know, on demand. Every fault is counted. */
import type { UpdateItemCommandInput, UpdateItemCommandOutput } from '@aws-sdk/client-dynamodb';
import type { DynamoDbCalls } from '../../../src/client/store/dynamodb-table.ts';

export type Fault =
  /** It happens, and nobody hears of it. */
  | 'reply lost'
  /** It does not happen. */
  | 'request lost'
  /** Nobody hears of it, and it happens when `deliver` is called. */
  | 'delayed'
  /** It happens, the client does not hear of it and sends it again by itself. */
  | 'sent twice';

export class FaultyDynamoDb implements DynamoDbCalls {
  readonly #calls: DynamoDbCalls;
  /** For each write in turn, what goes wrong with it; absent: nothing. */
  readonly faults: (Fault | undefined)[] = [];
  /** Everything, reads too, fails. */
  isDown = false;
  /** How many faults have taken effect. */
  count = 0;
  /** Called at each read of a single item. */
  onRead: () => void = () => {};
  /** Run behind the next write that goes wrong, before anybody reads again. */
  meanwhile: (() => Promise<void>) | undefined;
  #delayed: UpdateItemCommandInput[] = [];

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

  /** What was delayed arrives now. */
  async deliver(): Promise<void> {
    const delayed = this.#delayed;
    this.#delayed = [];
    for (const input of delayed) await this.#calls.updateItem(input).catch(() => undefined);
  }

  async #fail(fault: Fault, input: UpdateItemCommandInput): Promise<UpdateItemCommandOutput> {
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

/** As the client throws it after its own retries. */
function timeout(): Error {
  return Object.assign(new Error('socket hang up'), { name: 'TimeoutError', $metadata: { attempts: 3 } });
}
