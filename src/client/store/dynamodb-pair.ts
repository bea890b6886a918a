/** The item of a pair, and the pair of an item. */
import type { Item } from './dynamodb-calls.ts';
import { numberOf, textOf } from './dynamodb-table.ts';
import type { KVPair } from './store.ts';

/** DynamoDB may delete an item this long after its end: longer than any request is in flight. */
const collectAfterMs = 3_600_000;

/** @param deadlineMs since the epoch */
export function deadlineAttributes(deadlineMs: number): { deadline: { N: string }; expires: { N: string } } {
  const expires = Math.ceil((deadlineMs + collectAfterMs) / 1000);
  return { deadline: { N: String(deadlineMs) }, expires: { N: String(expires) } };
}

export function pairOf(item: Item): KVPair {
  const expires = numberOf(item, 'deadline');
  return {
    key: textOf(item, 'name') ?? '',
    value: JSON.parse(textOf(item, 'value') ?? 'null'),
    version: numberOf(item, 'version') ?? 0,
    tag: textOf(item, 'nonce') ?? '',
    ...(expires !== undefined && { expires }),
  };
}
