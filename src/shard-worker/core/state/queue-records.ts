/**
 * The parts of a queue on disk: entries of kind `q` under `‹queue› NUL ‹letter›‹generation›:‹rest›`. A purge begins a new
 * generation, so that all that was there is gone at once; a sweep removes it later. The first character of a value is
 * the state by which the entry is counted. An id is a place, 11 + 4 characters; `c` is 9 minus the priority.
 *
 *   m c id        a message that was ready from the start, in the order of the line
 *   d id          a message with a delay
 *   g group NUL id  a message of a group
 *   s id          f: in flight, till = its lease · w: waits, till = when · r: ready again · b: blocked.
 *                 A message `m` without it is fresh. Of a group's message: w: waits · n: how it failed last.
 *   G group       r: ready · f: out, till = the lease of all · w: its head waits · b: its head is blocked.
 *                 Absent: the group has no messages. More than one are out: the state is their number.
 *   r c place     what is ready again: the id of a message, or a group
 *   k id          what is blocked
 *   z id          a dead message, with its data
 *   x dedup       the id that was enqueued under a DedupID. Its generation counts deletions of the queue.
 *   o attempt     the messages that a Dequeue with this AttemptID took
 *   h             how far fresh messages have been handed out, by `c`
 *   p             policy, pause, generations; till = the next sweep
 *
 * A place whose revision is 0 is that of the entry's own commit, and so is a Lock. So neither has to be filled in.
 */
import type { MessageId } from '../../../protocol/message-id.ts';
import { defaultQueuePolicy, type QueuePolicy } from '../../../protocol/operations/queue-policy.ts';
import type { Revision } from '../../../protocol/ids.ts';
import { openPlace, placeOf } from './places.ts';

export type PartLetter = 'm' | 'd' | 'g' | 's' | 'G' | 'r' | 'k' | 'z' | 'x' | 'o' | 'h' | 'p';

const indexLength = 4;
/** What becomes ready in a commit has places after all that the commit enqueues. */
export const readyIndexMin = 32_768;

export function partPrefix(queue: string, letter: PartLetter, generation: number): string {
  return `${queue}\0${letter}${generation === 0 ? '' : generation.toString(32)}:`;
}

/** A place, 15 characters. Revision 0 is open. */
export function placeText(rev: number, index: number): string {
  return (rev === 0 ? openPlace : placeOf(rev as Revision)) + index.toString(32).padStart(indexLength, '0');
}

/** Inverse of `placeText`. */
export function parsePlace(text: string): { rev: number; index: number } {
  const at = openPlace.length;
  return { rev: parseInt(text.slice(0, at), 32), index: parseInt(text.slice(at), 32) };
}

export function priorityChar(priority: number): string {
  return String(9 - priority);
}

/** Where a message stands: the letter and what precedes the id in its key. */
export function messageRest({ priority, group, rev, index }: MessageId, letter: 'm' | 'd' | 'g'): string {
  const place = placeText(rev, index);
  if (letter === 'g') return `${group ?? ''}\0${place}`;
  return letter === 'd' ? place : priorityChar(priority) + place;
}

export interface MessageRecord {
  /** When it was enqueued, in wall-clock milliseconds. */
  readonly at: number;
  /** When it is dropped if it is not out; 0: never. */
  readonly until: number;
  readonly priority: number;
  /** The DedupID that is taken while it is in the queue. */
  readonly pending?: string;
  readonly data: string;
}

export function encodeMessage({ at, until, priority, pending, data }: MessageRecord): string {
  const rest =
    pending === undefined ? (priority === 0 ? '' : `,${priority}`) : `,${priority},${JSON.stringify(pending)}`;
  return `m[${at},${until}${rest}]\n${data}`;
}

export function decodeMessage(text: string): MessageRecord {
  const end = text.indexOf('\n');
  const [at, until, priority = 0, pending] = JSON.parse(text.slice(1, end)) as [number, number, number?, string?];
  const record = { at, until, priority, data: text.slice(end + 1) };
  return pending === undefined ? record : { ...record, pending };
}

