/**
 * Queues, naively: one list of messages for each queue, and all rules by looking through it. A place in the line is a
 * number that grows with everything that becomes ready.
 */
import { isDeepStrictEqual } from 'node:util';
import { anyNumber, Json } from './expected.ts';
import { done, type Moment, type Outcome, type Performed, type Turn } from './moment.ts';
import { page } from './page.ts';
import { unreachable } from '../../../src/shared/assert.ts';
import type { Message, QueueEntry } from './queue-state.ts';
import { nameOf as nameIn } from './state.ts';
import { defaultQueuePolicy, type QueuePolicy } from '../../../src/protocol/operations/queue-policy.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import type { QueueList, QueuePeek, QueueStat } from '../../../src/protocol/operations/queue-calls.ts';
import type { DequeueOperation, EnqueueOperation } from '../../../src/protocol/operations/queue.ts';
import type { NackOperation } from '../../../src/protocol/operations/queue-receipts.ts';
import type { QueueChange } from '../../../src/protocol/operations/queue-change.ts';

const empty: QueueEntry = {
  policy: defaultQueuePolicy,
  paused: false,
  purged: 0,
  unswept: { till: 0, messages: 0 },
  commit: 0,
  count: 0,
  messages: [],
  seen: [],
  attempts: [],
  places: {},
  last: {},
};

const nameOf = (account: string, key: string): string => nameIn('queue', account, key);

/** A queue under change: a deep copy, so that a step can be undone. */
class Queue {
  readonly now: number;
  readonly rev: number;
  policy: QueuePolicy;
  paused: boolean;
  purged: number;
  unswept: QueueEntry['unswept'];
  readonly commit: number;
  count: number;
  messages: Message[];
  seen: QueueEntry['seen'][number][];
  attempts: QueueEntry['attempts'][number][];
  /** Of groups that are ready. */
  places: Record<string, number>;
  /** The last delivery of each group. */
  last: Record<string, { lock: number; nacked: boolean }>;

  constructor(entry: QueueEntry, now: number, rev: number, sameCommit = false) {
    this.now = now;
    this.rev = rev;
    this.policy = entry.policy;
    this.paused = entry.paused;
    this.purged = entry.purged;
    this.unswept = entry.unswept.till > now ? entry.unswept : empty.unswept;
    this.commit = sameCommit ? entry.commit : entry.commit + 1;
    this.count = sameCommit ? entry.count : 0;
    this.messages = entry.messages.map((message) => ({ ...message }));
    this.seen = entry.seen.filter(({ till }) => till === 0 || till > now);
    this.attempts = entry.attempts.filter(({ till }) => till > now);
    this.places = { ...entry.places };
    this.last = structuredClone(entry.last);
  }

  entry(): QueueEntry {
    const { policy, paused, purged, unswept, commit, count, messages, seen, attempts, places, last } = this;
    return { policy, paused, purged, unswept, commit, count, messages, seen, attempts, places, last };
  }

  find(id: string): Message | undefined {
    return this.messages.find((message) => message.id === id);
  }

  /** Of a group, in order; the dead have left it. */
  members(group: string): Message[] {
    return this.messages.filter((message) => message.group === group && message.state !== 'dead').toSorted(byOrder);
  }

  groupState(group: string): 'none' | 'ready' | 'out' | 'wait' | 'blocked' {
    const members = this.members(group);
    if (members.length === 0) return 'none';
    return members.some(({ state }) => state === 'out') ? 'out' : (members[0]!.state as 'ready');
  }

  /** What `does` makes ready gets its place: groups by what became of them, in front or at the end of the line. */
  settle(group: string | undefined, does: () => void, front = false): void {
    if (group === undefined) return does();
    const before = this.groupState(group);
    does();
    const { policy } = this;
    const [head] = this.members(group);
    if (head !== undefined && this.groupState(group) === 'ready' && before !== 'ready') {
      const isBlocked = policy.OnFail === 'block' && policy.MaxAttempts > 0 && head.attempts >= policy.MaxAttempts;
      if (isBlocked) head.state = 'blocked';
      else this.places[group] = front ? head.order : this.next();
    }
    if (head === undefined) {
      delete this.places[group];
      delete this.last[group];
    }
  }

