/** Looks at queues: lists, numbers, and messages in the order of their line. Nothing changes. */
import type { AccountId } from '../../../protocol/ids.ts';
import type { QueueList, QueueStat } from '../../../protocol/operations/queue-calls.ts';
import { defaultQueuePolicy } from '../../../protocol/operations/queue-policy.ts';
import type { Page, Row } from '../../../protocol/page-rows.ts';
import { kinds } from '../../../protocol/record.ts';
import type { PartTotal } from '../../../protocol/entries.ts';
import type { QueueTotals } from '../../../protocol/stats.ts';
import type { ShardState } from '../state/state.ts';
import type { RequestRef } from '../state/outbox.ts';
import { decodeMessage, decodeReady, outOf } from '../state/queue-records.ts';
import { readRevision } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import { WriteSet } from '../state/write-set.ts';
import { QueueView } from './queue-view.ts';

/** Queues of one page: to sum one up costs as much as ten keys. */
const queuesPerPage = 100;

const plainPolicy = JSON.stringify(defaultQueuePolicy);

interface Numbers {
  readonly Ready: number;
  readonly InFlight: number;
  readonly Delayed: number;
  readonly Dead: number;
  readonly Blocked: number;
  readonly Groups: number;
  readonly BlockedGroups: number;
  readonly Bytes: number;
}

function numbersOf(view: QueueView): Numbers {
  const { queue, line, state, account } = view;
  const prefix = line.prefix('m').slice(queue.length + 2);
  let Bytes = 0;
  const current: PartTotal[] = [];
  for (const { part, entries, bytes } of state.entries.partsOf(kinds.queue, account, queue)) {
    const letter = part[0]!;
    const isOld = !'xhpo'.includes(letter) && part.slice(1, -1) !== prefix;
    if (isOld) continue;
    Bytes += bytes;
    current.push({ letter, state: part.at(-1)!, entries });
  }
  return { ...sumUp(current), Bytes };
}

/** How many messages there are in each state, from the counts of entries. */
function sumUp(parts: Iterable<PartTotal>): Omit<Numbers, 'Bytes'> {
  let messages = 0;
  let [Dead, InFlight, Delayed, blocked, Groups, BlockedGroups] = [0, 0, 0, 0, 0, 0];
  for (const { letter, state: ofState, entries } of parts) {
    if (letter === 'm' || letter === 'd' || letter === 'g') messages += entries;
    else if (letter === 'z') Dead += entries;
    else if (letter === 's') {
      if (ofState === 'f') InFlight += entries;
      else if (ofState === 'w') Delayed += entries;
      else if (ofState === 'b') blocked += entries;
    } else if (letter === 'G') {
      Groups += entries;
      InFlight += outOf(ofState) * entries;
      if (ofState === 'b') BlockedGroups += entries;
    }
  }
  const Blocked = blocked + BlockedGroups;
  const Ready = messages - InFlight - Delayed - Blocked;
  return { Ready, InFlight, Delayed, Dead, Blocked, Groups, BlockedGroups };
}

/** Of a queue without messages, pause and policy, at most what it has seen is left. */
function isThere(view: QueueView): boolean {
  const { paused, policy } = view.record;
  return paused || JSON.stringify(policy) !== plainPolicy || view.messages() > 0;
}

function statText({ state }: Turn, view: QueueView): string {
  const { queue, account } = view;
  const { paused, policy } = view.record;
  const stat = {
    Queue: queue,
    ...numbersOf(view),
    OldestMs: oldestMs(view),
    Consumers: state.waitQueues.length('queue', account, queue),
    Paused: paused,
    Policy: policy,
  };
  return JSON.stringify(stat);
}

export function lookAt(turn: Turn, account: AccountId, queue: string): QueueView {
  return new QueueView(turn, { account, queue, writeSet: new WriteSet() });
}

/** The age of what is first in line, and first of each priority as far as the line is remembered. */
function oldestMs(view: QueueView): number {
  const { line, now } = view;
  line.fill(1);
  let oldest = now;
  for (const [letter, keys] of [
    ['m', line.fresh.keys],
    ['r', line.again.keys],
  ] as const) {
    let priority = '';
    for (const key of keys) {
      if (key.charAt(0) === priority) continue;
      const part = view.find(letter, key);
      if (part === undefined || view.hasLapsed(part)) continue;
      priority = key.charAt(0);
      oldest = Math.min(oldest, letter === 'm' ? decodeMessage(part.value).at : decodeReady(part.value).at);
    }
  }
  return now - oldest;
}

/** Queues whose first messages are looked at for the metrics: those used last. */
const oldestOf = 100;

/**
 * All queues together, for the metrics. What a purge has left behind is counted until it is swept. The oldest message is
 * that of the queues used last, so that the costs have a bound.
 */
export function queueTotals(state: ShardState, now: number): QueueTotals {
  const {
    Ready: ready,
    InFlight: inFlight,
    Delayed: delayed,
    Dead: dead,
    Blocked: blocked,
  } = sumUp(state.entries.partTotals());
  let oldest = 0;
  if (ready > 0) {
    for (const { account, queue } of state.queues.lastUsed(oldestOf)) {
      oldest = Math.max(oldest, oldestMs(new QueueView({ state, now }, { account, queue, writeSet: new WriteSet() })));
    }
  }
  const { deliveries, redeliveries } = state.queues;
  const consumers = state.waitQueues.waitersOf('queue');
  return { ready, inFlight, delayed, dead, blocked, oldestMs: oldest, consumers, deliveries, redeliveries };
}

export function statQueue(turn: Turn, ref: RequestRef, { account, queue }: QueueStat): void {
  const rev = readRevision(turn.state);
  const body = `${statText(turn, lookAt(turn, account, queue)).slice(0, -1)},"Rev":${rev}}`;
  turn.out.reply(ref, { rev, outcome: 'ok', body });
}

/** Names are found one by one: after a name comes the first key behind all of its parts. */
export function listQueues(turn: Turn, { account, prefix, after, limit }: QueueList): Page {
  const rows: Row[] = [];
  let scanned = 0;
  let last = after;
  for (;;) {
    const [next] = turn.state.entries.range(
      kinds.queue,
      account,
      prefix,
      last === undefined ? undefined : `${last}\u0001`,
    );
    if (next === undefined) return { rows };
    if (rows.length >= limit || scanned >= queuesPerPage) return { rows, after: last! };
    scanned += 1;
    const queue = next.key.slice(0, next.key.indexOf('\0'));
    const view = lookAt(turn, account, queue);
    if (isThere(view)) rows.push({ key: queue, body: statText(turn, view) });
    last = queue;
  }
}
