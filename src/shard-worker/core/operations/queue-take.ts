/** Dequeue: which messages are next, and what their delivery changes. */
import type { MessageId } from '../../../protocol/message-id.ts';
import type { DeliveredMessage, DequeueOperation, DequeueResult } from '../../../protocol/operations/queue.ts';
import { kinds } from '../../../protocol/record.ts';
import { attemptMsMax, dequeueBytesMax } from '../../../shared/limits.ts';
import {
  addAttempts,
  attemptsAt,
  decodeMessage,
  decodeReady,
  messageRest,
  type MessageRecord,
  type StateRecord,
  parsePlace,
} from '../state/queue-records.ts';
import { openPlace } from '../state/places.ts';
import { WriteSet } from '../state/write-set.ts';
import type { Turn } from '../state/turn.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import { attemptsFrom, dropMessage, isOver, lapsedMax, messageOf, regroup, withOwnLock } from './queue-moves.ts';
import { QueueView, type Part } from './queue-view.ts';

/** Groups of one delivery: each has an entry and a place in the line of its own, so it costs as much as several messages. */
export const dequeueGroupsMax = 250;
/** What an effect takes in a record besides its texts, at most three bytes a character. */
const effectOverhead = 200;

/** One call of Dequeue under way. */
class Taking {
  readonly view: QueueView;
  readonly operation: DequeueOperation;
  readonly messages: DeliveredMessage[] = [];
  /** Keys of fresh messages among them. */
  readonly fresh: string[] = [];
  readonly till: number;
  readonly most: number;
  /** Messages of groups whose time is over: the call ends a bounded number of them by itself. */
  lapsed = 0;
  /** Groups that it has a message of. */
  groups = 0;
  #bytes = 0;
  #recordBytes = 0;
  readonly #bytesMax: number;

  constructor(view: QueueView, operation: DequeueOperation, { most, bytesMax }: { most: number; bytesMax: number }) {
    this.view = view;
    this.operation = operation;
    this.till = view.now + operation.durMs;
    this.most = most;
    this.#bytesMax = Math.min(bytesMax, dequeueBytesMax);
  }

