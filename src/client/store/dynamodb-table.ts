/**
 * The table of the DynamoDB backend: what it looks like, and how it is written to.
 *
 * The table has the key `id` + `name`, two strings, as dynalock's has. A store uses two partitions of it: pairs have the
 * store's partition as their id, locks have `<partition>#locks`.
 *
 *     a pair   version   a number, one more with each write
 *              nonce     of the write that made it what it is; no two writes share one
 *              value     JSON
 *              deadline  milliseconds since the epoch; from then on nobody reads it. Absent: it stays
 *              fence     of the lock whose holder wrote it, if one did
 *              deleted   true: it was deleted. What stays for an hour tells who asks again after a broken connection
 *                        whether that was its own deletion
 *              expires   seconds since the epoch, an hour after deadline or deletion: the attribute for DynamoDB's TTL
 *     a lock   owner     nonce of the acquisition that has it. Absent: it is free
 *              beat      nonce of the last acquisition or renewal
 *              lease     milliseconds that it outlives its last beat
 *              fence     of the last acquisition. It only grows, and the item is never deleted
 *
 * Three habits close what a lost reply opens:
 *
 * - A write that has a condition names the very state that it replaces, by a nonce or fence. When it arrives a second time,
 *   or long after its sender gave up, the state is another and nothing happens.
 * - It leaves a nonce of its own. When the answer was lost, reading again tells: our nonce is there, so it happened;
 *   the old state is there, so it has not, and it is safe to send it again. If there is a third, we cannot know and say so
 *   (OutcomeUnknownError).
 * - A refusal is only believed if the request was sent once: the client's own retry of a write that did happen is
 *   refused by its own first try.
 */
import type {
  AttributeValue,
  CreateTableCommandInput,
  GetItemCommandInput,
  GetItemCommandOutput,
  QueryCommandInput,
  QueryCommandOutput,
  UpdateItemCommandInput,
  UpdateItemCommandOutput,
  UpdateTimeToLiveCommandInput,
} from '@aws-sdk/client-dynamodb';
import { OutcomeUnknownError } from '../errors.ts';

/** What is called of the `DynamoDB` client. */
export interface DynamoDbCalls {
  getItem(input: GetItemCommandInput): Promise<GetItemCommandOutput>;
  updateItem(input: UpdateItemCommandInput): Promise<UpdateItemCommandOutput>;
  query(input: QueryCommandInput): Promise<QueryCommandOutput>;
}

export type Item = Record<string, AttributeValue>;

/** One change of one item. */
export interface ItemChange {
  readonly id: string;
  readonly name: string;
  readonly set: Item;
  /** Attributes to count up by one, from 0. */
  readonly count?: readonly string[];
  readonly remove: readonly string[];
  /** With `#attribute` for names and `:name` for `values`. */
  readonly condition?: string;
  readonly values?: Item;
  /** It names nothing that it replaces. It is not sent again when the answer is lost: that could undo a later write. */
  readonly unsafeToRepeat?: true;
  /** Whether this is what the change leaves. */
  readonly isDone: (item: Item | undefined) => boolean;
}

export type ItemChangeResult =
  | { readonly kind: 'done'; readonly item: Item | undefined }
  /** The condition did not hold. Not `sure`: or it held, and somebody has changed the item since. */
  | { readonly kind: 'refused'; readonly item: Item | undefined; readonly sure: boolean };

/** For `createTable` of the client. */
export function dynamoDbTable(tableName: string): CreateTableCommandInput {
  return {
    TableName: tableName,
    BillingMode: 'PAY_PER_REQUEST',
    KeySchema: [
      { AttributeName: 'id', KeyType: 'HASH' },
      { AttributeName: 'name', KeyType: 'RANGE' },
    ],
    AttributeDefinitions: [
      { AttributeName: 'id', AttributeType: 'S' },
      { AttributeName: 'name', AttributeType: 'S' },
    ],
  };
}

/** For `updateTimeToLive` of the client: without it, nothing that is over is ever cleared away. */
export function dynamoDbTimeToLive(tableName: string): UpdateTimeToLiveCommandInput {
  return { TableName: tableName, TimeToLiveSpecification: { AttributeName: 'expires', Enabled: true } };
}

/** How often a write is sent when each answer is lost; the client retries each of them by itself. */
const triesMax = 3;

export class DynamoDbTable {
  readonly #calls: DynamoDbCalls;
  readonly #tableName: string;

  constructor(calls: DynamoDbCalls, tableName: string) {
    this.#calls = calls;
    this.#tableName = tableName;
  }