/** The last delivery of a message, or of all that a group has out. */
export interface LastDelivery {
  /** 0: the revision of the entry; −1: there was none. */
  readonly lock: number;
  /** Its holder gave it back. */
  readonly nacked: boolean;
  readonly durMs: number;
}

export interface StateRecord extends LastDelivery {
  readonly state: 'f' | 'w' | 'r' | 'b' | 'n';
  /** `m9`, `d9`: the letter of its message, and its priority. `g`: the message of a group. */
  readonly home: string;
  readonly attempts: number;
  /** Its place while it is ready again; `rev` 0: the revision of the entry. */
  readonly place?: { readonly rev: number; readonly index: number };
  readonly group?: string;
  readonly error?: string;
}

type StateRow = [
  lock: number,
  attempts: number,
  durMs: number,
  nacked: 0 | 1,
  placeRev: number,
  placeIndex: number,
  group?: string | null,
  error?: string | null,
];

function orNull(text: string | undefined): string {
  return text === undefined ? 'null' : JSON.stringify(text);
}

export function encodeState(record: StateRecord): string {
  const { state, home, lock, attempts, durMs, nacked, place, group, error } = record;
  const words = error === undefined && group === undefined ? '' : `,${orNull(group)},${orNull(error)}`;
  return `${state}${home}[${lock},${attempts},${durMs},${nacked ? 1 : 0},${place?.rev ?? 0},${place?.index ?? -1}${words}]`;
}

export function decodeState(text: string): StateRecord {
  const at = text.indexOf('[');
  const row = JSON.parse(text.slice(at)) as StateRow;
  const [lock, attempts, durMs, nacked, rev, index, group = null, error = null] = row;
  return {
    state: text[0] as StateRecord['state'],
    home: text.slice(1, at),
    lock,
    attempts,
    durMs,
    nacked: nacked === 1,
    ...(index < 0 ? {} : { place: { rev, index } }),
    ...(group === null ? {} : { group }),
    ...(error === null ? {} : { error }),
  };
}

/** Attempts of a group's messages, by place: those up to `upTo` that have no lower row. None beyond the last row. */
export type Attempts = readonly (readonly [upTo: string, attempts: number])[];

export interface GroupRecord extends LastDelivery {
  readonly state: 'r' | 'f' | 'w' | 'b';
  /** How many are out, and the place up to which they are: that of the last, or the one before what was given back. */
  readonly out: number;
  readonly last: string;
  readonly attempts: Attempts;
  readonly place?: { readonly rev: number; readonly index: number };
}

type GroupRow = [
  lock: number,
  durMs: number,
  nacked: 0 | 1,
  out: number,
  last: string,
  placeRev: number,
  placeIndex: number,
  attempts: Attempts,
];

/** Above this code, a state is the number of messages that a group has out. */
const outStateBase = 0x1000;

export function encodeGroup({ state, lock, durMs, nacked, out, last, place, attempts }: GroupRecord): string {
  const letter = state === 'f' && out > 1 ? String.fromCharCode(outStateBase + out) : state;
  const row: GroupRow = [lock, durMs, nacked ? 1 : 0, out, last, place?.rev ?? 0, place?.index ?? -1, attempts];
  return letter + JSON.stringify(row);
}

export function decodeGroup(text: string): GroupRecord {
  const row = JSON.parse(text.slice(1)) as GroupRow;
  const [lock, durMs, nacked, out, last, rev, index, attempts] = row;
  const state = text.charCodeAt(0) > outStateBase ? 'f' : (text[0] as GroupRecord['state']);
  const place = index < 0 ? {} : { place: { rev, index } };
  return { state, lock, durMs, nacked: nacked === 1, out, last, attempts, ...place };
}

/** How many messages the groups in this state have out. */
export function outOf(state: string): number {
  const code = state.charCodeAt(0);
  return code > outStateBase ? code - outStateBase : state === 'f' ? 1 : 0;
}

