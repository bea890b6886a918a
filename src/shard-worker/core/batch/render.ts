/** Replies as JSON text, one function a shape. The text is finished here, once; the front end only passes it on. */
import type { Batch } from '../../../protocol/commands.ts';
import { failure } from '../../../protocol/errors.ts';
import type { Revision } from '../../../protocol/ids.ts';
import type { FailedItem, Results } from '../../../protocol/wire/shard-messages.ts';
import { failureReply, type Reply } from '../../../protocol/replies.ts';
import { unreachable } from '../../../shared/assert.ts';
import { leaseMembers } from '../operations/lease-members.ts';

/** The reply to a batch that went through. `rev`: its commit, or what it read at. */
export function batchReply(batch: Batch, results: Results, rev: Revision, now: number): Reply {
  const missing = missingThing(batch, results);
  if (missing !== undefined) return failureReply(rev, failure('not_found', missing));
  const reply: Reply = { rev, status: 200, body: `{${members(batch, results, rev, now)}"Rev":${rev}}` };
  // Should the answer find nobody, the lease goes on: whoever only extends has the lock already, and whoever operations again
  // under an idempotency id is answered with it from the record.
  if (results.lock?.handle !== 0 || batch.idempotency !== undefined) return reply;
  return { ...reply, grant: { account: batch.account, id: batch.lock!.id, handle: rev, mutex: false, version: rev } };
}

/** All that failed, under the code of the first. */
export function failedReply(failed: readonly FailedItem[], rev: Revision): Reply {
  const [first] = failed;
  const items = failed.map(({ field, code, message, details }) => ({
    Field: field,
    Code: code,
    Message: message,
    ...details,
  }));
  const message =
    failed.length === 1
      ? `${first!.field}: ${first!.message}`
      : `${first!.field}: ${first!.message} (and ${failed.length - 1} more, see Failed)`;
  return failureReply(rev, { code: first!.code, message, details: { ...first!.details, Failed: items } });
}

function members(batch: Batch, results: Results, rev: Revision, now: number): string {
  switch (batch.format) {
    case 'batch':
      return batchMembers(batch, results, rev, now);
    case 'kv.get':
      return `${getMembers(batch.get![0]!, results.get![0]!)},`;
    case 'kv.set':
      return `"Key":${quoted(batch.set![0]!.key)},"Version":${rev},`;
    case 'kv.delete':
      return `"Key":${quoted(batch.set![0]!.key)},"Deleted":${results.set![0] === 'deleted'},`;
    case 'counter.get':
    case 'counter.add':
    case 'counter.reset':
      return `${atomicMembers(batch, results, 0)},`;
    case 'sequence.get':
      return `"Key":${quoted(batch.sequence!.key)},"Value":${results.sequence!.to},`;
    case 'sequence.reset':
      return `"Key":${quoted(batch.sequence!.key)},"Value":0,`;
    case 'sequence.next': {
      const { from, to } = results.sequence!;
      return `"Key":${quoted(batch.sequence!.key)},"Value":${to},"From":${from},"To":${to},`;
    }
    case 'lock.acquire':
      return leaseMembers(results.lock!, results.lock!.handle || rev, now);
    case 'lock.release':
      return '';
    default:
      return unreachable(batch.format);
  }
}

function batchMembers(batch: Batch, results: Results, rev: Revision, now: number): string {
  let text = '';
  if (results.lock) text += leaseMembers(results.lock, results.lock.handle || rev, now);
  if (batch.counter)
    text += `"Atomic":[${batch.counter.map((_, i) => `{${atomicMembers(batch, results, i)}}`).join(',')}],`;
  if (batch.get) text += `"KV":[${batch.get.map((key, i) => `{${getMembers(key, results.get![i]!)}}`).join(',')}],`;
  if (batch.set) text += `"KVSet":[${setItems(batch.set, results.set!, rev)}],`;
  return text;
}

function setItems(operations: NonNullable<Batch['set']>, set: NonNullable<Results['set']>, rev: Revision): string {
  let text = '';
  for (let i = 0; i < operations.length; i += 1) {
    const head = `${i === 0 ? '' : ','}{"Key":${quoted(operations[i]!.key)},"Version":`;
    text += set[i] === 'set' ? `${head}${rev}}` : `${head}0,"Deleted":${set[i] === 'deleted'}}`;
  }
  return text;
}

function getMembers(key: string, result: { version: number; value?: string; till?: number }): string {
  const name = `"Key":${quoted(key)},"Version":${result.version}`;
  if (result.value === undefined) return name;
  return `${name},"Value":${result.value}${result.till === undefined ? '' : `,"TillMs":${result.till}`}`;
}

function atomicMembers(batch: Batch, results: Results, i: number): string {
  const { value, old } = results.counter![i]!;
  const name = quoted(batch.counter![i]!.key);
  return `"Key":${name},"Value":${value ?? 0}${old === undefined ? '' : `,"Old":${old}`}`;
}

/** REST reads of one thing answer 404 when there is none; a batch answers with what it found. */
function missingThing(batch: Batch, results: Results): string | undefined {
  switch (batch.format) {
    case 'kv.get':
      return results.get![0]!.value === undefined ? `There is no key ${quoted(batch.get![0]!)}.` : undefined;
    case 'counter.get':
      return results.counter![0]!.value === undefined
        ? `There is no counter ${quoted(batch.counter![0]!.key)}.`
        : undefined;
    case 'sequence.get':
      return results.sequence!.to === undefined
        ? `Nothing was taken from the sequence ${quoted(batch.sequence!.key)} yet.`
        : undefined;
    default:
      return undefined;
  }
}

/** A key as JSON text. Keys are short and plain as a rule: a look at each character beats the call into native code. */
function quoted(key: string): string {
  for (let at = 0; at < key.length; at += 1) {
    const code = key.charCodeAt(at);
    if (code < 0x20 || code === 0x22 || code === 0x5c || code > 0x7e) return JSON.stringify(key);
  }
  return `"${key}"`;
}
