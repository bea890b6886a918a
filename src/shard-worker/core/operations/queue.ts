/** Queues: Ack, Nack, Extend, Dequeue and Enqueue. queue-records.ts says what is stored, queue-moves.ts what follows. */
import { failure, type Failure } from '../../../protocol/errors.ts';
import { messageIdText, type MessageId } from '../../../protocol/message-id.ts';
import type { DeliveredMessage, EnqueueOperation } from '../../../protocol/operations/queue.ts';
import type { Grant } from '../../../protocol/replies.ts';
import type { Batch } from '../../../protocol/operations/operations.ts';
import { replyBytesMax } from '../../../shared/limits.ts';
import { quoted } from '../../../shared/text.ts';
import { encodeMessage, encodeReady, messageRest, placeText } from '../state/queue-records.ts';
import type { BatchEvaluation } from './batch-evaluation.ts';
import type { Answered, FormatBehaviour, SectionBehaviour } from './behaviour.ts';
import { messageOf, findMessage } from './queue-moves.ts';
import { ack, extend, nack } from './queue-receipts.ts';
import { takeMessages, takenBefore } from './queue-take.ts';
import { QueueView } from './queue-view.ts';

export function viewOf({ turn, batch, writeSet }: BatchEvaluation, queue: string): QueueView {
  return new QueueView(turn, { account: batch.account, queue, writeSet });
}

export const ackBehaviour: SectionBehaviour<'ack'> = {
  evaluate(evaluation, { key, id, lock }) {
    const failed = ack(viewOf(evaluation, key), id, lock);
    if (failed !== undefined) evaluation.fail(failed);
    return true;
  },
  members: ({ asked }) => `"Ack":[${asked.ack!.map((_, i) => `{${messageMembers(asked.ack!, i)}}`).join(',')}],`,
};

export const nackBehaviour: SectionBehaviour<'nack'> = {
  evaluate(evaluation, operation) {
    const result = nack(viewOf(evaluation, operation.key), operation);
    if (!isFailure(result)) return result;
    evaluation.fail(result);
    return {};
  },
  members: (answered) => `"Nack":[${answered.asked.nack!.map((_, i) => `{${nackMembers(answered, i)}}`).join(',')}],`,
};

export const extendBehaviour: SectionBehaviour<'extend'> = {
  evaluate(evaluation, { key, id, lock, durMs }) {
    const result = extend(viewOf(evaluation, key), id, lock, durMs);
    if (!isFailure(result)) return result;
    evaluation.fail(result);
    return { till: 0 };
  },
  members: (answered) =>
    `"Extend":[${answered.asked.extend!.map((_, i) => `{${extendMembers(answered, i)}}`).join(',')}],`,
};

function isFailure(result: Failure | object): result is Failure {
  return 'code' in result;
}

export const dequeueBehaviour: SectionBehaviour<'dequeue'> = {
  evaluate(evaluation, operation) {
    const { state, batch } = evaluation;
    // Those who wait come first; a waiter has left the line before its batch is evaluated.
    const line = state.waitQueues.find('queue', batch.account, operation.key);
    const view = viewOf(evaluation, operation.key);
    if (line !== undefined && operation.waitMs === 0) return takenBefore(view, operation) ?? { messages: [] };
    return takeMessages(view, operation, batch.replyBytesMax ?? replyBytesMax);
  },
  members: (answered) => {
    const queue = quoted(answered.asked.dequeue!.key);
    const now = answered.results.lock === undefined ? `"Now":${answered.now},` : '';
    return `"Dequeue":{"Queue":${queue},${messagesMember(answered)}},${now}`;
  },
};

export const enqueueBehaviour: SectionBehaviour<'enqueue'> = {
  evaluate(evaluation, operation) {
    const view = viewOf(evaluation, operation.key);
    const { policy } = view.record;
    const group = operation.group ?? (policy.Fifo ? '' : undefined);
    const id: MessageId = {
      rev: 0,
      index: evaluation.index,
      priority: operation.priority,
      ...(group === undefined ? {} : { group }),
    };
    if (group !== undefined && operation.priority > 0) {
      const message = `expected none in a queue whose policy is Fifo, got ${operation.priority}`;
      evaluation.fail(failure('invalid', message), `Enqueue[${evaluation.index}].Priority`);
    }
    const first = operation.dedup === undefined ? undefined : seenBefore(view, operation.dedup);
    if (first !== undefined) return { id: first, duplicate: true };
    if (policy.MaxMessages > 0) {
      const used = view.messages();
      if (used >= policy.MaxMessages) evaluation.fail(queueFull(view.queue, policy.MaxMessages, used));
    }
    enqueue(view, operation, id);
    return { id };
  },
  members: (answered) =>
    `"Enqueue":[${answered.asked.enqueue!.map((_, i) => `{${enqueueMembers(answered, i)}}`).join(',')}],`,
};

function queueFull(queue: string, most: number, Used: number): Failure {
  const message = `The queue ${JSON.stringify(queue)} is full: ${Used} of ${most} messages (MaxMessages of its policy).`;
  return failure('quota_exceeded', message, { Queue: queue, Quota: 'queue', Limit: most, Used });
}

/** The id of the message that took this DedupID, within its window or while it is in the queue. */
export function seenBefore(view: QueueView, dedup: string): MessageId | undefined {
  const seen = view.find('x', dedup);
  if (seen === undefined || view.hasLapsed(seen)) return undefined;
  const [letter, index, priority, group] = JSON.parse(seen.value.slice(1)) as [
    'm' | 'd' | 'g',
    number,
    number,
    string?,
  ];
  const id = { rev: seen.rev, index, priority, ...(group == null ? {} : { group }) };
  const isPending = seen.till === 0 && seen.rev !== 0;
  return isPending && findMessage(view, messageOf(id, letter)) === undefined ? undefined : id;
}