  /** A place behind all that was ready. What a commit makes ready again stands behind what it enqueues. */
  next(how: 'again' | 'enqueued' = 'again'): number {
    this.count += 1;
    return this.commit * 1e6 + (how === 'again' ? 5e5 : 0) + this.count;
  }

  remove(message: Message): void {
    this.messages = this.messages.filter((other) => other !== message);
    this.seen = this.seen.filter(({ till, id }) => till !== 0 || id !== message.id);
  }

  /** Heads of the line: messages without a group, and the first of each group that is ready. */
  line(): Message[] {
    const groups = new Set(this.messages.flatMap(({ group }) => group ?? []));
    const heads = [...groups]
      .filter((group) => this.groupState(group) === 'ready')
      .map((group) => this.members(group)[0]!);
    const single = this.messages.filter(({ group, state }) => group === undefined && state === 'ready');
    const placeOf = ({ group, place }: Message): number => (group === undefined ? place : this.places[group]!);
    return [...single, ...heads].toSorted((a, b) => b.priority - a.priority || placeOf(a) - placeOf(b));
  }

  /** An attempt has failed. */
  fail(message: Message): void {
    const { MaxAttempts, OnFail, DeadRetention } = this.policy;
    if (MaxAttempts === 0 || message.attempts < MaxAttempts) {
      message.state = 'ready';
      if (message.group === undefined) message.place = this.next();
    } else if (OnFail === 'drop') this.remove(message);
    else if (OnFail === 'block') message.state = message.group === undefined ? 'blocked' : 'ready';
    else {
      message.state = 'dead';
      message.till = DeadRetention === 0 ? Infinity : this.now + DeadRetention * 1000;
      this.seen = this.seen.filter(({ till, id }) => till !== 0 || id !== message.id);
    }
  }

  isOver({ until }: Message): boolean {
    return until !== 0 && until <= this.now;
  }
}

function byOrder(a: Message, b: Message): number {
  return a.order - b.order;
}

/** Ends all whose time has come. What ends together does so in the order of its entries: groups first. */
export function passQueue(entry: QueueEntry, now: number): QueueEntry {
  const queue = new Queue(entry, now, 0);
  const leased = queue.messages.filter(({ state, till }) => state === 'out' && till <= now);
  const groups = [...new Set(leased.flatMap(({ group }) => group ?? []))].toSorted();
  const tooOld = queue.messages.filter((m) => m.state !== 'out' && m.state !== 'dead' && queue.isOver(m));
  const ends: { at: number; letter: string; key: string; run: () => void }[] = [];
  for (const group of groups) {
    const members = leased.filter((message) => message.group === group).toSorted(byOrder);
    const run = (): void => {
      queue.last[group]!.nacked = false;
      queue.settle(group, () => members.forEach((m) => (queue.isOver(m) ? queue.remove(m) : queue.fail(m))));
    };
    ends.push({ at: members[0]!.till, letter: 'G', key: group, run });
  }
  for (const message of leased.filter(({ group }) => group === undefined)) {
    const run = (): void => (queue.isOver(message) ? queue.remove(message) : queue.fail(message));
    ends.push({ at: message.till, letter: 's', key: orderKey(message), run });
  }
  for (const message of tooOld) {
    const letter = message.group !== undefined ? 'g' : message.isDelayed ? 'd' : 'm';
    ends.push({
      at: message.until,
      letter,
      key: orderKey(message),
      run: () => queue.settle(message.group, () => queue.remove(message)),
    });
  }
  for (const message of queue.messages.filter(({ state, till }) => state === 'wait' && till <= now)) {
    const run = (): void => {
      if (queue.find(message.id) === undefined) return;
      queue.settle(message.group, () => {
        message.state = 'ready';
        if (message.group === undefined) message.place = queue.next();
      });
    };
    ends.push({ at: message.till, letter: 's', key: orderKey(message), run });
  }
  ends.sort((a, b) => a.at - b.at || (a.letter < b.letter ? -1 : a.letter > b.letter ? 1 : a.key < b.key ? -1 : 1));
  for (const { run } of ends) run();
  queue.messages = queue.messages.filter(({ state, till }) => state !== 'dead' || till > now);
  return queue.entry();
}

function orderKey({ order }: Message): string {
  return String(order).padStart(12, '0');
}

