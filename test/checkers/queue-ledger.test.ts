/** The ledger of queues accepts what is right, and finds each kind of fault in what clients were told. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { accountId } from '../../src/protocol/ids.ts';
import { completePolicy } from '../../src/protocol/operations/queue-policy.ts';
import type { Batch, Command } from '../../src/protocol/operations/operations.ts';
import type { EnqueueOperation } from '../../src/protocol/operations/queue.ts';
import type { Body } from '../support/contract/expected.ts';
import type { History, Operation } from '../support/checkers/history.ts';
import { checkQueues, type LedgerOptions } from '../support/checkers/queue-ledger.ts';

const zeros = { Ready: 0, InFlight: 0, Delayed: 0, Dead: 0, Blocked: 0 };
const account = accountId('acme');
const key = 'q';

/** A history by hand: each operation takes a millisecond, and the next is sent one behind its answer. */
class Hand {
  readonly operations: Operation[] = [];
  now = 1000;

  ask(call: Command, body?: Body, status = 200): this {
    const sentAt = this.now;
    const at = sentAt + 1;
    this.now += 2;
    const operation = { id: this.operations.length, client: 0, call, sentAt };
    this.operations.push(body === undefined ? operation : { ...operation, answer: { at, status, body } });
    return this;
  }

  batch(parts: Partial<Batch>, body?: Body, status?: number): this {
    return this.ask({ kind: 'batch', account, format: 'batch', ...parts }, body, status);
  }

  send(rev: number, options: Partial<EnqueueOperation> = {}): this {
    const id = `${rev}-0${options.group === undefined ? '' : `:${options.group}`}`;
    return this.batch({ enqueue: [{ ...plain, ...options }] }, { Enqueue: [{ Queue: key, ID: id }], Rev: rev });
  }

  sendUnheard(): this {
    return this.batch({ enqueue: [plain] });
  }

  take(rev: number, ids: readonly string[], { attempts = 1, durMs = 100, attempt, data = 1 }: Take = {}): this {
    const TillMs = this.now + durMs;
    const Messages = ids.map((ID) => ({ ID, Data: data, Attempts: attempts, Lock: rev, TillMs }));
    const dequeue = { key, max: 9, groupMax: 9, durMs, waitMs: 0, ...(attempt === undefined ? {} : { attempt }) };
    return this.batch({ dequeue }, { Dequeue: { Queue: key, Messages }, Now: this.now, Rev: rev });
  }

  takeUnheard(): this {
    return this.batch({ dequeue: { key, max: 1, groupMax: 1, durMs: 100, waitMs: 0 } });
  }

  ack(rev: number, id: string, lock: number): this {
    return this.batch({ ack: [{ key, id, lock }] }, { Ack: [{ Queue: key, ID: id }], Rev: rev });
  }

  nack(rev: number, id: string, lock: number, returned?: true): this {
    const nack = [{ key, id, lock, delayMs: 0, ...(returned && { returned }) }];
    return this.batch({ nack }, { Nack: [{ Queue: key, ID: id }], Rev: rev });
  }

  refused(id: string, lock: number): this {
    const Failed = [{ Field: 'Ack[0]', Code: 'receipt_expired', Queue: key, ID: id, Why: 'gone' }];
    return this.batch({ ack: [{ key, id, lock }] }, { Code: 'receipt_expired', Why: 'gone', Failed }, 409);
  }

  passed(ms: number): this {
    this.now += ms;
    return this;
  }
}

interface Take {
  readonly attempts?: number;
  readonly durMs?: number;
  readonly attempt?: string;
  readonly data?: number;
}

const plain: EnqueueOperation = { key, data: '1', delayMs: 0, ttlMs: 0, priority: 0 };

function faults(hand: Hand, options: LedgerOptions = {}): string[] {
  const history: History = { operations: hand.operations };
  return checkQueues(history, { clockToleranceMs: 1, ...options }).violations.map(({ message }) => message);
}

