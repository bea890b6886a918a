/**
 * How messages and groups move from one state to the next (queue-records.ts has the states):
 *
 *   a message    fresh ──► out ──ack──────────────────────────────► gone
 *                           ├─nack, delay──► waits ──due──► ready again ──► out
 *                           ├─nack, lease ends────────────► ready again
 *                           └─the last attempt──► dead, gone, or blocked
 *   a group      ready ──► out ──all settled──► ready at its new place, waits or is blocked with its head, or is gone
 */
import { messageIdText, type MessageId } from '../../../protocol/message-id.ts';
import {
  addAttempts,
  attemptsAt,
  decodeMessage,
  encodeDead,
  encodeReady,
  messageRest,
  placeText,
  type Attempts,
  type GroupRecord,
  type MessageRecord,
  type StateRecord,
  parsePlace,
} from '../state/queue-records.ts';
import { placeBefore, type Part, type PartOf, type QueueView } from './queue-view.ts';

/** A message, its place in the order of ids, and the letter of its entry. */
export interface Message {
  readonly id: MessageId;
  readonly place: string;
  readonly letter: 'm' | 'd' | 'g';
}

export function messageOf(id: MessageId, letter: Message['letter']): Message {
  return { id, place: placeText(id.rev, id.index), letter };
}

export function findMessage(view: QueueView, { id, letter }: Message): Part | undefined {
  return view.find(letter, messageRest(id, letter));
}

/** Deletes a message with all that belongs to it. Its group has to be settled by the caller. */
export function dropMessage(view: QueueView, message: Message, expired = false): void {
  const { id, place, letter } = message;
  const part = findMessage(view, message);
  const state = view.stateOf(place);
  if (state !== undefined) {
    if (state.state === 'r') dropReady(view, state);
    if (state.state === 'b') view.drop('k', place);
    view.drop('s', place);
  }
  if (part === undefined) return;
  view.drop(letter, messageRest(id, letter), expired);
  forgetDedup(view, decodeMessage(part.value), id);
}

/** A DedupID that counts while its message is in the queue is free again. */
function forgetDedup(view: QueueView, { pending }: MessageRecord, id: MessageId): void {
  if (pending === undefined) return;
  const seen = view.find('x', pending);
  if (seen?.till === 0 && seen.rev === id.rev) view.drop('x', pending);
}

function dropReady(view: QueueView, { place, rev, home }: PartOf<StateRecord>): void {
  if (place === undefined) return;
  view.drop('r', home.charAt(1) + placeText(place.rev === 0 ? rev : place.rev, place.index));
}

/** Puts a message in line again: behind all that is ready, or at the place of its id, in front. */
export function makeReady(view: QueueView, { id, place }: Message, state: StateRecord, where: 'end' | 'front'): void {
  const at = where === 'front' ? { rev: id.rev, index: id.index } : view.nextPlace();
  view.putState(place, { ...state, state: 'r', place: at });
  view.put('r', state.home.charAt(1) + placeText(at.rev, at.index), encodeReady({ at: view.now, id: place }));
}

/** The attempt has failed and was the last one. */
export function failLast(view: QueueView, message: Message, last: Omit<StateRecord, 'state' | 'home'>): void {
  const { policy } = view.record;
  const { id, place, letter } = message;
  if (policy.OnFail === 'drop') return dropMessage(view, message);
  if (policy.OnFail === 'block') {
    const state = view.stateOf(place)!;
    view.putState(place, { ...state, ...last, state: 'b' });
    view.put('k', place, `k${JSON.stringify(id)}`);
    return;
  }
  const part = findMessage(view, message);
  dropMessage(view, message);
  if (part === undefined) return;
  const { at, data, priority } = decodeMessage(part.value);
  const { attempts, lock, nacked, error } = last;
  const group = letter === 'g' ? { group: id.group! } : {};
  const failed = error === undefined ? {} : { error };
  const dead = { at, attempts, lock, nacked, diedAt: view.now, priority, data, ...group, ...failed };
  const { DeadRetention } = policy;
  view.put('z', place, encodeDead(dead), DeadRetention === 0 ? 0 : view.now + DeadRetention * 1000);
}

export function isLast(view: QueueView, attempts: number): boolean {
  const { MaxAttempts } = view.record.policy;
  return MaxAttempts > 0 && attempts >= MaxAttempts;
}

/** Milliseconds until the next try. A tenth more or less, by id and attempt, parts those that failed together. */
export function backoffMs(view: QueueView, id: MessageId, attempts: number): number {
  const { Min, Max, Factor } = view.record.policy.Backoff;
  const base = Math.min(Max, Min * Factor ** Math.min(Math.max(0, attempts - 1), 1000)) * 1000;
  let hash = 0x811c9dc5;
  for (const char of `${messageIdText(id)} ${attempts}`) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193);
  return Math.round(base * (0.9 + 0.2 * ((hash >>> 0) / 0x1_0000_0000)));
}