  /** @param keyLength of what the delivery writes */
  hasRoomFor(part: Part, keyLength: number): boolean {
    const { length } = this.messages;
    if (length >= this.most) return false;
    const bytes = this.#bytes + part.value.length;
    const recordBytes = this.#recordBytes + 3 * (keyLength + this.view.queue.length) * 2 + 2 * effectOverhead;
    if (length > 0 && (bytes > this.#bytesMax || recordBytes > this.view.state.recordBytesMax / 2)) return false;
    this.#bytes = bytes;
    this.#recordBytes = recordBytes;
    return true;
  }
}

/** @param bytesMax of the data in the reply */
export function takeMessages(view: QueueView, operation: DequeueOperation, bytesMax: number): DequeueResult {
  const again = takenBefore(view, operation);
  if (again !== undefined) return again;
  const { policy, paused } = view.record;
  if (paused) return { messages: [] };
  const most = policy.Parallel === 0 ? operation.max : Math.min(operation.max, policy.Parallel - view.live());
  if (most <= 0) return { messages: [] };
  const taking = new Taking(view, operation, { most, bytesMax });
  for (const { letter, rest } of lineOf(view, most)) {
    const taken = letter === 'm' ? takeFresh(taking, rest) : takeAgain(taking, rest);
    // What is next would be looked up in vain, and of a group that is a read of each layer.
    if (!taken || taking.messages.length >= most) break;
  }
  const mark = view.line.markAfter(taking.fresh);
  if (mark !== undefined) view.put('h', '', mark);
  const { messages } = taking;
  if (operation.attempt !== undefined && messages.length > 0) rememberAttempt(view, operation, messages);
  return { messages };
}

/** Whether a Dequeue that waits would get a message now. `set`, a new one, tells what the look has passed. */
export function hasMessages(turn: Turn, account: AccountId, asked: DequeueOperation, set = new WriteSet()): boolean {
  const view = new QueueView(turn, { account, queue: asked.key, writeSet: set });
  return takeMessages(view, { ...asked, max: 1, groupMax: 1 }, Infinity).messages.length > 0;
}

/** The line: what is fresh and what is ready again, by priority and place; last what this commit has made ready. */
function* lineOf(view: QueueView, most: number): Generator<{ letter: 'm' | 'r'; rest: string }, void, undefined> {
  const { line } = view;
  line.fill(most);
  const fresh = line.fresh.keys;
  const again = withOwn(view, line.again.keys);
  for (let m = 0, r = 0; m < fresh.length || r < again.length; ) {
    const first = fresh[m];
    const second = again[r];
    if (second === undefined || (first !== undefined && first < closed(second))) {
      yield { letter: 'm', rest: first! };
      m += 1;
    } else {
      yield { letter: 'r', rest: second };
      r += 1;
    }
  }
}

/** A place that is still open is behind all others of its priority. */
function closed(rest: string): string {
  return rest.startsWith(openPlace, 1) ? `${rest.charAt(0)}~${rest.slice(1)}` : rest;
}

/** With what this commit makes ready. */
function withOwn({ line, writeSet }: QueueView, again: readonly string[]): readonly string[] {
  const prefix = line.prefix('r');
  const own = writeSet.all().filter(({ kind, key, value }) => {
    return kind === kinds.queue && value !== undefined && key.startsWith(prefix);
  });
  if (own.length === 0) return again;
  const all = [...again, ...own.map(({ key }) => key.slice(prefix.length))];
  return all.toSorted((a, b) => (closed(a) < closed(b) ? -1 : 1));
}

/** @returns false: the call has enough */
function takeFresh(taking: Taking, rest: string): boolean {
  const { view, operation, till } = taking;
  const part = view.find('m', rest);
  const place = rest.slice(1);
  if (part === undefined || view.hasLapsed(part) || view.find('s', place) !== undefined) return true;
  if (!taking.hasRoomFor(part, rest.length)) return false;
  const home = `m${rest.charAt(0)}`;
  view.putState(place, { state: 'f', home, lock: 0, attempts: 1, durMs: operation.durMs, nacked: false }, till);
  taking.fresh.push(rest);
  const id = { ...parsePlace(place), priority: 9 - Number(rest.charAt(0)) };
  deliver(taking, id, decodeMessage(part.value), { attempts: 1 });
  return true;
}

function takeAgain(taking: Taking, rest: string): boolean {
  const { view } = taking;
  const row = view.find('r', rest);
  if (row === undefined) return true;
  const { id, group } = decodeReady(row.value);
  return group === undefined ? takeRetried(taking, rest, id!) : takeGroup(taking, rest, group);
}

function takeRetried(taking: Taking, rest: string, place: string): boolean {
  const { view, operation, till } = taking;
  const state = view.stateOf(place);
  if (state?.state !== 'r') return true;
  const priority = 9 - Number(state.home.charAt(1));
  const id: MessageId = { ...parsePlace(place), priority };
  const letter = state.home.charAt(0) as 'm' | 'd';
  const part = view.find(letter, messageRest(id, letter));
  if (part === undefined || view.hasLapsed(part)) return true;
  if (!taking.hasRoomFor(part, rest.length)) return false;
  view.drop('r', rest);
  const { home, error } = state;
  const attempts = state.attempts + 1;
  const taken: StateRecord = { state: 'f', home, lock: 0, attempts, durMs: operation.durMs, nacked: false };
  view.putState(place, error === undefined ? taken : { ...taken, error }, till);
  deliver(taking, id, decodeMessage(part.value), { attempts, error });
  return true;
}

function takeGroup(taking: Taking, rest: string, group: string): boolean {
  const { view, operation, till } = taking;
  if (taking.groups >= dequeueGroupsMax) return false;
  const record = view.groupOf(group);
  if (record?.state !== 'r') return true;
  let head: string | undefined;
  let last = '';
  let out = 0;
  let full = false;
  let lastOver: string | undefined;
  for (const { place, part } of view.groupMessages(group)) {
    const message = decodeMessage(part.value);
    // One that was out when its time was over has no deadline any more.
    if (view.hasLapsed(part) || (part.till === 0 && isOver(view, message))) {
      // It must not count as out with those around it. Of very many, the expiry ends the first.
      taking.lapsed += 1;
      view.writeSet.passed += 1;
      if (taking.lapsed > lapsedMax) {
        if (head === undefined) return true;
        break;
      }
      lastOver = place;
      dropMessage(view, messageOf({ ...parsePlace(place), priority: 0, group }, 'g'), true);
      continue;
    }
    const state = view.stateOf(place);
    if (state?.state === 'w' && !view.hasLapsed(state)) break;
    if (!taking.hasRoomFor(part, rest.length + group.length)) {
      full = true;
      break;
    }
    if (state?.state === 'w') becomeDue(view, place, state);
    head ??= place;
    last = place;
    out += 1;
    const id: MessageId = { ...parsePlace(place), priority: 0, group };
    deliver(taking, id, message, { attempts: attemptsAt(record.attempts, place) + 1, error: state?.error });
    // The row behind it may cost a read of each layer.
    if (out >= operation.groupMax) break;
  }
  if (head === undefined) {
    // Its expiry finds nothing any more, so what is left of the group leaves the line here.
    if (lastOver !== undefined) regroup(view, group, lastOver);
    return !full;
  }
  // Rows below the head are gone, so the count may begin in front of everything.
  const attempts = addAttempts(attemptsFrom(record.attempts, head), { after: '', upTo: last, add: 1 });
  taking.groups += 1;
  view.drop('r', rest);
  view.putGroup(group, { state: 'f', lock: 0, durMs: operation.durMs, nacked: false, out, last, attempts }, till);
  return !full;
}

/** The delay of a group's message is over. What is worth keeping is how it failed. */
export function becomeDue(view: QueueView, place: string, state: StateRecord): void {
  if (state.error === undefined) view.drop('s', place);
  else view.putState(place, { ...state, state: 'n' });
}

function deliver(
  { messages, till }: Taking,
  id: MessageId,
  { at, data }: Pick<MessageRecord, 'at' | 'data'>,
  { attempts, error }: { attempts: number; error?: string | undefined },
): void {
  messages.push({ id, data, attempts, at, lock: 0, till, ...(error === undefined ? {} : { error }) });
}

function rememberAttempt(view: QueueView, operation: DequeueOperation, messages: readonly DeliveredMessage[]): void {
  const ids = messages.map(({ id }) => id);
  const till = view.now + Math.min(operation.durMs, attemptMsMax);
  view.put('o', operation.attempt!, `o${JSON.stringify(ids)}`, till);
}

/** What an earlier Dequeue with this AttemptID took and still has out. Undefined: nothing. */
export function takenBefore(view: QueueView, { attempt }: DequeueOperation): DequeueResult | undefined {
  if (attempt === undefined) return undefined;
  const stored = view.find('o', attempt);
  if (stored === undefined || view.hasLapsed(stored)) return undefined;
  const messages = (JSON.parse(stored.value.slice(1)) as MessageId[]).flatMap((id) => {
    return outUnder(view, id, stored.rev) ?? [];
  });
  return messages.length === 0 ? undefined : { messages };
}

function outUnder(view: QueueView, id: MessageId, lock: number): DeliveredMessage | undefined {
  const out = liveDelivery(view, id);
  if (out === undefined || out.lock !== lock) return undefined;
  const part = view.find(out.letter, messageRest(id, out.letter));
  if (part === undefined) return undefined;
  const { at, data } = decodeMessage(part.value);
  const { attempts, till } = out;
  const error = view.stateOf(messageRest(id, 'd'))?.error;
  return { id, data, attempts, at, lock, till, ...(error === undefined ? {} : { error }) };
}

export interface LiveDelivery {
  readonly lock: number;
  readonly till: number;
  readonly attempts: number;
  readonly letter: 'm' | 'd' | 'g';
}

/** The delivery under which a message is out now. */
export function liveDelivery(view: QueueView, id: MessageId): LiveDelivery | undefined {
  const place = messageRest(id, 'd');
  if (id.group === undefined) {
    const state = view.stateOf(place);
    if (state?.state !== 'f') return undefined;
    const till = view.leaseEnd(state, state.durMs);
    const { lock } = withOwnLock(state);
    const letter = state.home.charAt(0) as 'm' | 'd';
    return till <= view.now ? undefined : { lock, till, attempts: state.attempts, letter };
  }
  const group = view.groupOf(id.group);
  if (group?.state !== 'f' || place > group.last) return undefined;
  const till = view.leaseEnd(group, group.durMs);
  const { lock } = withOwnLock(group);
  const attempts = attemptsAt(group.attempts, place);
  return till <= view.now ? undefined : { lock, till, attempts, letter: 'g' };
}
