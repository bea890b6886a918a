/**
 * The contract as a server: one command after the other on an exact clock, with wait queues and watchers, without
 * shards, journal or messages. It predicts every reply of a random history, and makes histories that are right by
 * definition.
 *
 * It cannot know which revisions and mutex fences a real server hands out. A comparison gives it `told`, which takes
 * them from the real replies; without `told` it numbers its commits itself.
 */
import { outcomeOf } from './contract.ts';
import { Span, type Body } from './expected.ts';
import { passQueue, restartQueue } from './queue.ts';
import { end, lockMemoryMs, lockNow, mutexMemoryMs, restart } from './lease.ts';
import { passShare } from './shared-lock.ts';
import { refuse, type Moment, type Outcome } from './moment.ts';
import { ContractState, nameOf, tillOf, type Change, type KvEntry, type LockEntry } from './state.ts';
import { lockRefusedByQuota, refusedByQuota, type Quota } from './usage.ts';
import { keyEvent, unchanged } from './watch.ts';
import type { Batch, Command } from '../../../src/protocol/operations/operations.ts';
import type { LockOperation } from '../../../src/protocol/operations/lock.ts';

export interface ContractServerOptions {
  /** With more than one, some refusals depend on which shard is asked first. */
  readonly shards?: number;
  /** Replies that are held for a rate limit come later. */
  readonly holds?: boolean;
  /** Of each account. */
  readonly quota?: Quota | undefined;
  /** The body of the real reply, if there is one. */
  readonly told?: (ref: number) => Body | undefined;
}

/** What happens to those who wait, for the coverage. */
export type WaitEnd = 'wait:ran-out' | 'owner:took-over' | 'drain:waiter';

export interface Expected {
  /** The number under which the caller asked. */
  readonly ref: number;
  readonly command: Command;
  readonly outcome: Outcome;
  /** Several of a request's idempotency ids are known, each to a shard of its own: any of them may answer. */
  readonly or: readonly Outcome[];
  /** The server's revision then, without `told`. */
  readonly rev: number;
  readonly waitEnd?: WaitEnd;
}

export interface ExpectedEvent {
  readonly key: string;
  readonly body: object;
  /** The revision of the change; undefined: it expired, nobody knows at which. */
  readonly rev: number | undefined;
}

interface Waiter {
  readonly ref: number;
  readonly command: Command;
  readonly owner: string | undefined;
  readonly deadline: number;
}

export class ContractServer {
  now: number;
  readonly state = new ContractState();
  answers: Expected[] = [];
  events: ExpectedEvent[] = [];
  /** The names of watched keys. */
  readonly watched = new Set<string>();
  readonly #waiters = new Map<string, Waiter[]>();
  /** Commands that were let in to wait. */
  readonly #waits = new WeakSet<Command>();
  readonly #held: { readonly at: number; readonly expected: Expected }[] = [];
  readonly #holds: boolean;
  readonly #shards: number;
  readonly #told: ContractServerOptions['told'];
  readonly #quota: Quota | undefined;

  constructor(now: number, { shards = 1, told, holds = false, quota }: ContractServerOptions = {}) {
    this.#quota = quota;
    this.now = now;
    this.#shards = shards;
    this.#told = told;
    this.#holds = holds;
  }

  submit(ref: number, command: Command): void {
    const outcome = this.#outcomeOf(ref, command);
    const { Code } = outcome.body as Body;
    const isKnown = Code === 'duplicate_request' || Code === 'idempotency_mismatch' || outcome.replayed === true;
    const inProgress = command.kind === 'batch' ? this.#inProgress(command) : undefined;
    if (isKnown) return this.#answer(ref, command, outcome, { or: this.#others(ref, command as Batch, inProgress) });
    if (inProgress !== undefined) return this.#answer(ref, command, inProgress);
    const lock = lockIn(command);
    if (isBusy(outcome) && lock!.waitMs > 0) return this.#wait(ref, command, lock!);
    const consumer = consumerIn(command);
    if (consumer !== undefined && this.#mustWait(consumer, command, outcome)) return this.#wait(ref, command, consumer);
    this.#happen(ref, command, outcome);
    this.#serve();
  }

  /** The client of this request vanishes. */
  cancel(ref: number): void {
    const held = this.#held.findIndex(({ expected }) => expected.ref === ref);
    if (held >= 0) this.#held.splice(held, 1);
    for (const [name, waiters] of this.#waiters) {
      this.#waiters.set(
        name,
        waiters.filter((waiter) => waiter.ref !== ref),
      );
    }
    // A writer may have held back readers.
    this.#serve();
  }

