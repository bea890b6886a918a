/** What a call touches, by names that no two kinds of things share: for the order of the calls of one client. */
import type { Batch } from './batch.ts';

/** Names everything that the batch reads or writes. Calls of one client that share a name keep their order. */
export function namesIn(batch: Batch): string[] {
  const names: string[] = [];
  for (const { id } of batch.guard ?? []) names.push(lockName(id));
  for (const check of batch.check ?? []) names.push('key' in check ? keyName(check.key) : counterName(check.counter));
  for (const { key } of batch.limit ?? []) names.push(limitName(key));
  for (const { key } of batch.atomic ?? []) names.push(counterName(key));
  for (const key of batch.get ?? []) names.push(keyName(key));
  for (const { key } of batch.set ?? []) names.push(keyName(key));
  if (batch.lock !== undefined) names.push(lockName(batch.lock.id));
  if (batch.unlock !== undefined) names.push(lockName(batch.unlock.id));
  for (const id of [...(batch.locks?.ids ?? []), ...(batch.unlocks?.ids ?? [])]) names.push(lockName(id));
  for (const { queue } of batch.enqueue ?? []) names.push(queueName(queue));
  for (const { queue, id } of [...(batch.ack ?? []), ...(batch.nack ?? []), ...(batch.extend ?? [])]) {
    names.push(messageName(queue, id));
  }
  for (const { id } of [...(batch.tasks ?? []), ...(batch.cancelTasks ?? [])]) names.push(taskName(id));
  return names;
}

export const keyName = (key: string): string => `k${key}`;
export const counterName = (key: string): string => `c${key}`;
export const queueName = (queue: string): string => `q${queue}`;
export const messageName = (queue: string, id: string): string => `q${queue}\0${id}`;
export const taskName = (id: string): string => `t${id}`;
export const limitName = (key: string): string => `g${key}`;
export const sequenceName = (key: string): string => `s${key}`;
export const lockName = (id: string): string => `l${id}`;
export const scriptName = (name: string): string => `j${name}`;
export const mutexName = (id: string): string => `m${id}`;
