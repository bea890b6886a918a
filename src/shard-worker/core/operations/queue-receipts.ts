/** Acks, nacks and extensions: what a receipt still may do, and what it does. */
import { failure, type Failure } from '../../../protocol/errors.ts';
import { parseMessageId, type MessageId } from '../../../protocol/message-id.ts';
import type { NackOperation } from '../../../protocol/operations/queue-receipts.ts';
import { isLost } from '../../../protocol/restored.ts';
import { assert } from '../../../shared/assert.ts';
import { decodeDead, decodeMessage, messageRest, type DeadRecord, type StateRecord } from '../state/queue-records.ts';
import {
  backoffMs,
  dropMessage,
  failLast,
  findMessage,
  isLast,
  isOver,
  makeReady,
  messageOf,
  settleGroup,
  uncount,
  withOwnLock,
  type Message,
} from './queue-moves.ts';
import { liveDelivery } from './queue-take.ts';
import { placeBefore, type QueueView } from './queue-view.ts';

/**
 * Why a receipt holds nothing. `expired`: its lease ended. `redelivered`: a later delivery followed. `nacked`: its
 * holder gave it back. `gone`: the message was acked, dropped or deleted. `purged`. `restored`: it was given in a time
 * that a restore has lost. `unknown`: never given.
 */
type Why = 'expired' | 'redelivered' | 'nacked' | 'gone' | 'purged' | 'restored' | 'unknown';

type Receipt =
  | { readonly kind: 'live'; readonly message: Message; readonly attempts: number }
  /** Its lease has ended, and nobody else has got the message. */
  | { readonly kind: 'late'; readonly message: Message }
  | { readonly kind: 'dead'; readonly message: Message }
  | { readonly kind: 'lost'; readonly why: Why };

function lost(why: Why): Receipt {
  return { kind: 'lost', why };
}

/** @param lock absent: by its ID alone, which means a dead message */
function receiptOf(view: QueueView, id: MessageId, lock: number | undefined): Receipt {
  const receipt = knownReceipt(view, id, lock);
  const isRestored = receipt.kind === 'lost' && isLost(view.state.boot.restored, lock ?? id.rev);
  return isRestored ? lost('restored') : receipt;
}

function knownReceipt(view: QueueView, id: MessageId, lock: number | undefined): Receipt {
  if (view.record.purged >= (lock ?? id.rev)) return lost('purged');
  const letter = id.group === undefined ? letterOf(view, id) : 'g';
  const message = messageOf(id, letter);
  const out = liveDelivery(view, id);
  const isThere = isMeant(view, message);
  if (out !== undefined && out.lock === lock && isThere) {
    return { kind: 'live', message, attempts: out.attempts };
  }
  const dead = deadWith(view, id);
  if (lock === undefined) {
    if (dead !== undefined) return { kind: 'dead', message };
    return lost(isThere ? 'unknown' : 'gone');
  }
  // A delivery comes after what it delivers.
  if (lock <= id.rev) return lost('unknown');
  if (dead !== undefined) return lost(whyOf(lock, dead.lock, dead.nacked));
  if (!isThere) return lost('gone');
  return letter === 'g' ? lostInGroup(view, id, lock) : lateOrLost(view, message, lock);
}

/** Whether there is a message with exactly this id: a place alone would find one of another priority, too. */
function isMeant(view: QueueView, message: Message): boolean {
  const part = findMessage(view, message);
  return part !== undefined && (message.letter !== 'd' || decodeMessage(part.value).priority === message.id.priority);
}

/** The dead message with exactly this id. */
export function deadWith(view: QueueView, id: MessageId): DeadRecord | undefined {
  const part = view.find('z', messageRest(id, 'd'));
  if (part === undefined || view.hasLapsed(part)) return undefined;
  const dead = decodeDead(part.value);
  return dead.group === id.group && dead.priority === id.priority ? dead : undefined;
}