interface Enqueued extends Pick<EnqueueOperation, 'data' | 'dedup' | 'delayMs' | 'ttlMs'> {
  /** The DedupID counts while the message is in the queue; absent: as the policy has it. */
  readonly pending?: boolean;
}

/** Notes that a DedupID has been used. @param till 0: while its message is in the queue */
export function putDedup(
  view: QueueView,
  dedup: string,
  { letter, id, till }: { readonly letter: string; readonly id: MessageId; readonly till: number },
): void {
  view.put('x', dedup, `x${JSON.stringify([letter, id.index, id.priority, id.group])}`, till);
}

/** Puts a message at the end of its line. */
export function enqueue(
  view: QueueView,
  { data, dedup, delayMs, ttlMs, pending = view.record.policy.DedupWindow === 0 }: Enqueued,
  id: MessageId,
  at = view.now,
): void {
  const { policy } = view.record;
  const { group, priority } = id;
  const letter = group !== undefined ? 'g' : delayMs > 0 ? 'd' : 'm';
  const place = placeText(id.rev, id.index);
  const ends = [ttlMs, policy.Retention * 1000].filter((ms) => ms > 0);
  const until = ends.length === 0 ? 0 : view.now + Math.min(...ends);
  const isPending = dedup !== undefined && pending;
  const record = { at, until, priority, data, ...(isPending && { pending: dedup }) };
  view.put(letter, messageRest(id, letter), encodeMessage(record), until);
  if (dedup !== undefined)
    putDedup(view, dedup, { letter, id, till: isPending ? 0 : view.now + policy.DedupWindow * 1000 });
  if (delayMs > 0) {
    const home = letter === 'd' ? `d${9 - priority}` : 'g';
    const waiting = { state: 'w', home, lock: -1, attempts: 0, durMs: 0, nacked: false } as const;
    view.putState(place, group === undefined ? waiting : { ...waiting, group }, view.now + delayMs);
  }
  if (group === undefined || view.groupOf(group) !== undefined) return;
  const first = { lock: -1, durMs: 0, nacked: false, out: 0, last: '', attempts: [] };
  if (delayMs > 0) return view.putGroup(group, { ...first, state: 'w' });
  view.putGroup(group, { ...first, state: 'r', place: id });
  view.put('r', `9${place}`, encodeReady({ at: view.now, group }));
}

type Named = readonly { readonly key: string; readonly id: string }[];

function messageMembers(operations: Named, i: number): string {
  const { key, id } = operations[i]!;
  return `"Queue":${quoted(key)},"ID":${quoted(id)}`;
}

function nackMembers({ asked, results }: Answered, i: number): string {
  const { at } = results.nack![i]!;
  return `${messageMembers(asked.nack!, i)}${at === undefined ? '' : `,"At":${at}`}`;
}

function extendMembers({ asked, results }: Answered, i: number): string {
  const { till } = results.extend![i]!;
  return `${messageMembers(asked.extend!, i)},"Till":${Math.ceil(till / 1000)},"TillMs":${till}`;
}

function enqueueMembers({ asked, results, rev }: Answered, i: number): string {
  const { id, duplicate } = results.enqueue![i]!;
  const ID = quoted(messageIdText(id.rev === 0 ? { ...id, rev } : id));
  return `"Queue":${quoted(asked.enqueue![i]!.key)},"ID":${ID}${duplicate ? ',"Duplicate":true' : ''}`;
}

function messagesMember({ results, rev }: Answered): string {
  return `"Messages":[${results.dequeue!.messages.map((message) => messageText(message, rev)).join(',')}]`;
}

function messageText({ id, data, attempts, at, lock, till, error }: DeliveredMessage, rev: number): string {
  const group = id.group === undefined ? '' : `,"Group":${quoted(id.group)}`;
  const times = `"Till":${Math.ceil(till / 1000)},"TillMs":${till}`;
  const failed = error === undefined ? '' : `,"LastError":${quoted(error)}`;
  const ID = quoted(messageIdText(id));
  return `{"ID":${ID},"Data":${data}${group},"Attempts":${attempts},"At":${at},"Lock":${lock || rev},${times}${failed}}`;
}

export const queueFormats = {
  'queue.send': { members: (answered) => `${enqueueMembers(answered, 0)},` },
  'queue.take': {
    members: (answered) => `${messagesMember(answered)},"Now":${answered.now},`,
    isNothing: ({ results }) => results.dequeue!.messages.length === 0,
  },
  'queue.ack': { members: ({ asked }) => `${messageMembers(asked.ack!, 0)},` },
  'queue.nack': { members: (answered) => `${nackMembers(answered, 0)},` },
  'queue.extend': { members: (answered) => `${extendMembers(answered, 0)},` },
} satisfies Record<string, FormatBehaviour>;

/** The deliveries of a batch, which are given back if the client has disconnected. Not if it can ask again for them. */
export function deliveryGrantOf(
  batch: Batch,
  { results, rev }: Pick<Answered, 'results' | 'rev'>,
  waited: boolean,
): Grant | undefined {
  const { dequeue } = batch;
  if (dequeue === undefined || dequeue.attempt !== undefined) return undefined;
  const ids = results.dequeue!.messages.map(({ id }) => messageIdText(id));
  if (ids.length === 0) return undefined;
  return { account: batch.account, id: dequeue.key, fence: rev, mutex: false, version: rev, waited, messages: ids };
}
