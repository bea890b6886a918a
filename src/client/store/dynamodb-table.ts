/**
 * The table of the DynamoDB backend: its layout, and how it is written.
 *
 * The table has the key `id` + `name`, two strings, like dynalock's. A store uses two partitions of it: pairs have the
 * store's partition as their id, locks have `<partition>#locks`.
 *
 *     a pair   version   a number, incremented by each write
 *              nonce     of the last write; no two writes share one
 *              value     JSON
 *              deadline  milliseconds since the epoch, from which the pair is not readable. Absent: it does not expire
 *              fence     of the lock whose holder wrote it, if one did
 *              deleted   true: it was deleted. The item stays for an hour, so that a client that retries after a broken
 *                        connection can tell whether the deletion was its own
 *              expires   seconds since the epoch, an hour after deadline or deletion: the attribute for DynamoDB's TTL
 *     a lock   owner     nonce of the acquisition that holds it. Absent: it is free
 *              beat      heartbeat: nonce of the last acquisition or renewal
 *              lease     milliseconds that it outlives its last heartbeat
 *              fence     of the last acquisition. It only grows, and the item is never deleted
 *
 * Three rules make lost replies safe:
 *
 * - A conditional write names the exact state that it replaces, by a nonce or fence. When it arrives a second time, or
 *   long after its sender gave up, the state is another and nothing happens.
 * - It leaves a nonce of its own. After a lost reply, the store reads the item. With our nonce, the write has happened.
 *   In the old state, it has not, and it is safe to send it again. In any third state the outcome is unknown
 *   (OutcomeUnknownError).
 * - A failed condition is certain only if the request was sent once: when the SDK retries a write that has happened,
 *   the condition of the retry fails because of the first try.
 */
import { OutcomeUnknownError } from '../errors.ts';
import type { DynamoDbCalls, Item, TableDefinition, TimeToLiveDefinition, UpdateItemInput } from './dynamodb-calls.ts';

/** One change of one item. */
export interface ItemChange {
  readonly id: string;
  readonly name: string;
  readonly set: Item;
  /** Attributes to increment by one, from 0. */
  readonly count?: readonly string[];
  readonly remove: readonly string[];
  /** Uses `#attribute` for names and `:name` for `values`. */
  readonly condition?: string;
  readonly values?: Item;
  /**
   * The condition names no state that it replaces. After a lost reply the change is not sent again, because it could
   * undo a later write.
   */
  readonly unsafeToRepeat?: true;
  /** Whether the item is what this change leaves. */
  readonly isDone: (item: Item | undefined) => boolean;
}

export type ItemChangeResult =
  | { readonly kind: 'done'; readonly item: Item | undefined }
  /** The condition did not hold. If not `sure`, it may have held, and another client has changed the item since. */
  | { readonly kind: 'refused'; readonly item: Item | undefined; readonly sure: boolean };

/** The input for `createTable` of the client. */
export function dynamoDbTable(tableName: string): TableDefinition {
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

/** The input for `updateTimeToLive` of the client: without it, DynamoDB never deletes expired items. */
export function dynamoDbTimeToLive(tableName: string): TimeToLiveDefinition {
  return { TableName: tableName, TimeToLiveSpecification: { AttributeName: 'expires', Enabled: true } };
}

/** How often a write is sent if each reply is lost; the SDK retries each of these sends itself. */
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

  /** Returns items in the order of their names. */
  async list(id: string, prefix: string, consistent: boolean): Promise<Item[]> {
    const items: Item[] = [];
    let from: Item | undefined;
    do {
      const page = await this.#calls.query({
        TableName: this.#tableName,
        // DynamoDB rejects an empty prefix.
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

  /** @throws OutcomeUnknownError, and the SDK's error for a request that certainly changed nothing */
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

  #inputOf({ id, name, set, count = [], remove, condition, values }: ItemChange): UpdateItemInput {
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

/** The service rejected the request, which was sent once, so nothing has changed. */
function isHarmless(error: unknown): boolean {
  if (isRefusal(error) || !wasSentOnce(error)) return false;
  const { $fault, $metadata } = error as { $fault?: string; $metadata?: { httpStatusCode?: number } };
  return $fault === 'client' && $metadata?.httpStatusCode === 400;
}

function wasSentOnce(error: unknown): boolean {
  return (error as { $metadata?: { attempts?: number } } | undefined)?.$metadata?.attempts === 1;
}

function outcomeUnknown({ name }: ItemChange, cause: unknown): OutcomeUnknownError {
  return new OutcomeUnknownError(`It is unknown whether "${name}" was written: ${String(cause)}`, { cause });
}