/** Leases from before a start last a little longer. */
export function restartQueue(entry: QueueEntry, now: number): QueueEntry {
  const messages = entry.messages.map((message) => {
    const { state, till, durMs } = message;
    if (state !== 'out') return message;
    return { ...message, till: Math.min(Math.max(till, now + Math.min(durMs, 10_000)), now + durMs) };
  });
  return { ...entry, messages };
}

function queueAt(turn: Turn, key: string): Queue {
  const name = nameOf(turn.account, key);
  const entry = turn.latest(name) as QueueEntry | undefined;
  return new Queue(entry ?? empty, turn.at.now.lo, turn.at.rev, turn.changes.has(name));
}

function put(turn: Turn, key: string, queue: Queue): void {
  const entry = queue.entry();
  turn.changes.set(nameOf(turn.account, key), entry);
}

function whyNot(queue: Queue, id: string, lock: number | undefined): string {
  const rev = Number(id.slice(0, id.indexOf('-')));
  if (queue.purged >= (lock ?? rev)) return 'purged';
  const message = queue.find(id);
  if (lock === undefined) return message === undefined ? 'gone' : 'unknown';
  if (lock <= rev) return 'unknown';
  if (message === undefined) return 'gone';
  const inGroup = message.group !== undefined && message.state !== 'dead';
  const last = inGroup ? (queue.last[message.group] ?? { lock: -1, nacked: false }) : message;
  if (lock === last.lock) return last.nacked ? 'nacked' : 'expired';
  return lock < last.lock ? 'redelivered' : 'unknown';
}

function isLive(queue: Queue, message: Message | undefined, lock: number): message is Message {
  return message?.state === 'out' && message.lock === lock && queue.purged < lock;
}

function ack(turn: Turn, field: string, { key, id, lock }: { key: string; id: string; lock?: number }): object {
  const queue = queueAt(turn, key);
  const message = queue.find(id);
  const isDead = lock === undefined && message?.state === 'dead';
  const isLate =
    message?.group === undefined && message?.state === 'ready' && message.lock === lock && !message.nacked && lock > 0;
  if (!isDead && !isLate && !isLive(queue, message, lock ?? NaN)) {
    turn.fail(field, 'receipt_expired', { Queue: key, ID: id, Why: whyNot(queue, id, lock) });
  } else queue.settle(isDead ? undefined : message.group, () => queue.remove(message));
  put(turn, key, queue);
  return { Queue: key, ID: id };
}

function nack(turn: Turn, field: string, { key, id, lock, delayMs, error, returned }: NackOperation): object {
  const queue = queueAt(turn, key);
  const message = queue.find(id);
  if (!isLive(queue, message, lock)) {
    turn.fail(field, 'receipt_expired', { Queue: key, ID: id, Why: whyNot(queue, id, lock) });
    return { Queue: key, ID: id };
  }
  const { MaxAttempts } = queue.policy;
  const isLast = MaxAttempts > 0 && message.attempts >= MaxAttempts && !returned;
  const over = queue.isOver(message);
  const delay = returned ? 0 : (delayMs ?? backoff(queue.policy, message));
  const due = queue.now + delay;
  const waits = !returned && !over && !isLast && delay > 0;
  queue.settle(
    message.group,
    () => {
      if (message.group !== undefined) {
        queue.last[message.group] = { lock, nacked: true };
        for (const behind of queue.members(message.group)) {
          if (behind.order <= message.order || behind.state !== 'out') continue;
          giveBack(queue, behind);
        }
      }
      message.nacked = true;
      if (over) return queue.remove(message);
      if (returned) {
        message.attempts -= 1;
        message.state = 'ready';
        message.place = message.order;
        return;
      }
      if (error !== undefined) message.error = error;
      if (!waits) return queue.fail(message);
      message.state = 'wait';
      message.till = due;
    },
    returned,
  );
  put(turn, key, queue);
  if (!waits) return { Queue: key, ID: id };
  return { Queue: key, ID: id, At: due };
}

/** A tenth more or less, by a hash (FNV-1a) of id and attempt. */
function backoff({ Backoff: { Min, Max, Factor } }: QueuePolicy, { id, attempts }: Message): number {
  let hash = 0x811c9dc5n;
  for (const char of `${id} ${attempts}`) hash = ((hash ^ BigInt(char.charCodeAt(0))) * 0x01000193n) & 0xffffffffn;
  return Math.round(Math.min(Max, Min * Factor ** (attempts - 1)) * 1000 * (0.9 + (0.2 * Number(hash)) / 2 ** 32));
}

