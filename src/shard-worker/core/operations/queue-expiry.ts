/** What happens when the time of a part of a queue has come: a lease ends, a delay is over, a message is too old. */
import type { LocatedEntry } from '../../../protocol/entries.ts';
import { kinds } from '../../../protocol/record.ts';
import type { Turn } from '../state/turn.ts';
import {
  attemptsAt,
  decodeMessage,
  decodeState,
  encodeMessage,
  encodeQueue,
  type PartLetter,
  parsePlace,
} from '../state/queue-records.ts';
import type { WriteSet } from '../state/write-set.ts';
import {
  dropMessage,
  failLast,
  findMessage,
  isLast,
  isOver,
  makeReady,
  messageOf,
  regroup,
  settleGroup,
  withOwnLock,
  type Message,
} from './queue-moves.ts';
import { becomeDue } from './queue-take.ts';
import { QueueView } from './queue-view.ts';

/** What one turn may still do. */
export interface ExpiryBudget {
  /** Entries of purged queues that it may delete. */
  sweeps: number;
  /** Bytes of messages that it may move. */
  bytes: number;
  /** Messages that ends of leases may look at; each that ends with its lease counts as `stepsOfEnd`. */
  steps: number;
}

/** Messages that the ends of leases of groups look at in one turn of a shard; one that ends itself counts as several. */
export const expiryStepsMax = 1000;
const stepsOfEnd = 8;

export function isSpent({ bytes, steps }: ExpiryBudget): boolean {
  return bytes <= 0 || steps <= 0;
}

/** A group whose members died for this many bytes goes on in the next commit. */
const deathBytesMax = 64 * 1024;
/** A sweep that this turn has no time for is due again so soon. */
const sweepAgainMs = 5;

const sweptLetters: readonly PartLetter[] = ['m', 'd', 'g', 's', 'G', 'r', 'k', 'z'];

/** Puts what follows into the write set. Something before it in the same commit may have changed the entry. */
export function expirePart(
  turn: Turn,
  { account, key }: LocatedEntry,
  { writeSet, budget }: { writeSet: WriteSet; budget: ExpiryBudget },
): void {
  const queue = key.slice(0, key.indexOf('\0'));
  const view = new QueueView(turn, { account, queue, writeSet });
  const letter = key.charAt(queue.length + 1) as PartLetter;
  const prefix = view.line.prefix(letter);
  // Of a purged generation: the sweep has not come to it yet.
  if (!key.startsWith(prefix)) return writeSet.put({ kind: kinds.queue, key, till: 0 });
  const rest = key.slice(prefix.length);
  const part = view.find(letter, rest);
  if (part === undefined || part.till === 0 || part.till > turn.now) return;
  switch (letter) {
    case 's':
      return expireState(view, rest, budget);
    case 'G':
      return expireLease(view, rest, budget);
    case 'm':
    case 'd':
    case 'g':
      return expireMessage(view, letter, rest);
    case 'p':
      return sweep(view, budget);
    default:
      return view.drop(letter, rest, true);
  }
}

/** The lease of one message, or its delay. */
function expireState(view: QueueView, place: string, budget: ExpiryBudget): void {
  const state = view.stateOf(place)!;
  if (state.group !== undefined) {
    becomeDue(view, place, state);
    const group = view.groupOf(state.group);
    if (group?.state === 'w' && headIs(view, state.group, place)) settleGroup(view, state.group, withOwnLock(group));
    return;
  }
  if (state.state !== 'f' && state.state !== 'w') return view.putState(place, withOwnLock(state));
  const end = state.state === 'f' ? view.leaseEnd(state, state.durMs) : state.till;
  const own = withOwnLock(state);
  if (end > view.now) return view.putState(place, own, end);
  const letter = state.home.charAt(0) as 'm' | 'd';
  const message = messageOf({ ...parsePlace(place), priority: 9 - Number(state.home.charAt(1)) }, letter);
  const part = findMessage(view, message);
  if (part === undefined) return view.drop('s', place);
  const isTried = state.state === 'f';
  if (isTried && isOver(view, decodeMessage(part.value))) return dropMessage(view, message, true);
  if (isTried && isLast(view, state.attempts)) {
    budget.bytes -= part.value.length;
    return failLast(view, message, { ...own, nacked: false });
  }
  makeReady(view, message, { ...own, ...(isTried ? { nacked: false } : {}) }, 'end');
}