const good: readonly (readonly [string, Hand])[] = [
  ['a life', new Hand().send(1).take(2, ['1-0']).ack(3, '1-0', 2)],
  ['a lease that ends', new Hand().send(1).take(2, ['1-0']).passed(200).take(4, ['1-0'], { attempts: 2 })],
  ['a late ack', new Hand().send(1).take(2, ['1-0']).passed(200).ack(4, '1-0', 2)],
  ['a return', new Hand().send(1).take(2, ['1-0']).nack(3, '1-0', 2, true).take(4, ['1-0'])],
  ['an unheard delivery', new Hand().send(1).takeUnheard().passed(200).take(4, ['1-0'], { attempts: 2 })],
  ['an unheard enqueue', new Hand().sendUnheard().take(2, ['1-0'])],
  ['a delivery to the same attempt', new Hand().send(1).take(2, ['1-0'], { attempt: 'a' }).ack(3, '1-0', 2)],
  [
    'a series of a group',
    new Hand()
      .send(1, { group: 'g' })
      .send(2, { group: 'g' })
      .take(3, ['1-0:g', '2-0:g'])
      .nack(4, '1-0:g', 3)
      .take(5, ['1-0:g'], { attempts: 2 }),
  ],
];

for (const [what, hand] of good) test(`ledger: accepts ${what}`, () => assert.deepEqual(faults(hand), []));

const bad: readonly (readonly [string, RegExp, Hand, LedgerOptions?])[] = [
  ['a second live delivery', /I18/, new Hand().send(1).take(2, ['1-0']).take(3, ['1-0'], { attempts: 2 })],
  ['two consumers with one receipt', /I18/, new Hand().send(1).take(2, ['1-0']).take(2, ['1-0'])],
  [
    'a second live delivery of a group',
    /I18/,
    new Hand().send(1, { group: 'g' }).send(2, { group: 'g' }).take(3, ['1-0:g']).take(4, ['2-0:g']),
  ],
  [
    'a message of a group that is passed over',
    /I19/,
    new Hand().send(1, { group: 'g' }).send(2, { group: 'g' }).take(3, ['2-0:g']).ack(4, '2-0:g', 3).take(5, ['1-0:g']),
  ],
  ['a delivery behind the ack', /I20/, new Hand().send(1).take(2, ['1-0']).ack(3, '1-0', 2).take(4, ['1-0'])],
  ['a second ack', /I20/, new Hand().send(1).take(2, ['1-0']).ack(3, '1-0', 2).ack(4, '1-0', 2)],
  [
    'an ack behind the next delivery',
    /I20/,
    new Hand().send(1).take(2, ['1-0']).passed(200).take(3, ['1-0'], { attempts: 2 }).ack(4, '1-0', 2),
  ],
  [
    'a late ack in a group',
    /I20.*lease ended/,
    new Hand().send(1, { group: 'g' }).take(2, ['1-0:g']).passed(200).ack(4, '1-0:g', 2),
  ],
  ['a live receipt that is refused', /I20.*refused/, new Hand().send(1).take(2, ['1-0']).refused('1-0', 2)],
  ['an attempt that does not count', /attempts/, new Hand().send(1).take(2, ['1-0']).passed(200).take(4, ['1-0'])],
  ['attempts from nowhere', /attempts/, new Hand().send(1).take(2, ['1-0'], { attempts: 3 })],
  ['other data', /I17.*data/, new Hand().send(1).take(2, ['1-0'], { data: 5 })],
  ['a message of nobody', /nobody can have/, new Hand().take(2, ['1-0'])],
  ['two messages of a DedupID', /I21/, new Hand().send(1, { dedup: 'd' }).send(2, { dedup: 'd' })],
  ['a line out of order', /I22/, new Hand().send(1).send(2).take(3, ['2-0']).take(4, ['1-0'])],
  ['a reply out of order', /I22/, new Hand().send(1).send(2).take(3, ['2-0', '1-0'])],
  ['a lost message', /I17.*never came/, new Hand().send(1), { settled: true }],
  [
    'a count that is too small',
    /I23/,
    new Hand()
      .send(1)
      .ask({ kind: 'queue.stat', account, queue: key }, { ...zeros, Rev: 1 })
      .take(2, ['1-0']),
  ],
  [
    'a count that is too large',
    /I23/,
    new Hand().ask({ kind: 'queue.stat', account, queue: key }, { ...zeros, Ready: 1, Rev: 1 }),
  ],
];

for (const [what, expected, hand, options] of bad) {
  test(`ledger: finds ${what}`, () => {
    const found = faults(hand, options);
    assert(
      found.some((message) => expected.test(message)),
      `found: ${found.join('\n')}`,
    );
  });
}

test('ledger: a queue with a policy that drops messages may lose them', () => {
  const policy = completePolicy({ OnFail: 'drop' });
  const change = { key, change: 'policy', policy } as const;
  const hand = new Hand().batch({ format: 'queue.policy', queueChange: change }, { Policy: policy, Rev: 1 }).send(2);
  assert.deepEqual(faults(hand, { settled: true }), []);
});