function giveBack(queue: Queue, message: Message): void {
  message.attempts -= 1;
  message.state = 'ready';
  message.nacked = true;
  if (queue.isOver(message)) queue.remove(message);
}

function extend(
  turn: Turn,
  field: string,
  operation: { key: string; id: string; lock: number; durMs: number },
): object {
  const { key, id, lock, durMs } = operation;
  const queue = queueAt(turn, key);
  const message = queue.find(id);
  const till = queue.now + durMs;
  if (!isLive(queue, message, lock)) {
    turn.fail(field, 'receipt_expired', { Queue: key, ID: id, Why: whyNot(queue, id, lock) });
  } else {
    const all =
      message.group === undefined ? [message] : queue.members(message.group).filter(({ state }) => state === 'out');
    for (const each of all) Object.assign(each, { till, durMs });
  }
  put(turn, key, queue);
  return { Queue: key, ID: id, Till: Math.ceil(till / 1000), TillMs: till };
}

interface Delivered {
  readonly messages: readonly Message[];
  readonly isNew: boolean;
}

/** What the same attempt has got before, as far as it is still out. */
function deliverAgain(queue: Queue, { attempt }: DequeueOperation): Delivered {
  const before = queue.attempts.find((each) => each.attempt === attempt);
  const messages = (before?.ids ?? []).flatMap((id) => queue.find(id) ?? []);
  return { messages: messages.filter((message) => isLive(queue, message, before!.lock)), isNew: false };
}

function deliver(queue: Queue, operation: DequeueOperation): Delivered {
  const again = deliverAgain(queue, operation);
  if (again.messages.length > 0) return again;
  const { max, groupMax, durMs, attempt } = operation;
  const { Parallel } = queue.policy;
  const live = queue.messages.filter(({ state }) => state === 'out').length;
  let left = Parallel === 0 ? max : Math.min(max, Parallel - live);
  const taken: Message[] = [];
  for (const head of queue.paused ? [] : queue.line()) {
    const { group } = head;
    const series = group === undefined ? [head] : queue.members(group);
    for (const message of series.slice(0, Math.max(0, group === undefined ? 1 : groupMax))) {
      if (left <= 0 || message.state !== 'ready') break;
      left -= 1;
      Object.assign(message, { state: 'out', lock: queue.rev, nacked: false, durMs, till: queue.now + durMs });
      message.attempts += 1;
      if (group !== undefined) queue.last[group] = { lock: queue.rev, nacked: false };
      taken.push(message);
    }
  }
  if (attempt !== undefined && taken.length > 0) {
    const till = queue.now + Math.min(durMs, 300_000);
    queue.attempts = queue.attempts.filter((each) => each.attempt !== attempt);
    queue.attempts.push({ attempt, till, lock: queue.rev, ids: taken.map(({ id }) => id) });
  }
  return { messages: taken, isNew: taken.length > 0 };
}

function dequeue(turn: Turn, operation: DequeueOperation): object[] {
  const queue = queueAt(turn, operation.key);
  const isBehind = operation.waitMs === 0 && Number(turn.at.waiters(nameOf(turn.account, operation.key))) > 0;
  const { messages, isNew } = isBehind ? deliverAgain(queue, operation) : deliver(queue, operation);
  if (isNew) put(turn, operation.key, queue);
  return messages.map(({ id, data, group, attempts, at, lock, till, error }) => ({
    ID: id,
    Data: new Json(data),
    Group: group,
    Attempts: attempts,
    At: at,
    Lock: lock,
    Till: Math.ceil(till / 1000),
    TillMs: till,
    LastError: error,
  }));
}

function enqueue(turn: Turn, i: number, operation: EnqueueOperation): object {
  const { key, dedup, priority } = operation;
  const queue = queueAt(turn, key);
  const { policy } = queue;
  if (policy.Fifo && priority > 0) turn.fail(`Enqueue[${i}].Priority`, 'invalid', {});
  const first = queue.seen.find((each) => each.dedup === dedup);
  if (first !== undefined) return { Queue: key, ID: first.id, Duplicate: true };
  if (policy.MaxMessages > 0 && queue.messages.length >= policy.MaxMessages) {
    const [Limit, Used] = [policy.MaxMessages, queue.messages.length];
    turn.fail(`Enqueue[${i}]`, 'quota_exceeded', { Queue: key, Quota: 'queue', Limit, Used });
  }
  const id = add(queue, operation, i, queue.now);
  put(turn, key, queue);
  return { Queue: key, ID: id };
}