export function attemptsAt(attempts: Attempts, place: string): number {
  return attempts.find(([upTo]) => place <= upTo)?.[1] ?? 0;
}

/** Adds to the attempts of the messages after `after` and up to `upTo`. */
export function addAttempts(
  attempts: Attempts,
  { after, upTo, add }: { readonly after: string; readonly upTo: string; readonly add: number },
): Attempts {
  const ends = [...new Set([...attempts.map(([end]) => end), ...(after === '' ? [] : [after]), upTo])].toSorted();
  const rows: [string, number][] = [];
  for (const end of ends) {
    const count = attemptsAt(attempts, end) + (end > after && end <= upTo ? add : 0);
    const before = rows.at(-1);
    if (before !== undefined && before[1] === count) before[0] = end;
    else rows.push([end, count]);
  }
  while (rows.at(-1)?.[1] === 0) rows.pop();
  return rows;
}

/** What a ready row leads to. */
export interface ReadyRecord {
  /** When it became ready, in wall-clock milliseconds. */
  readonly at: number;
  /** A group, or the place of a message. */
  readonly group?: string;
  readonly id?: string;
}

export function encodeReady({ at, group, id }: ReadyRecord): string {
  return `r${JSON.stringify(group === undefined ? [at, id] : [at, null, group])}`;
}

export function decodeReady(text: string): ReadyRecord {
  const [at, id, group] = JSON.parse(text.slice(1)) as [number, string | null, string?];
  return group === undefined ? { at, id: id! } : { at, group };
}

export interface DeadRecord {
  readonly at: number;
  readonly attempts: number;
  readonly lock: number;
  readonly nacked: boolean;
  readonly diedAt: number;
  readonly group?: string;
  readonly priority: number;
  readonly error?: string;
  readonly data: string;
}

export function encodeDead(record: DeadRecord): string {
  const { at, attempts, lock, nacked, diedAt, group = null, priority, error = null, data } = record;
  return `z${JSON.stringify([at, attempts, lock, nacked ? 1 : 0, diedAt, priority, group, error])}\n${data}`;
}

export function decodeDead(text: string): DeadRecord {
  const end = text.indexOf('\n');
  const row = JSON.parse(text.slice(1, end)) as [number, number, number, 0 | 1, number, number, string?, string?];
  const [at, attempts, lock, nacked, diedAt, priority, group, error] = row;
  return {
    at,
    attempts,
    lock,
    nacked: nacked === 1,
    diedAt,
    priority,
    ...(group == null ? {} : { group }),
    ...(error == null ? {} : { error }),
    data: text.slice(end + 1),
  };
}

export interface QueueRecord {
  readonly policy: QueuePolicy;
  readonly paused: boolean;
  /** Of all parts but `x`, and of `x`. */
  readonly generation: number;
  readonly deletions: number;
  /** Messages and receipts up to this revision were purged; 0: none; −1: up to that of the entry. */
  readonly purged: number;
  /** It was deleted, and nothing has been said about it since. */
  readonly forgotten: boolean;
}

export const plainQueue: QueueRecord = {
  policy: defaultQueuePolicy,
  paused: false,
  generation: 0,
  deletions: 0,
  purged: 0,
  forgotten: false,
};

export function encodeQueue({ policy, paused, generation, deletions, purged, forgotten }: QueueRecord): string {
  return `p${JSON.stringify([generation, deletions, purged, paused ? 1 : 0, forgotten ? 1 : 0, policy])}`;
}

export function decodeQueue(text: string, rev: number): QueueRecord {
  const row = JSON.parse(text.slice(1)) as [number, number, number, 0 | 1, 0 | 1, QueuePolicy];
  const [generation, deletions, purged, paused, forgotten, policy] = row;
  return {
    policy,
    paused: paused === 1,
    generation,
    deletions,
    purged: purged === -1 ? rev : purged,
    forgotten: forgotten === 1,
  };
}
