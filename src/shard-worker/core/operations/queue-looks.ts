/** Looks at queues: lists, numbers, and messages in the order of their line. Nothing changes. */
import type { LocatedEntry } from '../../../protocol/entries.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import { messageIdText, type MessageId } from '../../../protocol/message-id.ts';
import type { QueueList, QueuePeek, QueueStat } from '../../../protocol/operations/queue-calls.ts';
import { defaultQueuePolicy } from '../../../protocol/operations/queue-policy.ts';
import type { Page, Row } from '../../../protocol/page.ts';
import { kinds } from '../../../protocol/record.ts';
import { pageBytesMax, pageScanMax } from '../../../shared/limits.ts';
import { quoted } from '../../../shared/text.ts';
import type { RequestRef } from '../state/outbox.ts';
import {
  attemptsAt,
  decodeDead,
  decodeGroup,
  decodeMessage,
  decodeReady,
  decodeState,
  messageRest,
  outOf,
  placeText,
  type PartLetter,
} from '../state/queue-records.ts';
import { readRevision } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import { WriteSet } from '../state/write-set.ts';
import { placeOfText } from './queue-moves.ts';
import { QueueView, type Part } from './queue-view.ts';

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
  let messages = 0;
  let [Dead, InFlight, Delayed, blocked, Groups, BlockedGroups, Bytes] = [0, 0, 0, 0, 0, 0, 0];
  for (const { part, entries, bytes } of state.entries.partsOf(kinds.queue, account, queue)) {
    const [letter, ofState] = [part[0]!, part.at(-1)!];
    const isOld = !'xhpo'.includes(letter) && part.slice(1, -1) !== prefix;
    if (isOld) continue;
    Bytes += bytes;
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
  return { Ready, InFlight, Delayed, Dead, Blocked, Groups, BlockedGroups, Bytes };
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

function lookAt(turn: Turn, account: AccountId, queue: string): QueueView {
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

/** One message of a page. `after` leads on behind it. */
interface Seen {
  readonly after: string;
  /** Absent: it is in another state. */
  readonly body?: string | undefined;
}

export function peekQueue(turn: Turn, ref: RequestRef, { account, queue, state, after, limit }: QueuePeek): void {
  const rev = readRevision(turn.state);
  const view = lookAt(turn, account, queue);
  const from = after === undefined ? '' : Buffer.from(after, 'base64url').toString();
  const bodies: string[] = [];
  let bytes = 0;
  let scanned = 0;
  let last: string | undefined;
  let more = false;
  for (const seen of peeks[state](view, from)) {
    if (last !== undefined && (bodies.length >= limit || bytes >= pageBytesMax || scanned >= pageScanMax)) {
      more = true;
      break;
    }
    scanned += 1;
    last = seen.after;
    if (seen.body === undefined) continue;
    bytes += seen.body.length;
    bodies.push(seen.body);
  }
  const next = more ? `"More":true,"After":"${Buffer.from(last!).toString('base64url')}",` : '';
  turn.out.reply(ref, { rev, outcome: 'ok', body: `{"Messages":[${bodies.join(',')}],${next}"Rev":${rev}}` });
}

const peeks: Readonly<Record<QueuePeek['state'], (view: QueueView, from: string) => Iterable<Seen>>> = {
  ready: peekReady,
  *inflight(view, from) {
    if (!from.startsWith('G')) yield* peekStates(view, 'f', from);
    yield* peekGroupsOut(view, from.startsWith('G') ? from.slice(1) : '');
  },
  delayed: (view, from) => peekStates(view, 'w', from),
  *dead(view, from) {
    for (const { rest, entry } of rowsOf(view, 'z', from)) {
      const { at, data, attempts, priority, group, error } = decodeDead(entry.value);
      const id = { ...placeOfText(rest), priority, ...(group === undefined ? {} : { group }) };
      const shown = { State: 'dead', at, data, attempts, error };
      yield { after: rest, body: view.hasLapsed(entry) ? undefined : messageText(id, shown) };
    }
  },
  *blocked(view, from) {
    for (const { rest, entry } of rowsOf(view, 'k', from)) {
      const id = JSON.parse(entry.value.slice(1)) as MessageId;
      const group = id.group === undefined ? undefined : view.groupOf(id.group);
      const state = view.stateOf(rest);
      const attempts = group === undefined ? (state?.attempts ?? 0) : attemptsAt(group.attempts, rest);
      yield { after: rest, body: bodyOf(view, id, { State: 'blocked', attempts, error: state?.error }) };
    }
  },
};

function* rowsOf(
  view: QueueView,
  letter: PartLetter,
  from: string,
): Generator<{ readonly rest: string; readonly entry: LocatedEntry['entry'] }, void, undefined> {
  const prefix = view.line.prefix(letter);
  const after = from === '' ? undefined : prefix + from;
  for (const { key, entry } of view.state.entries.range(kinds.queue, view.account, prefix, after)) {
    yield { rest: key.slice(prefix.length), entry };
  }
}

/** Fresh messages and those that are ready again, merged by priority and place. Of a group, its first. */
function* peekReady(view: QueueView, from: string): Generator<Seen, void, undefined> {
  const fresh = rowsOf(view, 'm', from)[Symbol.iterator]();
  const again = rowsOf(view, 'r', from)[Symbol.iterator]();
  let first = fresh.next();
  let second = again.next();
  while (!first.done || !second.done) {
    if (second.done || (!first.done && first.value.rest < second.value.rest)) {
      const { rest, entry } = first.value!;
      const id = { ...placeOfText(rest.slice(1)), priority: 9 - Number(rest.charAt(0)) };
      const isFresh = view.find('s', rest.slice(1)) === undefined && !view.hasLapsed(entry);
      yield isFresh ? { after: rest, body: bodyOf(view, id, { State: 'ready', attempts: 0 }) } : { after: rest };
      first = fresh.next();
    } else {
      const { rest, entry } = second.value;
      yield { after: rest, body: againBody(view, decodeReady(entry.value)) };
      second = again.next();
    }
  }
}

function againBody(view: QueueView, { id: place, group }: ReturnType<typeof decodeReady>): string | undefined {
  if (group === undefined) {
    const state = view.stateOf(place!);
    if (state === undefined) return undefined;
    const id = { ...placeOfText(place!), priority: 9 - Number(state.home.charAt(1)) };
    return bodyOf(view, id, { State: 'ready', attempts: state.attempts, error: state.error }, state.home);
  }
  const record = view.groupOf(group);
  for (const { place: head, part } of view.groupMessages(group)) {
    if (view.hasLapsed(part)) continue;
    const attempts = attemptsAt(record?.attempts ?? [], head);
    const error = view.stateOf(head)?.error;
    return bodyOf(view, { ...placeOfText(head), priority: 0, group }, { State: 'ready', attempts, error });
  }
  return undefined;
}

function* peekStates(view: QueueView, wanted: 'f' | 'w', from: string): Generator<Seen, void, undefined> {
  for (const { rest, entry } of rowsOf(view, 's', from)) {
    const state = decodeState(entry.value);
    if (state.state !== wanted) {
      yield { after: rest };
      continue;
    }
    const { group } = state;
    const place = placeOfText(rest);
    const record = group === undefined ? undefined : view.groupOf(group);
    const attempts = record === undefined ? state.attempts : attemptsAt(record.attempts, rest);
    const id =
      group === undefined ? { ...place, priority: 9 - Number(state.home.charAt(1)) } : { ...place, priority: 0, group };
    const till = wanted === 'f' ? view.leaseEnd(entry, state.durMs) : entry.till;
    const State = wanted === 'f' ? 'inflight' : 'delayed';
    yield { after: rest, body: bodyOf(view, id, { State, attempts, error: state.error, till }, state.home) };
  }
}

function* peekGroupsOut(view: QueueView, from: string): Generator<Seen, void, undefined> {
  const [fromGroup = '', fromPlace] = from.split('\0');
  const within = fromPlace === undefined ? undefined : view.find('G', fromGroup);
  if (within !== undefined) yield* peekGroupOut(view, fromGroup, within, fromPlace!);
  for (const { rest, entry } of rowsOf(view, 'G', fromGroup)) {
    let any = false;
    for (const seen of peekGroupOut(view, rest, entry, '')) {
      any = true;
      yield seen;
    }
    if (!any) yield { after: `G${rest}` };
  }
}

function* peekGroupOut(view: QueueView, group: string, part: Part, after: string): Generator<Seen, void, undefined> {
  const record = decodeGroup(part.value);
  if (record.state !== 'f') return;
  const till = view.leaseEnd(part, record.durMs);
  for (const { place } of view.groupMessages(group)) {
    if (place > record.last) return;
    if (place <= after) continue;
    const id = { ...placeOfText(place), priority: 0, group };
    const attempts = attemptsAt(record.attempts, place);
    const error = view.stateOf(place)?.error;
    yield { after: `G${group}\0${place}`, body: bodyOf(view, id, { State: 'inflight', attempts, error, till }) };
  }
}

interface Shown {
  readonly State: string;
  readonly attempts: number;
  readonly error?: string | undefined;
  readonly till?: number;
}

function bodyOf(view: QueueView, id: MessageId, shown: Shown, home = 'm'): string | undefined {
  const letter = id.group !== undefined ? 'g' : home.startsWith('d') ? 'd' : 'm';
  const part = view.find(letter, messageRest(id, letter)) ?? view.find('d', placeText(id.rev, id.index));
  if (part === undefined) return undefined;
  const { at, data } = decodeMessage(part.value);
  return messageText(id, { ...shown, at, data });
}

function messageText(id: MessageId, shown: Shown & { readonly at: number; readonly data: string }): string {
  const { State, attempts, error, till, at, data } = shown;
  const group = id.group === undefined ? '' : `,"Group":${quoted(id.group)}`;
  const ends = till === undefined ? '' : `,"Till":${Math.ceil(till / 1000)}`;
  const failed = error === undefined ? '' : `,"LastError":${quoted(error)}`;
  return `{"ID":${quoted(messageIdText(id))},"Data":${data}${group},"State":"${State}","Attempts":${attempts},"At":${at}${ends}${failed}}`;
}