function add(
  queue: Queue,
  { data, group: wanted, dedup, delayMs, ttlMs, priority }: EnqueueOperation,
  i: number,
  at: number,
): string {
  const { policy } = queue;
  const group = wanted ?? (policy.Fifo ? '' : undefined);
  const id = `${queue.rev}-${i}${priority > 0 ? `p${priority}` : ''}${group === undefined ? '' : `:${group}`}`;
  const ends = [ttlMs, policy.Retention * 1000].filter((ms) => ms > 0);
  const until = ends.length > 0 ? queue.now + Math.min(...ends) : 0;
  queue.settle(
    group,
    () => {
      const order = queue.next('enqueued');
      queue.messages.push({
        id,
        ...(group === undefined ? {} : { group }),
        data,
        priority,
        at,
        until,
        order,
        place: order,
        isDelayed: delayMs > 0,
        state: delayMs > 0 ? 'wait' : 'ready',
        till: queue.now + delayMs,
        durMs: 0,
        attempts: 0,
        lock: -1,
        nacked: false,
      });
    },
    true,
  );
  if (group !== undefined) queue.last[group] ??= { lock: -1, nacked: false };
  if (dedup !== undefined) {
    queue.seen.push({ dedup, id, till: policy.DedupWindow === 0 ? 0 : queue.now + policy.DedupWindow * 1000 });
  }
  return id;
}

function change(turn: Turn, operation: QueueChange): object {
  const queue = queueAt(turn, operation.key);
  const result = changed(queue, operation) as { Redriven?: number; Skipped?: number };
  if (result.Redriven !== 0 || result.Skipped !== 0) put(turn, operation.key, queue);
  return result;
}

function changed(queue: Queue, operation: QueueChange): object {
  switch (operation.change) {
    case 'policy':
      queue.policy = operation.policy;
      return { Policy: operation.policy };
    case 'pause':
    case 'resume':
      queue.paused = operation.change === 'pause';
      return { Paused: queue.paused };
    case 'purge':
    case 'delete': {
      const Purged = queue.messages.length;
      queue.unswept = { till: queue.now + 1, messages: queue.unswept.messages + queue.messages.length };
      Object.assign(queue, { messages: [], places: {}, last: {}, attempts: [], purged: queue.rev });
      if (operation.change === 'delete')
        Object.assign(queue, { policy: defaultQueuePolicy, paused: false, seen: [], purged: 0 });
      else queue.seen = queue.seen.filter(({ till }) => till !== 0);
      return { Purged };
    }
    case 'redrive':
      return redrive(queue, operation);
    default:
      return unreachable(operation);
  }
}

function redrive(queue: Queue, { how, id, group, limit }: Extract<QueueChange, { change: 'redrive' }>): object {
  const isWanted = (m: Message): boolean =>
    (id === undefined || m.id === id) && (group === undefined || m.group === group);
  const ofState = (state: string): Message[] =>
    queue.messages.filter((m) => m.state === state && isWanted(m)).toSorted(byOrder);
  let count = 0;
  for (const dead of ofState('dead').slice(0, limit)) {
    queue.remove(dead);
    if (how === 'retry') {
      const { data, priority, at } = dead;
      const grouped = dead.group === undefined ? {} : { group: dead.group };
      addAgain(queue, { data, priority, at, ...grouped }, count);
    }
    count += 1;
  }
  for (const blocked of ofState('blocked').slice(0, limit - count)) {
    queue.settle(blocked.group, () => {
      if (how === 'skip') return queue.remove(blocked);
      blocked.attempts = 0;
      blocked.state = 'ready';
      if (blocked.group === undefined) blocked.place = queue.next();
    });
    count += 1;
  }
  return how === 'retry' ? { Redriven: count, Skipped: 0 } : { Redriven: 0, Skipped: count };
}

