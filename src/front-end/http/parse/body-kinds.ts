/**
 * The kinds of bodies, and how each is read. A reader works on plain data, so that it can run in the thread of the
 * request or, for a large body, in the body thread (body-thread.ts): the result is the same.
 */
import type { AccountId } from '../../../protocol/ids.ts';
import { importBody, readLines } from '../../../protocol/operations/account-lines.ts';
import { jsonText } from '../../../protocol/operations/fields.ts';
import type { IdempotencyOptions } from '../../../protocol/operations/idempotency.ts';
import type { Batch } from '../../../protocol/operations/operations.ts';
import { queuePolicySchema } from '../../../protocol/operations/queue-policy.ts';
import { readTask, taskSchema } from '../../../protocol/operations/task-body.ts';
import { flowSchema, readFlow } from '../../../protocol/operations/task-setting.ts';
import { refuse, refuseField } from '../../../protocol/refusal.ts';
import { arrayReplyBytesMax, type Limits } from '../../../shared/limits.ts';
import { cronTasksMax } from '../../../shared/task-limits.ts';
import { shown } from '../../../shared/text.ts';
import { mediaType } from '../media-type.ts';
import { batchCommand, parseBatches, type BatchContext } from './batch.ts';
import { parseJson } from './json.ts';
import { refuseRepeatedMembers, valueMembers } from './repeated-members.ts';
import { validator } from './validate.ts';
import { readSource, scriptCallBody, type ScriptCallBody, type ScriptCallGiven } from './script-call.ts';
import { parseWatch, watchAsk, type WatchAsk } from './watch.ts';

interface BodyKinds {
  /** One batch, or an array of them. */
  readonly batch: {
    readonly given: {
      readonly account: AccountId;
      readonly header: IdempotencyOptions | undefined;
      readonly clock: SharedArrayBuffer;
    };
    readonly read: Batch | readonly Batch[];
  };
  /** The value to store, as JSON text. */
  readonly value: {
    readonly given: { readonly contentType: string | undefined; readonly asText: boolean };
    readonly read: string;
  };
  /** The policy of a queue, as JSON text. */
  readonly policy: { readonly given: object; readonly read: string };
  /** A task but for its ID, as JSON text. */
  readonly task: { readonly given: { readonly clock: SharedArrayBuffer }; readonly read: string };
  /** A flow of tasks, as JSON text. */
  readonly flow: { readonly given: object; readonly read: string };
  /** Lines of an export, as JSON text of what they put. */
  readonly lines: { readonly given: object; readonly read: string };
  /** The source of a script. */
  readonly source: { readonly given: object; readonly read: string };
  /** The call of a script. */
  readonly call: {
    readonly given: ScriptCallGiven;
    readonly read: ScriptCallBody;
  };
  readonly watch: { readonly given: { readonly account: AccountId }; readonly read: WatchAsk };
}

export type BodyKind = keyof BodyKinds;
/** What a reader needs of the request besides its body. */
export type BodyGiven<Kind extends BodyKind> = BodyKinds[Kind]['given'];
export type BodyContent<Kind extends BodyKind> = BodyKinds[Kind]['read'];

const policy = validator(queuePolicySchema);
const task = validator(taskSchema);
const taskValues = valueMembers(new Set(['Data', 'Body', 'Headers']));
const flow = validator(flowSchema);
const lines = validator(importBody);

type Readers = {
  readonly [Kind in BodyKind]: (text: string, given: BodyGiven<Kind>, limits: Limits) => BodyContent<Kind>;
};

const readers: Readers = {
  batch(text, { account, header, clock }, limits) {
    const json = parseBatches(text);
    const cronTasks = { left: cronTasksMax };
    if (!Array.isArray(json)) return batchCommand(json, { account, limits, clock, cronTasks, header, root: '' });
    if (header !== undefined)
      return refuse('invalid', 'Idempotency-Key: not for an array of batches; expected IdempotencyIDs in each of them');
    return batchArray(json, { account, limits, clock, cronTasks });
  },
  value(text, { contentType, asText }, limits) {
    if (!asText && text !== '' && mediaType(contentType) === 'text') {
      const why = 'as fetch() sends for a string';
      const message = `Content-Type: expected application/json, got ${shown(contentType!)}, ${why}; to keep text, add ?as=text`;
      return refuse('unsupported_media_type', message);
    }
    const value = asText ? text : parseJson(text, 'JSON, or text with ?as=text');
    return jsonText(value, 'body', { bytes: limits.value_bytes_max, name: 'limits.value_bytes_max' });
  },
  lines: (text, _, limits) => JSON.stringify(readLines(lines(parseJson(text, 'a page of an export')), limits)),
  source: (text) => readSource(text),
  call: (text, given, limits) => scriptCallBody(text, given, limits),
  policy: (text) => JSON.stringify(policy(parseJson(text, 'a policy'))),
  flow: (text) => JSON.stringify(readFlow(flow(parseJson(text, 'a flow')))),
  task(text, { clock }, limits) {
    const json = parseJson(text, 'a task');
    refuseRepeatedMembers(text, json, taskValues);
    return JSON.stringify(readTask(task(json), '', { root: '', limits, clock, cronTasks: { left: 1 } }));
  },
  watch: (text, { account }, limits) => watchAsk(parseWatch(text), account, limits),
};

/** @throws Refusal */
export function contentOfBody<Kind extends BodyKind>(
  kind: Kind,
  text: string,
  given: BodyGiven<Kind>,
  limits: Limits,
): BodyContent<Kind> {
  return readers[kind](text, given, limits);
}

/** All items are checked first: one that is malformed refuses the whole array, and nothing is done. */
function batchArray(items: readonly unknown[], context: Omit<BatchContext, 'root'>): Batch[] {
  const { limits } = context;
  if (items.length === 0) return refuse('invalid', 'body: expected at least one batch, got an empty list');
  if (items.length > limits.batch_operations_max) {
    const most = `${limits.batch_operations_max} (limits.batch_operations_max)`;
    return refuse('too_large', `body: ${items.length} batches; expected at most ${most}`);
  }
  const replyBytesMax = Math.floor(arrayReplyBytesMax / items.length);
  return items.map((item, i) => {
    const batch = batchCommand(item, { ...context, replyBytesMax, root: `[${i}].` });
    if (batch.lock !== undefined && batch.lock.waitMs > 0) {
      refuseField(`[${i}].LockWait`, 'not within an array of batches; expected 0 or absent');
    }
    if (batch.locks !== undefined)
      refuseField(`[${i}].LockIDs`, 'not within an array of batches; send the batch alone');
    const waiting = batch.limit?.findIndex(({ waitMs }) => waitMs > 0) ?? -1;
    if (waiting >= 0) {
      refuseField(`[${i}].Limit[${waiting}].Wait`, 'not within an array of batches; expected 0 or absent');
    }
    if (batch.dequeue !== undefined && batch.dequeue.waitMs > 0) {
      refuseField(`[${i}].Dequeue.LockWait`, 'not within an array of batches; expected 0 or absent');
    }
    return batch;
  });
}
