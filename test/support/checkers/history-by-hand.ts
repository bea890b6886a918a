/** Histories written down by hand, with the replies that belong in them, and what tests ask of the checker. */
import assert from 'node:assert/strict';
import { batch, lock, next, set, unlock } from '../commands.ts';
import type { Body } from '../contract/expected.ts';
import type { Answer, History, Operation, Restart } from './history.ts';
import { checkWitness } from './witness-checker.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';

/** A history in the making: each operation is sent 10 ms after the one before, and answered after 5. */
export class Clients {
  readonly operations: Operation[] = [];
  readonly restarts: Restart[] = [];
  now = 1000;

  ok(call: Command, body: Body, at: Partial<Pick<Answer, 'replayed'>> = {}): this {
    return this.answered(call, 200, body, at);
  }

  refused(call: Command, body: Body): this {
    return this.answered(call, 409, body);
  }

  answered(call: Command, status: number, body: Body, at: Partial<Pick<Answer, 'replayed'>> = {}): this {
    this.now += 10;
    return this.#add({ call, sentAt: this.now, answer: { at: this.now + 5, status, body, ...at } });
  }

  unanswered(call: Command): this {
    this.now += 10;
    return this.#add({ call, sentAt: this.now });
  }

  wait(ms: number): this {
    this.now += ms;
    return this;
  }

  restart(): this {
    this.now += 20;
    this.restarts.push({ downAt: this.now - 5, startedAt: this.now, upAt: this.now });
    return this;
  }

  #add(operation: Omit<Operation, 'id' | 'client'>): this {
    this.operations.push({ id: this.operations.length + 1, client: 'c', ...operation });
    return this;
  }

  get history(): History {
    return this;
  }
}

export const clients = (): Clients => new Clients();
export const found = (key: string, version: number, value: unknown): Body => ({
  Key: key,
  Version: version,
  Value: value,
});
export const wrote = (rev: number, ...keys: string[]): Body => ({
  KVSet: keys.map((Key) => ({ Key, Version: rev })),
  Rev: rev,
});
export const read = (rev: number, ...items: Body[]): Body => ({ KV: items, Rev: rev });
export const missing = (key: string): Body => ({ Key: key, Version: 0 });
export const sets = (...keys: string[]): Command => batch({ set: keys.map((key) => ({ key, value: '1' })) });
/** As `Clients` times it: granted when it was sent. */
export const granted = (sentAt: number, fence: number, rev = fence, ms = 10_000): Body => ({
  Lock: fence,
  Till: Math.ceil((sentAt + ms) / 1000),
  TillMs: sentAt + ms,
  TTLMs: ms,
  Now: sentAt,
  Rev: rev,
});
export const lostLock = (id: string, Why: string, Field: string, more: Body = {}): Body => ({
  Code: 'lock_lost',
  Failed: [{ Field, Code: 'lock_lost', LockID: id, Why, ...more }],
});

export function passes(made: Clients): void {
  assert.deepEqual(checkWitness(made.history, { clockToleranceMs: 6 }).violations, []);
}

/** Exactly one fault, which is about this operation and says this. */
export function caught(made: Clients, operation: number, message: RegExp): void {
  const { violations } = checkWitness(made.history, { clockToleranceMs: 6 });
  assert.equal(violations.length, 1, JSON.stringify(violations));
  assert.match(violations[0]!.message, message);
  assert.equal(violations[0]!.verdict, 'violation');
  assert.ok(violations[0]!.operations.includes(operation), violations[0]!.message);
}

/** Exactly one fault: nobody can have taken this revision. */
export function caughtGap(made: Clients, rev: number): void {
  const { violations } = checkWitness(made.history, { clockToleranceMs: 6 });
  assert.deepEqual(
    violations.map(({ verdict, message }) => `${verdict}: ${message.slice(0, message.indexOf(':'))}`),
    [`violation: Revision ${rev} belongs to nobody`],
  );
}

export const written = (): Clients => clients().ok(set('a', 'x'), wrote(1, 'a')).ok(set('a', 'y'), wrote(2, 'a'));

export const twoNumbers = (from: number): Clients =>
  clients()
    .ok(next('s'), { Key: 's', Value: 1, From: 1, To: 1, Rev: 1 })
    .ok(next('s', 2), { Key: 's', Value: from + 1, From: from, To: from + 1, Rev: 2 });

export const added = (Value: number, Rev: number): Body => ({ Atomic: [{ Key: 'c', Value, Old: Value - 1 }], Rev });

export const counterIs = (Value: number): Body => ({
  Code: 'precondition_failed',
  Failed: [{ Field: 'Atomic[0]', Code: 'precondition_failed', Key: 'c', Value }],
});

export const takenAndReleased = (): Clients =>
  clients()
    .ok(lock('l'), granted(1010, 1))
    .ok(unlock('l', { fence: 1 }), { Rev: 2 });

export const takenAndForced = (): Clients => clients().ok(lock('l'), granted(1010, 1)).ok(unlock('l'), { Rev: 2 });

export const heldUntil = (TillMs: number): Body => ({
  Code: 'not_locked',
  Holder: { Till: Math.ceil(TillMs / 1000), TillMs, Since: 1010 },
  Waiters: 0,
});

export const unansweredPair = (): Clients =>
  clients().ok(sets('x'), wrote(1, 'x')).unanswered(sets('a', 'b')).restart();