function addAgain(
  queue: Queue,
  { at, ...message }: { data: string; priority: number; at: number; group?: string },
  i: number,
): void {
  const fifo = queue.policy;
  queue.policy = { ...fifo, Fifo: false };
  add(queue, { key: '', delayMs: 0, ttlMs: 0, ...message }, i, at);
  queue.policy = fifo;
}

function numbers(queue: Queue): object {
  const count = (state: Message['state']): number => queue.messages.filter((m) => m.state === state).length;
  const groups = new Set(queue.messages.flatMap(({ group, state }) => (state === 'dead' ? [] : (group ?? []))));
  return {
    Ready: count('ready'),
    InFlight: count('out'),
    Delayed: count('wait'),
    Dead: count('dead'),
    Blocked: count('blocked'),
    Groups: groups.size,
    BlockedGroups: [...groups].filter((group) => queue.groupState(group) === 'blocked').length,
    Bytes: anyNumber,
    OldestMs: anyNumber,
  };
}

function statOf(at: Moment, account: string, key: string): object {
  const name = nameOf(account, key);
  const queue = new Queue((at.state.get(name) as QueueEntry | undefined) ?? empty, at.now.lo, at.rev);
  const { paused, policy } = queue;
  return { Queue: key, ...numbers(queue), Consumers: at.waiters(name), Paused: paused, Policy: policy };
}

const peeked = { ready: 'ready', inflight: 'out', delayed: 'wait', dead: 'dead', blocked: 'blocked' } as const;

export const queue = {
  perform(turn: Turn, batch: Batch): Performed {
    const Ack = batch.ack?.map((each, i) => ack(turn, `Ack[${i}]`, each));
    const Nack = batch.nack?.map((each, i) => nack(turn, `Nack[${i}]`, each));
    const Extend = batch.extend?.map((each, i) => extend(turn, `Extend[${i}]`, each));
    const Messages = batch.dequeue && dequeue(turn, batch.dequeue);
    const Enqueue = batch.enqueue?.map((each, i) => enqueue(turn, i, each));
    const result = batch.queueChange && change(turn, batch.queueChange);
    const Now = batch.dequeue && turn.at.now;
    switch (batch.format) {
      case 'queue.send':
        return { reply: Enqueue![0]! };
      case 'queue.take':
        return { reply: { Messages, Now } };
      case 'queue.ack':
        return { reply: Ack![0]! };
      case 'queue.nack':
        return { reply: Nack![0]! };
      case 'queue.extend':
        return { reply: Extend![0]! };
      case 'queue.policy':
      case 'queue.delete':
      case 'queue.pause':
      case 'queue.resume':
      case 'queue.purge':
      case 'queue.redrive':
        return { reply: result! };
      default:
        return {
          members: {
            Ack,
            Nack,
            Extend,
            Enqueue,
            ...(batch.dequeue && { Dequeue: { Queue: batch.dequeue.key, Messages }, Now }),
          },
        };
    }
  },

  commands: {
    'queue.stat': (at: Moment, { account, queue: key }: QueueStat): Outcome => done(at, statOf(at, account, key)),
    'queue.list': (at: Moment, call: QueueList): Outcome =>
      page(at, call, (key) => {
        const { messages, paused, policy } = at.state.get(nameOf(call.account, key)) as QueueEntry;
        const isThere = messages.length > 0 || paused || !isDeepStrictEqual(policy, defaultQueuePolicy);
        return isThere ? statOf(at, call.account, key) : undefined;
      }),
    'queue.peek': (at: Moment, { account, queue: key, state, limit }: QueuePeek): Outcome => {
      const entry = (at.state.get(nameOf(account, key)) as QueueEntry | undefined) ?? empty;
      const one = new Queue(entry, at.now.lo, at.rev);
      const wanted = peeked[state];
      const found = state === 'ready' ? one.line() : one.messages.filter((m) => m.state === wanted).toSorted(byOrder);
      const Messages = found.slice(0, limit).map((m) => ({
        ID: m.id,
        Data: new Json(m.data),
        Group: m.group,
        State: state,
        Attempts: m.attempts,
        At: m.at,
        Till: state === 'inflight' || state === 'delayed' ? Math.ceil(m.till / 1000) : undefined,
        LastError: m.error,
      }));
      return done(at, { Messages });
    },
  },
};