function letterOf(view: QueueView, id: MessageId): 'm' | 'd' {
  const state = view.find('s', messageRest(id, 'd'));
  return state?.value.charAt(1) === 'd' ? 'd' : 'm';
}

function lateOrLost(view: QueueView, message: Message, lock: number): Receipt {
  const state = view.stateOf(message.place);
  if (state === undefined) return lost('unknown');
  const last = withOwnLock(state);
  const isWaiting = state.state === 'r' || state.state === 'f';
  if (last.lock === lock && !last.nacked && isWaiting) return { kind: 'late', message };
  return lost(whyOf(lock, last.lock, last.nacked));
}

function lostInGroup(view: QueueView, { group }: MessageId, lock: number): Receipt {
  const record = view.groupOf(group!);
  if (record === undefined) return lost('gone');
  const last = withOwnLock(record);
  return lost(whyOf(lock, last.lock, last.nacked));
}

/** @param last the Lock of the last delivery */
function whyOf(lock: number, last: number, nacked: boolean): Why {
  if (lock === last) return nacked ? 'nacked' : 'expired';
  return lock < last ? 'redelivered' : 'unknown';
}

const words: Readonly<Record<Why, string>> = {
  expired: 'its lease has ended',
  redelivered: 'it was delivered again since',
  nacked: 'it was given back under this Lock',
  gone: 'it is not there any more',
  purged: 'the queue was purged',
  restored: 'the server was restored from a backup, and that delivery is lost',
  unknown: 'it was not delivered under this Lock',
};

function expired(queue: string, ID: string, verb: string, Why: Why): Failure {
  const message = `Cannot ${verb} the message ${ID} of the queue ${JSON.stringify(queue)}: ${words[Why]}.`;
  return failure('receipt_expired', message, { Queue: queue, ID, Why });
}

function idOf(text: string): MessageId {
  const id = parseMessageId(text);
  assert(id !== undefined, 'a front end lets only ids of messages through');
  return id;
}

/** @returns why it fails; undefined: it is done */
export function ack(view: QueueView, text: string, lock: number | undefined): Failure | undefined {
  const id = idOf(text);
  const receipt = receiptOf(view, id, lock);
  if (receipt.kind === 'lost') return expired(view.queue, text, 'ack', receipt.why);
  if (receipt.kind === 'dead') view.drop('z', receipt.message.place);
  else if (id.group === undefined) dropMessage(view, receipt.message);
  else ackInGroup(view, receipt.message, id.group);
  return undefined;
}

function ackInGroup(view: QueueView, message: Message, group: string): void {
  const record = view.groupOf(group)!;
  const own = withOwnLock(record);
  dropMessage(view, message);
  if (record.out > 1) view.putGroup(group, { ...own, out: record.out - 1 }, record.till);
  else settleGroup(view, group, own);
}

/** @returns why it fails, or when the message is ready again */
export function nack(view: QueueView, operation: NackOperation): Failure | { readonly at?: number } {
  const { id: text, lock } = operation;
  const id = idOf(text);
  const receipt = receiptOf(view, id, lock);
  if (receipt.kind !== 'live') {
    return expired(view.queue, text, 'nack', receipt.kind === 'lost' ? receipt.why : 'expired');
  }
  const { message, attempts } = receipt;
  const part = findMessage(view, message)!;
  const delayMs = operation.returned ? 0 : (operation.delayMs ?? backoffMs(view, id, attempts));
  const isDropped = isOver(view, decodeMessage(part.value));
  const given = { message, attempts, delayMs, isDropped };
  if (id.group === undefined) nackMessage(view, operation, given);
  else nackInGroup(view, operation, id.group, given);
  const waits = delayMs > 0 && !isDropped && (operation.returned || !isLast(view, attempts));
  return waits ? { at: view.now + delayMs } : {};
}

interface Given {
  readonly message: Message;
  readonly attempts: number;
  readonly delayMs: number;
  /** Its time is over. */
  readonly isDropped: boolean;
}

