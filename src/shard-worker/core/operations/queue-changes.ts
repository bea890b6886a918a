/** What an administrator does to a queue: policy, pause, purge, deletion, and what becomes of the dead and blocked. */
import { parseMessageId, type MessageId } from '../../../protocol/message-id.ts';
import { defaultQueuePolicy } from '../../../protocol/operations/queue-policy.ts';
import type { QueueChange, QueueChangeResult, RedriveChange } from '../../../protocol/operations/queue-change.ts';
import { kinds } from '../../../protocol/record.ts';
import { unreachable } from '../../../shared/assert.ts';
import { pageScanMax, redriveBytesMax } from '../../../shared/limits.ts';
import { decodeDead, encodeQueue, type QueueRecord, parsePlace } from '../state/queue-records.ts';
import type { FormatBehaviour, SectionBehaviour } from './behaviour.ts';
import { dropMessage, makeReady, messageOf, settleGroup, withOwnLock } from './queue-moves.ts';
import { deadWith } from './queue-receipts.ts';
import { enqueue, viewOf } from './queue.ts';
import type { QueueView } from './queue-view.ts';

export const queueChangeBehaviour: SectionBehaviour<'queueChange'> = {
  evaluate(evaluation, operation) {
    return change(viewOf(evaluation, operation.key), operation);
  },
};

function change(view: QueueView, operation: QueueChange): QueueChangeResult {
  switch (operation.change) {
    case 'policy':
      putQueue(view, { ...view.record, policy: operation.policy, forgotten: false });
      return { policy: operation.policy };
    case 'pause':
    case 'resume':
      putQueue(view, { ...view.record, paused: operation.change === 'pause', forgotten: false });
      return {};
    case 'purge':
      return purge(view, { ...view.record, purged: -1, forgotten: false });
    case 'delete': {
      const { deletions } = view.record;
      return purge(view, {
        ...view.record,
        policy: defaultQueuePolicy,
        paused: false,
        deletions: deletions + 1,
        purged: 0,
        forgotten: true,
      });
    }
    case 'redrive':
      return redrive(view, operation);
    default:
      return unreachable(operation);
  }
}

/** A sweep that is under way goes on. */
export function putQueue(view: QueueView, record: QueueRecord): void {
  view.put('p', '', encodeQueue(record), view.find('p', '')?.till ?? 0);
}

/** All is gone at once, because nobody looks at the old generation. The sweep begins with the next turn. */
function purge(view: QueueView, record: QueueRecord): QueueChangeResult {
  const purged = view.messages();
  view.put('p', '', encodeQueue({ ...record, generation: record.generation + 1 }), view.now + 1);
  return { purged };
}

interface Redriving {
  readonly view: QueueView;
  readonly how: RedriveChange['how'];
  index: number;
  redriven: number;
  skipped: number;
  bytes: number;
}

function redrive(view: QueueView, { how, id, group, limit }: RedriveChange): QueueChangeResult {
  const redriving: Redriving = { view, how, index: 0, redriven: 0, skipped: 0, bytes: 0 };
  const isWanted = (each: string | undefined): boolean => group === undefined || group === each;
  for (const { place, value } of candidates(view, 'z', id)) {
    if (redriving.redriven + redriving.skipped >= limit || redriving.bytes >= redriveBytesMax) break;
    if (isWanted(decodeDead(value).group)) redriveDead(redriving, place, value);
  }
  for (const { place, value } of candidates(view, 'k', id)) {
    if (redriving.redriven + redriving.skipped >= limit) break;
    const blocked = JSON.parse(value.slice(1)) as MessageId;
    if (isWanted(blocked.group)) redriveBlocked(redriving, place, blocked);
  }
  return { redriven: redriving.redriven, skipped: redriving.skipped };
}

/** The dead or blocked messages, or the one with this id; at most as many as a page looks at. */
function* candidates(
  view: QueueView,
  letter: 'z' | 'k',
  id: string | undefined,
): Generator<{ readonly place: string; readonly value: string }, void, undefined> {
  if (id !== undefined) {
    const meant = parseMessageId(id)!;
    const { place } = messageOf(meant, 'm');
    const part = view.find(letter, place);
    if (part === undefined) return;
    const isMeant = letter === 'z' ? deadWith(view, meant) !== undefined : part.value === `k${JSON.stringify(meant)}`;
    if (isMeant) yield { place, value: part.value };
    return;
  }
  const prefix = view.line.prefix(letter);
  let left = pageScanMax;
  for (const { key, entry } of view.state.entries.range(kinds.queue, view.account, prefix)) {
    if (left === 0) return;
    left -= 1;
    if (!view.hasLapsed(entry)) yield { place: key.slice(prefix.length), value: entry.value };
  }
}

/** A dead message becomes a new one. */
function redriveDead(redriving: Redriving, place: string, value: string): void {
  const { view, how } = redriving;
  view.drop('z', place);
  if (how === 'skip') {
    redriving.skipped += 1;
    return;
  }
  const { data, priority, group, at } = decodeDead(value);
  const id = { rev: 0, index: redriving.index, priority, ...(group === undefined ? {} : { group }) };
  enqueue(view, { data, delayMs: 0, ttlMs: 0 }, id, at);
  redriving.index += 1;
  redriving.redriven += 1;
  redriving.bytes += value.length;
}

function redriveBlocked(redriving: Redriving, place: string, id: MessageId): void {
  const { view, how } = redriving;
  const { group } = id;
  const retried = how === 'retry';
  redriving[retried ? 'redriven' : 'skipped'] += 1;
  view.drop('k', place);
  if (group !== undefined) {
    const record = view.groupOf(group);
    if (record === undefined) return;
    if (!retried) dropMessage(view, messageOf({ ...parsePlace(place), priority: 0, group }, 'g'));
    const own = withOwnLock(record);
    // Those behind the first one have no more attempts than it had.
    settleGroup(view, group, retried ? { ...own, attempts: own.attempts.filter(([upTo]) => upTo > place) } : own);
    return;
  }
  const state = view.stateOf(place);
  if (state === undefined) return;
  const message = messageOf(id, state.home.charAt(0) as 'm' | 'd');
  if (retried) makeReady(view, message, { ...withOwnLock(state), attempts: 0 }, 'end');
  else dropMessage(view, message);
}

export const queueChangeFormats = {
  'queue.policy': { members: ({ results }) => `"Policy":${JSON.stringify(results.queueChange!.policy)},` },
  'queue.delete': { members: ({ results }) => `"Purged":${results.queueChange!.purged!},` },
  'queue.purge': { members: ({ results }) => `"Purged":${results.queueChange!.purged!},` },
  'queue.pause': { members: () => '"Paused":true,' },
  'queue.resume': { members: () => '"Paused":false,' },
  'queue.redrive': {
    members: ({ results }) => {
      const { redriven, skipped } = results.queueChange!;
      return `"Redriven":${redriven!},"Skipped":${skipped!},`;
    },
  },
} satisfies Record<string, FormatBehaviour>;