/** Whether the time of a message is over that is not out any more. */
export function isOver(view: QueueView, { until }: Pick<MessageRecord, 'until'>): boolean {
  return until !== 0 && until <= view.now;
}

/** Rows of attempts that no message of the group needs any more are dropped. */
export function attemptsFrom(attempts: Attempts, head: string): Attempts {
  return attempts.filter(([upTo]) => upTo >= head);
}

/** Messages of a group whose time is over, which one look at the group passes: their own ends are due. */
export const lapsedMax = 100;
/** As many of all groups that one commit settles. */
const passedMax = 1000;

/**
 * Nothing of the group is out: it gets the state that its first message gives it. Behind very many whose time is over it
 * is ready, until these have ended.
 *
 * @param last of the delivery that has ended
 */
export function settleGroup(
  view: QueueView,
  group: string,
  last: Pick<GroupRecord, 'lock' | 'durMs' | 'nacked' | 'attempts'>,
  where: 'end' | 'front' = 'end',
): void {
  let lapsed = 0;
  let dropped = 0;
  for (const { place, part } of view.groupMessages(group)) {
    if (view.hasLapsed(part)) {
      lapsed += 1;
      view.writeSet.passed += 1;
      if (lapsed <= lapsedMax && view.writeSet.passed <= passedMax) continue;
    }
    if (part.till === 0 && isOver(view, decodeMessage(part.value))) {
      // It was out when its time was over, so no deadline ends it. Of very many, the end of a lease goes on with the next.
      dropped += 1;
      if (dropped > lapsedMax) {
        return view.putGroup(group, { ...last, state: 'f', out: 1, last: place }, view.now);
      }
      dropMessage(view, { id: { ...parsePlace(place), priority: 0, group }, place, letter: 'g' }, true);
      continue;
    }
    const attempts = attemptsFrom(last.attempts, place);
    const settled = { ...last, attempts, out: 0, last: '' };
    const state = view.stateOf(place);
    if (state?.state === 'w' && !view.hasLapsed(state)) return view.putGroup(group, { ...settled, state: 'w' });
    if (view.record.policy.OnFail === 'block' && isLast(view, attemptsAt(attempts, place))) {
      const { rev, index } = parsePlace(place);
      view.put('k', place, `k${JSON.stringify({ rev, index, priority: 0, group })}`);
      return view.putGroup(group, { ...settled, state: 'b' });
    }
    const at = where === 'front' ? parsePlace(place) : view.nextPlace();
    view.putGroup(group, { ...settled, state: 'r', place: at });
    view.put('r', `9${placeText(at.rev, at.index)}`, encodeReady({ at: view.now, group }));
    return;
  }
  view.drop('G', group);
}

/** A message of a group that is not out has gone: its time was over, or somebody dropped it. */
export function regroup(view: QueueView, group: string, gone: string): void {
  const record = view.groupOf(group);
  if (record === undefined || record.state === 'f') return;
  if (record.state === 'b') view.drop('k', gone);
  const head = headOf(view, group);
  if (head !== undefined && head.place < gone) return;
  // Its own end, which is due, settles the group. To look for the first that lives, at the end of each, would be quadratic.
  if (head !== undefined && view.hasLapsed(head.part)) return;
  if (record.state === 'r') {
    const place = record.place!;
    const rest = `9${placeText(place.rev === 0 ? record.rev : place.rev, place.index)}`;
    const state = head === undefined ? undefined : view.stateOf(head.place);
    // The next one takes over its place in the line, if it is ready too.
    if (head !== undefined && !(state?.state === 'w' && !view.hasLapsed(state))) return;
    view.drop('r', rest);
  }
  settleGroup(view, group, withOwnLock(record));
}

/** The first message of the group. Its time may be over. */
function headOf(view: QueueView, group: string): { readonly place: string; readonly part: Part } | undefined {
  for (const message of view.groupMessages(group)) return message;
  return undefined;
}

/** The record with the revision of its entry as its Lock, so that it may be written again. */
export function withOwnLock<RecordType extends { readonly lock: number }>(record: PartOf<RecordType>): RecordType {
  return record.lock === 0 ? { ...record, lock: record.rev } : record;
}

/** Takes back the attempt of the messages from one place on. */
export function uncount(attempts: Attempts, from: string, upTo: string): Attempts {
  return from > upTo ? attempts : addAttempts(attempts, { after: placeBefore(from), upTo, add: -1 });
}