  waiting(): number[] {
    const held = this.#held.map(({ expected }) => expected.ref);
    return [...[...this.#waiters.values()].flatMap((waiters) => waiters.map(({ ref }) => ref)), ...held];
  }

  /** The next moment at which something ends by itself. */
  nextEnd(): number {
    const ends = Array.from(this.state.entries.values(), (entry) => tillOf(entry)?.lo ?? Infinity);
    ends.push(...this.#held.map(({ at }) => at));
    for (const waiters of this.#waiters.values()) for (const { deadline } of waiters) ends.push(deadline);
    return ends.reduce((first, at) => Math.min(first, at), Infinity);
  }

  /** Time has come to `now`, which is no later than `nextEnd`. Each end is a commit of its own. */
  passTo(now: number): void {
    this.now = now;
    for (const [name, entry] of this.state.entries) {
      if ((tillOf(entry)?.lo ?? Infinity) > now) continue;
      this.#commit(ended(this.state, name, now), { expired: true });
    }
    this.#serve();
    for (const { at, expected } of this.#held.splice(0)) {
      if (at > now) this.#held.push({ at, expected });
      else this.#release(expected);
    }
    for (const waiters of this.#waiters.values()) {
      const late = waiters.filter(({ deadline }) => deadline <= now);
      // The oldest request is told first, also when a retry has taken over a place further ahead.
      for (const waiter of late.toSorted((a, b) => a.ref - b.ref)) {
        waiters.splice(waiters.indexOf(waiter), 1);
        const { ref, command } = waiter;
        this.#answer(ref, command, this.#outcomeOf(ref, command, Infinity), { waitEnd: 'wait:ran-out' });
      }
    }
    // Those behind one who has gone may have a turn.
    this.#serve();
  }

  /** Everything in memory is gone; locks are held for a little longer. */
  restart(now: number, how: 'stop' | 'crash'): void {
    for (const { ref, command } of [...this.#waiters.values()].flat()) {
      if (how === 'stop') this.#answer(ref, command, refuse('draining'), { waitEnd: 'drain:waiter' });
    }
    for (const { expected } of this.#held.splice(0)) if (how === 'stop') this.#release(expected);
    this.#waiters.clear();
    this.watched.clear();
    restart(this.state, { downAt: this.now, startedAt: now, upAt: now }, 0);
    for (const [name, entry] of this.state.entries) {
      if ('messages' in entry) this.state.apply([{ name, entry: restartQueue(entry, now) }]);
    }
    this.state.rev += 1;
    this.passTo(now);
  }

  /** @param ahead who stands in line before the request: everybody, or nobody */
  #outcomeOf(ref: number, command: Command, ahead?: number): Outcome {
    const told = this.#told?.(ref);
    const at = (rev: number): Moment => ({
      state: this.state,
      now: exactly(this.now),
      rev,
      mutexHandle: this.#told === undefined ? this.state.mutexHandle + 1 : (told?.Lock ?? NaN),
      said: undefined,
      over: (_name, _entry, till) => till.lo <= this.now,
      waiters: (name) => this.#waiters.get(name)?.length ?? 0,
      ahead: (name) => ahead ?? this.#waiters.get(name)?.length ?? 0,
    });
    if (this.#told !== undefined) return this.#limited(at(told?.Rev ?? NaN), command);
    const next = this.#limited(at(this.state.rev + 1), command);
    return commits(next) ? next : this.#limited(at(this.state.rev), command);
  }

  #limited(at: Moment, command: Command): Outcome {
    const outcome = outcomeOf(at, command);
    if (this.#quota === undefined || command.kind !== 'batch') return outcome;
    const wouldWait = isBusy(outcome) && command.lock!.waitMs > 0;
    if (wouldWait && this.#inProgress(command) === undefined && !this.#waits.has(command))
      return lockRefusedByQuota(at, command, this.#quota) ?? outcome;
    return outcome.changes.length === 0 ? outcome : (refusedByQuota(at, command, outcome, this.#quota) ?? outcome);
  }

  #inProgress({ idempotency }: Batch): Outcome | undefined {
    const busy = new Set([...this.#waiters.values()].flat().flatMap(({ command }) => idsIn(command)));
    const id = idempotency?.ids.find((known) => busy.has(known));
    return id === undefined ? undefined : refuse('request_in_progress', { IDs: [id] });
  }

  /** A shard that does not keep the other ids answers as if the request did not have them. */
  #others(ref: number, batch: Batch, inProgress: Outcome | undefined): Outcome[] {
    if (this.#shards === 1) return [];
    const others = inProgress === undefined ? [] : [inProgress];
    const { idempotency, account } = batch;
    const known = idempotency!.ids.filter((id) => this.state.get(nameOf('stored', account, id)) !== undefined);
    if (known.length === 1) return others;
    const some = [...known.map((id) => [id]), known.toReversed()];
    return [...others, ...some.map((ids) => this.#outcomeOf(ref, { ...batch, idempotency: { ...idempotency!, ids } }))];
  }

  #mustWait({ id }: Waitable, { account }: Command, outcome: Outcome): boolean {
    return gotNothing(outcome) || (this.#waiters.get(nameOf('queue', account, id))?.length ?? 0) > 0;
  }

  /** A request of the same owner takes over the place of its earlier one. */
  #wait(ref: number, command: Command, { id, waitMs, owner }: Waitable): void {
    const kind = command.kind !== 'batch' ? 'mutex' : command.lock === undefined ? 'queue' : 'lock';
    const name = nameOf(kind, command.account, id);
    const waiter: Waiter = { ref, command, owner, deadline: this.now + waitMs };
    const waiters = this.#waiters.get(name) ?? [];
    this.#waiters.set(name, waiters);
    this.#waits.add(command);
    const own = owner === undefined ? -1 : waiters.findIndex((other) => other.owner === owner);
    if (own < 0) return void waiters.push(waiter);
    const [earlier] = waiters.splice(own, 1, waiter);
    this.#answer(earlier!.ref, earlier!.command, refuse('not_locked'), { waitEnd: 'owner:took-over' });
    // What was asked for before may have had to wait for more.
    this.#serve();
  }

  #happen(ref: number, command: Command, outcome: Outcome): void {
    if (command.kind === 'mutex.lock' && outcome.status === 200)
      this.state.mutexHandle = Math.max(this.state.mutexHandle, (outcome.body as Body).Lock!);
    if (outcome === unchanged && command.kind === 'watch.key')
      this.watched.add(nameOf('kv', command.account, command.key));
    this.#commit(outcome.changes, { rev: (outcome.body as Body).Rev! });
    this.#answer(ref, command, outcome);
  }

  #commit(changes: readonly Change[], { rev, expired = false }: { rev?: number; expired?: boolean }): void {
    this.state.apply(changes);
    if (changes.some(isDurable)) this.state.rev += 1;
    for (const { name, entry } of changes) {
      if (!this.watched.delete(name)) continue;
      const key = name.slice(name.indexOf('\0') + 1);
      this.events.push({ key, body: keyEvent(key, entry as KvEntry | undefined, expired), rev });
    }
  }

  /** Grants what has become free, first come, first served. One who is granted a lock may free another. */
  #serve(): void {
    for (let moved = true; moved; ) {
      moved = false;
      for (const waiters of this.#waiters.values()) {
        const [head] = waiters;
        const outcome = head && this.#outcomeOf(head.ref, head.command, 0);
        if (outcome === undefined || isBusy(outcome) || gotNothing(outcome)) continue;
        waiters.shift();
        this.#happen(head!.ref, head!.command, outcome);
        moved = true;
      }
    }
  }

  #answer(
    ref: number,
    command: Command,
    outcome: Outcome,
    { or = [], ...rest }: { or?: readonly Outcome[]; waitEnd?: WaitEnd } = {},
  ): void {
    const expected = { ref, command, outcome, or, rev: this.state.rev, ...rest };
    const { heldMs } = outcome;
    if (this.#holds && heldMs !== undefined) this.#held.push({ at: this.now + heldMs, expected });
    else this.answers.push(expected);
  }

  /** What it did was done when it was asked for; only now its revision is told. */
  #release(expected: Expected): void {
    const { outcome, ref } = expected;
    const told = this.#told?.(ref)?.Rev;
    const body = told === undefined ? outcome.body : { ...outcome.body, Rev: told };
    this.answers.push({ ...expected, outcome: { ...outcome, body, changes: [] } });
  }
}

export function commits({ changes }: Outcome): boolean {
  return changes.some(isDurable);
}

/** Mutexes are in no commit. */
function isDurable({ name }: Change): boolean {
  return !name.startsWith('m');
}

function ended(state: ContractState, name: string, now: number): Change[] {
  const entry = state.get(name)!;
  if ('messages' in entry) return [{ name, entry: passQueue(entry, now) }];
  if (name.startsWith('h')) return passShare(state, name, exactly(now));
  const lock = entry as LockEntry;
  if (lock.lease === undefined) return [{ name }];
  const memoryMs = name.startsWith('m') ? mutexMemoryMs : lockMemoryMs;
  return [{ name, entry: end(lockNow(lock, true), 'expired', exactly(now), memoryMs) }];
}

/** The lock is held, or others stand in line: whoever may wait does. */
function isBusy({ body }: Outcome): boolean {
  const { Code, Why } = body as { Code?: string; Why?: string };
  return Code === 'not_locked' && Why !== 'no_upgrade';
}

function lockIn(command: Command): LockOperation | undefined {
  return command.kind === 'batch' || command.kind === 'mutex.lock' ? command.lock : undefined;
}

type Waitable = Pick<LockOperation, 'id' | 'waitMs' | 'owner'>;

function consumerIn(command: Command): Waitable | undefined {
  const dequeue = command.kind === 'batch' ? command.dequeue : undefined;
  return dequeue === undefined || dequeue.waitMs === 0 ? undefined : { id: dequeue.key, waitMs: dequeue.waitMs };
}

/** A Dequeue that waits stands alone, so that is all of it. */
function gotNothing({ body }: Outcome): boolean {
  const { Dequeue, Messages } = body as { Dequeue?: { Messages: unknown[] }; Messages?: unknown[] };
  const messages = Dequeue?.Messages ?? Messages;
  return messages !== undefined && messages.length === 0;
}

function idsIn(command: Command): readonly string[] {
  return command.kind === 'batch' ? (command.idempotency?.ids ?? []) : [];
}

function exactly(time: number): Span {
  return new Span(time, time);
}
