import type { Batch } from './commands.ts';

/** Every key, lock id and idempotency id that a batch names: what routes it, and what a transaction holds. */
export function batchKeys(batch: Batch): string[] {
  const keys: string[] = [];
  if (batch.lock) keys.push(batch.lock.id);
  if (batch.unlock) keys.push(batch.unlock.id);
  if (batch.sequence) keys.push(batch.sequence.key);
  for (const { id } of batch.guard ?? []) keys.push(id);
  for (const { key } of batch.check ?? []) keys.push(key);
  for (const id of batch.idempotency?.ids ?? []) keys.push(id);
  for (const { key } of batch.counter ?? []) keys.push(key);
  for (const key of batch.get ?? []) keys.push(key);
  for (const { key } of batch.set ?? []) keys.push(key);
  return keys;
}