function nackMessage(
  view: QueueView,
  { lock, error, returned }: NackOperation,
  { message, attempts, delayMs, isDropped }: Given,
): void {
  if (isDropped) return dropMessage(view, message);
  const { rev: _rev, till: _till, ...before } = view.stateOf(message.place)!;
  const state: StateRecord = { ...before, lock, nacked: true, ...(error === undefined ? {} : { error }) };
  if (returned) return makeReady(view, message, { ...state, attempts: attempts - 1 }, 'front');
  if (isLast(view, attempts)) return failLast(view, message, state);
  if (delayMs === 0) return makeReady(view, message, state, 'end');
  view.putState(message.place, { ...state, state: 'w' }, view.now + delayMs);
}

/** Those behind it are given back with it: they have not begun. Those before it stay out. */
function nackInGroup(
  view: QueueView,
  { lock, error, returned }: NackOperation,
  group: string,
  { message, attempts, delayMs, isDropped }: Given,
): void {
  const { place } = message;
  const record = view.groupOf(group)!;
  const { till } = record;
  // From here to the end of what is out: whoever gives back a thousand, the last first, passes each once.
  let next: string | undefined;
  let behind = 0;
  for (const each of view.groupMessages(group, place)) {
    next ??= each.place;
    if (each.place > record.last) break;
    behind += 1;
  }
  const before = record.out - behind - 1;
  const from = returned ? place : next;
  const counted = from === undefined ? record.attempts : uncount(record.attempts, from, record.last);
  if (isDropped) dropMessage(view, message);
  else if (!returned) {
    const old = view.stateOf(place);
    const words = error ?? old?.error;
    const state = {
      home: 'g',
      lock: -1,
      attempts: 0,
      durMs: 0,
      nacked: true,
      group,
      ...(words === undefined ? {} : { error: words }),
    };
    const { OnFail } = view.record.policy;
    if (isLast(view, attempts) && OnFail !== 'block') {
      failLast(view, message, { ...state, attempts, lock });
    } else if (delayMs > 0 && !isLast(view, attempts)) {
      view.putState(place, { ...state, state: 'w' }, view.now + delayMs);
    } else if (words !== undefined) {
      view.putState(place, { ...state, state: 'n' });
    }
  }
  const given = { lock, durMs: record.durMs, nacked: true, attempts: counted };
  if (before <= 0) settleGroup(view, group, given, returned ? 'front' : 'end');
  else view.putGroup(group, { ...given, state: 'f', out: before, last: placeBefore(place) }, till);
}

/** @returns why it fails, or the new end of the lease */
export function extend(
  view: QueueView,
  text: string,
  lock: number,
  durMs: number,
): Failure | { readonly till: number } {
  const id = idOf(text);
  const receipt = receiptOf(view, id, lock);
  if (receipt.kind !== 'live') {
    return expired(view.queue, text, 'extend', receipt.kind === 'lost' ? receipt.why : 'expired');
  }
  const till = view.now + durMs;
  if (id.group === undefined) {
    const { rev: _rev, till: _till, ...state } = view.stateOf(receipt.message.place)!;
    view.putState(receipt.message.place, { ...state, lock, durMs }, till);
  } else {
    const { rev: _rev, till: _till, ...record } = view.groupOf(id.group)!;
    view.putGroup(id.group, { ...record, lock, durMs }, till);
  }
  return { till };
}

/** The first message of each group, and every other one, that is still out under `lock`. */
export function stillOut(view: QueueView, ids: readonly MessageId[], lock: number): MessageId[] {
  const groups = new Set<string>();
  return ids.filter((id) => {
    if (id.group !== undefined && groups.has(id.group)) return false;
    if (receiptOf(view, id, lock).kind !== 'live') return false;
    if (id.group !== undefined) groups.add(id.group);
    return true;
  });
}
