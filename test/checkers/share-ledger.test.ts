/** The ledger of locks that several hold accepts what is right, and finds each kind of fault in what clients were told. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { accountId } from '../../src/protocol/ids.ts';
import type { Batch } from '../../src/protocol/operations/operations.ts';
import type { Sharing } from '../../src/protocol/operations/lock-sharing.ts';
import type { Body } from '../support/contract/expected.ts';
import type { History, Operation } from '../support/checkers/history.ts';
import { checkShares } from '../support/checkers/share-ledger.ts';

const id = 's-1';
const read = { read: true } as const;
const permits = { limit: 2 };
const alone = {};
const lostLock = { Code: 'lock_lost', Failed: [{ Field: 'Unlock', Code: 'lock_lost' }] } as const;

/** A history by hand: each operation takes a millisecond, and the next is sent one behind its answer. */
class Hand {
  readonly operations: Operation[] = [];
  now = 1000;
  #owners = 0;

  batch(parts: Partial<Batch>, body?: Body, status = 200): this {
    const sentAt = this.now;
    this.now += 2;
    const call = { kind: 'batch', account: accountId('acme'), format: 'batch', ...parts } as const;
    const operation = { id: this.operations.length, client: 0, call, sentAt };
    this.operations.push(body === undefined ? operation : { ...operation, answer: { at: sentAt + 1, status, body } });
    return this;
  }

  take(fence: number, how: Sharing, { durMs = 100, owner = this.#next() } = {}): this {
    const body = { Lock: fence, TillMs: this.now + durMs, Rev: fence };
    return this.batch({ lock: { id, durMs, waitMs: 0, owner, ...how } }, body);
  }

  takeSet(fence: number, ...ids: string[]): this {
    const owner = this.#next();
    const body = { Lock: fence, TillMs: this.now + 100, Rev: fence };
    return this.batch({ locks: ids.map((each) => ({ id: each, durMs: 100, waitMs: 0, owner })) }, body);
  }

  release(rev: number, fence: number): this {
    return this.batch({ unlock: { id, fence } }, { Rev: rev });
  }

  guard(rev: number, fence: number): this {
    return this.batch({ guard: [{ id, fence }] }, { Rev: rev });
  }

  wait(ms: number): this {
    this.now += ms;
    return this;
  }

  #next(): string {
    this.#owners += 1;
    return `o${this.#owners}`;
  }
}

const hand = (): Hand => new Hand();
const judge = (history: History): string[] =>
  checkShares(history, { clockToleranceMs: 0 }).violations.map(({ message }) => message);

test('what is right is accepted: readers, permits, a writer after them, sets', () => {
  const right = [
    hand().take(1, read).take(2, read).release(3, 1).release(4, 2).take(5, alone),
    hand().take(1, permits).take(2, permits).release(3, 1).take(4, permits),
    hand().take(1, read).wait(100).take(2, alone),
    hand().take(1, read).batch({ unlock: { id } }).take(2, alone),
    hand().take(1, alone, { owner: 'a' }).take(1, alone, { owner: 'a' }),
    hand()
      .takeSet(1, 's-1', 's-2')
      .batch({ unlocks: [{ id, fence: 1 }] }, { Rev: 2 })
      .take(3, read),
    hand().take(1, read).guard(1, 1).take(2, read),
    // An extension that was never answered may have made it shorter.
    hand()
      .take(1, alone)
      .batch({ lock: { id, durMs: 1, waitMs: 0, extend: 1 } })
      .wait(5)
      .take(2, alone),
  ];
  for (const history of right) assert.deepEqual(judge(history), []);
});

test('I31: a writer beside readers, readers beside a writer, another way of sharing', () => {
  const pairs = [
    [read, alone],
    [alone, read],
    [alone, alone],
    [permits, { limit: 3 }],
    [read, permits],
  ] as const;
  for (const [first, second] of pairs) {
    assert.match(judge(hand().take(1, first).take(2, second))[0]!, /I31: acme s-1 was held with/);
  }
});

test('I31: one more than the permits; a lock of a set; two holders under one fence', () => {
  assert.match(judge(hand().take(1, permits).take(2, permits).take(3, permits))[0]!, /has 3 holders, and 2 permits/);
  assert.match(judge(hand().takeSet(1, 's-2', 's-1').take(2, read))[0]!, /held with alone under 1/);
  assert.match(judge(hand().take(1, read).take(1, read))[0]!, /two holders under the fence 1/);
});

test('I31: what a guard finds later was there, whatever the clocks say', () => {
  const late = hand().take(1, alone).wait(200).take(3, read).guard(4, 1);
  assert.match(judge(late)[0]!, /was held with alone under 1, and granted with read under 3/);
});

test('I31: a fence that holds is refused, and one that has ended is accepted', () => {
  assert.match(
    judge(
      hand()
        .take(1, read)
        .batch({ unlock: { id, fence: 1 } }, lostLock, 409),
    )[0]!,
    /was refused under 1/,
  );
  assert.match(judge(hand().take(1, read).wait(200).guard(2, 1))[0]!, /was accepted under 1, whose lease ended/);
});
