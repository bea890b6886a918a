/** Messages of a queue that somebody looks at, in the order of the line. Nothing changes. */
import type { LocatedEntry } from '../../../protocol/entries.ts';
import { messageIdText, type MessageId } from '../../../protocol/message-id.ts';
import type { QueuePeek } from '../../../protocol/operations/queue-calls.ts';
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
  placeText,
  type PartLetter,
  parsePlace,
} from '../state/queue-records.ts';
import { readRevision } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import { lapsedMax } from './queue-moves.ts';
import { lookAt } from './queue-looks.ts';
import type { Part, QueueView } from './queue-view.ts';

/** One message of a page. `after` leads on behind it. */
interface Seen {
  readonly after: string;
  /** Absent: it is in another state. */
  readonly body?: string | undefined;
  /** How many entries were read for it, about. Absent: two. */
  readonly steps?: number;
}

/** The first message of a group is looked for among all of the shard, and its state, and that of the group. */
const stepsOfGroup = 8;

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
    scanned += seen.steps ?? 2;
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
      const id = { ...parsePlace(rest), priority, ...(group === undefined ? {} : { group }) };
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
      const id = { ...parsePlace(rest.slice(1)), priority: 9 - Number(rest.charAt(0)) };
      const isFresh = view.find('s', rest.slice(1)) === undefined && !view.hasLapsed(entry);
      yield isFresh ? { after: rest, body: bodyOf(view, id, { State: 'ready', attempts: 0 }) } : { after: rest };
      first = fresh.next();
    } else {
      const { rest, entry } = second.value;
      const ready = decodeReady(entry.value);
      if (ready.group === undefined) yield { after: rest, body: againBody(view, ready.id!) };
      else yield { after: rest, body: headBody(view, ready.group), steps: stepsOfGroup };
      second = again.next();
    }
  }
}

function againBody(view: QueueView, place: string): string | undefined {
  const state = view.stateOf(place);
  if (state === undefined) return undefined;
  const id = { ...parsePlace(place), priority: 9 - Number(state.home.charAt(1)) };
  return bodyOf(view, id, { State: 'ready', attempts: state.attempts, error: state.error }, state.home);
}

function headBody(view: QueueView, group: string): string | undefined {
  const record = view.groupOf(group);
  let lapsed = 0;
  for (const { place: head, part } of view.groupMessages(group)) {
    if (view.hasLapsed(part)) {
      lapsed += 1;
      if (lapsed < lapsedMax) continue;
      return undefined;
    }
    const attempts = attemptsAt(record?.attempts ?? [], head);
    const error = view.stateOf(head)?.error;
    return bodyOf(view, { ...parsePlace(head), priority: 0, group }, { State: 'ready', attempts, error });
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
    const place = parsePlace(rest);
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
    const id = { ...parsePlace(place), priority: 0, group };
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