function headIs(view: QueueView, group: string, place: string): boolean {
  for (const message of view.groupMessages(group)) {
    if (!view.hasLapsed(message.part)) return message.place === place;
  }
  return false;
}

/** The lease of all messages that a group has out. */
function expireLease(view: QueueView, group: string, budget: ExpiryBudget): void {
  const record = view.groupOf(group)!;
  const own = withOwnLock(record);
  const end = view.leaseEnd(record, record.durMs);
  if (end > view.now) return view.putGroup(group, own, end);
  const { OnFail } = view.record.policy;
  let bytes = 0;
  let left = record.out;
  let kept = 0;
  for (const { place, part } of view.groupMessages(group)) {
    if (place > record.last || left === 0) break;
    left -= 1;
    budget.steps -= 1;
    const message: Message = messageOf({ ...parsePlace(place), priority: 0, group }, 'g');
    const attempts = attemptsAt(record.attempts, place);
    if (isOver(view, decodeMessage(part.value))) dropMessage(view, message, true);
    else if (isLast(view, attempts) && OnFail !== 'block') {
      const error = view.stateOf(place)?.error;
      const failed = { attempts, lock: own.lock, durMs: record.durMs, nacked: false };
      failLast(view, message, error === undefined ? failed : { ...failed, error });
      bytes += part.value.length;
    } else {
      kept += 1;
      continue;
    }
    budget.steps -= stepsOfEnd;
    // What is left ends in a later commit: the entry stays due.
    if ((bytes > deathBytesMax || budget.steps <= 0) && left > 0) {
      budget.bytes -= bytes;
      return view.putGroup(group, { ...own, out: left + kept }, record.till);
    }
  }
  budget.bytes -= bytes;
  settleGroup(view, group, { ...own, nacked: false });
}

/** A message is too old. If it is out, its holder keeps it, and it goes when the lease ends. */
function expireMessage(view: QueueView, letter: 'm' | 'd' | 'g', rest: string): void {
  const place = rest.slice(-15);
  const group = letter === 'g' ? rest.slice(0, -16) : undefined;
  const priority = letter === 'm' ? 9 - Number(rest.charAt(0)) : 0;
  const id = { ...parsePlace(place), priority, ...(group === undefined ? {} : { group }) };
  const message = messageOf(id, letter);
  if (isOut(view, place, group)) {
    const part = view.find(letter, rest)!;
    return view.put(letter, rest, encodeMessage(decodeMessage(part.value)));
  }
  dropMessage(view, message, true);
  if (group !== undefined) regroup(view, group, place);
}

function isOut(view: QueueView, place: string, group: string | undefined): boolean {
  if (group !== undefined) {
    const record = view.groupOf(group);
    return record?.state === 'f' && place <= record.last;
  }
  const part = view.find('s', place);
  return part !== undefined && decodeState(part.value).state === 'f';
}

/** Deletes what a purge has left behind, a little at a time. */
function sweep(view: QueueView, budget: ExpiryBudget): void {
  const { record } = view;
  for (const letter of [...sweptLetters, 'x' as const]) {
    const current = view.line.prefix(letter);
    const all = `${view.queue}\0${letter}`;
    for (let after: string | undefined; ; ) {
      let passed = false;
      for (const { key } of view.state.entries.range(kinds.queue, view.account, all, after)) {
        if (key.startsWith(current)) {
          passed = true;
          break;
        }
        if (budget.sweeps === 0) return view.put('p', '', encodeQueue(record), view.now + sweepAgainMs);
        budget.sweeps -= 1;
        view.writeSet.put({ kind: kinds.queue, key, till: 0 });
      }
      if (!passed) break;
      after = `${current}\uffff`;
    }
  }
  const isPlain = record.forgotten && view.messages() === 0;
  if (!isPlain) view.put('p', '', encodeQueue(record));
  else view.drop('p', '');
}