  async read(id: string, name: string, consistent = true): Promise<Item | undefined> {
    const { Item } = await this.#calls.getItem({
      TableName: this.#tableName,
      Key: { id: { S: id }, name: { S: name } },
      ConsistentRead: consistent,
    });
    return Item;
  }

  /** In the order of their names. */
  async list(id: string, prefix: string, consistent: boolean): Promise<Item[]> {
    const items: Item[] = [];
    let from: Item | undefined;
    do {
      const page = await this.#calls.query({
        TableName: this.#tableName,
        // An empty prefix is refused.
        KeyConditionExpression: prefix === '' ? '#id = :id' : '#id = :id AND begins_with(#name, :prefix)',
        ExpressionAttributeNames: { '#id': 'id', ...(prefix !== '' && { '#name': 'name' }) },
        ExpressionAttributeValues: { ':id': { S: id }, ...(prefix !== '' && { ':prefix': { S: prefix } }) },
        ConsistentRead: consistent,
        ...(from && { ExclusiveStartKey: from }),
      });
      items.push(...(page.Items ?? []));
      from = page.LastEvaluatedKey;
    } while (from !== undefined);
    return items;
  }

  /** @throws OutcomeUnknownError, and what the client says of a request that cannot have done anything */
  async change(change: ItemChange): Promise<ItemChangeResult> {
    const input = this.#inputOf(change);
    for (let tries = 1; ; tries += 1) {
      try {
        const { Attributes } = await this.#calls.updateItem(input);
        return { kind: 'done', item: Attributes };
      } catch (error) {
        if (isHarmless(error)) throw error;
        const item = await this.#readAfter(error, change);
        if (change.isDone(item)) return { kind: 'done', item };
        if (isRefusal(error)) return { kind: 'refused', item, sure: tries === 1 && wasSentOnce(error) };
        if (tries === triesMax || change.unsafeToRepeat === true) throw outcomeUnknown(change, error);
      }
    }
  }

  async #readAfter(error: unknown, change: ItemChange): Promise<Item | undefined> {
    try {
      return await this.read(change.id, change.name);
    } catch {
      throw outcomeUnknown(change, error);
    }
  }

  #inputOf({ id, name, set, count = [], remove, condition, values }: ItemChange): UpdateItemCommandInput {
    const counting = count.map((attribute) => `#${attribute} = if_not_exists(#${attribute}, :zero) + :one`);
    const setting = Object.keys(set).map((attribute) => `#${attribute} = :${attribute}`);
    const assignments = [...setting, ...counting].join(', ');
    const removals = remove.map((attribute) => `#${attribute}`).join(', ');
    const update = [assignments && `SET ${assignments}`, removals && `REMOVE ${removals}`].join(' ');
    const named = new Set(`${update} ${condition ?? ''}`.match(/#\w+/g));
    const counts: Item = count.length === 0 ? {} : { ':zero': { N: '0' }, ':one': { N: '1' } };
    const given = Object.entries({ ...set, ...values }).map(([value, is]) => [`:${value}`, is] as const);
    const all = { ...counts, ...Object.fromEntries(given) };
    return {
      TableName: this.#tableName,
      Key: { id: { S: id }, name: { S: name } },
      UpdateExpression: update.trim(),
      ExpressionAttributeNames: Object.fromEntries([...named].map((attribute) => [attribute, attribute.slice(1)])),
      ...(Object.keys(all).length > 0 && { ExpressionAttributeValues: all }),
      ...(condition !== undefined && { ConditionExpression: condition }),
      ReturnValues: 'ALL_NEW',
    };
  }
}

export function textOf(item: Item | undefined, attribute: string): string | undefined {
  return item?.[attribute]?.S;
}

export function numberOf(item: Item | undefined, attribute: string): number | undefined {
  const digits = item?.[attribute]?.N;
  return digits === undefined ? undefined : Number(digits);
}

function isRefusal(error: unknown): boolean {
  return error instanceof Error && error.name === 'ConditionalCheckFailedException';
}

/** The service understood the request and did not do it, each time that it was sent. */
function isHarmless(error: unknown): boolean {
  if (isRefusal(error) || !wasSentOnce(error)) return false;
  const { $fault, $metadata } = error as { $fault?: string; $metadata?: { httpStatusCode?: number } };
  return $fault === 'client' && $metadata?.httpStatusCode === 400;
}

function wasSentOnce(error: unknown): boolean {
  return (error as { $metadata?: { attempts?: number } } | undefined)?.$metadata?.attempts === 1;
}

function outcomeUnknown({ name }: ItemChange, cause: unknown): OutcomeUnknownError {
  return new OutcomeUnknownError(`Whether "${name}" was written is not known: ${String(cause)}`, { cause });
}
