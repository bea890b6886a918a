import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import { CoreUnderTest } from '../../support/core-under-test.ts';
import { queueTotals } from '../../../src/shard-worker/core/operations/queue-looks.ts';
import { kinds } from '../../../src/protocol/record.ts';
import { expiryBatchMax } from '../../../src/shared/limits.ts';
import { acme, batch } from '../../support/commands.ts';
import {
  ack,
  change,
  extendMessage,
  message,
  nack,
  peek,
  policy,
  redrive,
  send,
  stat,
  take,
  taken,
  type Taken,
} from '../../support/queue-commands.ts';

const takeFrom = (core: CoreUnderTest, more: Parameters<typeof take>[0] = {}): Taken[] => taken(core.ok(take(more)));
const datas = (messages: readonly Taken[]): unknown[] => messages.map(({ Data }) => Data);
const whyOf = (core: CoreUnderTest, command: Batch): string => core.ask(command).body.Why;
const numbers = (core: CoreUnderTest): Record<string, unknown> => {
  const { Ready, InFlight, Delayed, Dead, Blocked, Groups } = core.ok(stat) as unknown as Record<string, number>;
  return { Ready, InFlight, Delayed, Dead, Blocked, Groups };
};
const none = { Ready: 0, InFlight: 0, Delayed: 0, Dead: 0, Blocked: 0, Groups: 0 };

describe('the line', () => {
  test('messages come in the order in which they were enqueued, each once', () => {
    const core = new CoreUnderTest();
    const { Enqueue, Rev } = core.ok(send('a', 'b')) as unknown as { Enqueue: unknown; Rev: number };
    assert.deepEqual(Enqueue, [
      { Queue: 'q', ID: `${Rev}-0` },
      { Queue: 'q', ID: `${Rev}-1` },
    ]);
    core.ok(send('c'));
    const [a, b, c] = takeFrom(core, { max: 10 });
    assert.deepEqual(datas([a!, b!, c!]), ['a', 'b', 'c']);
    assert.deepEqual([a!.Attempts, a!.Lock, b!.Lock], [1, core.state.lastRev, core.state.lastRev]);
    assert.equal(a!.TillMs, core.now + 30_000);
    assert.deepEqual(takeFrom(core), []);
    assert.deepEqual(numbers(core), { ...none, InFlight: 3 });
    core.ok(ack(a!, b!, c!));
    assert.deepEqual(numbers(core), none);
    assert.deepEqual((core.entries as unknown as { all(): unknown[] }).all(), []);
  });

  test('a message that is tried again stands behind what was ready before; one that is returned in front', () => {
    const core = new CoreUnderTest();
    core.ok(send('a', 'b', 'c', 'd'));
    const [a, b] = takeFrom(core, { max: 2 });
    core.ok(nack(a!, { delayMs: 0, error: 'no' }));
    core.ok(nack(b!, { returned: true }));
    const again = takeFrom(core, { max: 10 });
    assert.deepEqual(datas(again), ['b', 'c', 'd', 'a']);
    assert.deepEqual(
      again.map(({ Attempts, LastError }) => [Attempts, LastError]),
      [
        [1, undefined],
        [1, undefined],
        [1, undefined],
        [2, 'no'],
      ],
    );
  });

  test('higher priorities come first', () => {
    const core = new CoreUnderTest();
    core.ok(send('a', message('b', { priority: 3 }), message('c', { priority: 9 }), message('d', { priority: 3 })));
    const all = takeFrom(core, { max: 10 });
    assert.deepEqual(datas(all), ['c', 'b', 'd', 'a']);
    core.ok(nack(all[1]!, { delayMs: 0 }));
    core.ok(send('e'));
    assert.deepEqual(datas(takeFrom(core, { max: 10 })), ['b', 'e']);
    core.ok(ack(all[0]!, all[2]!, all[3]!));
  });

  test('a delayed message comes when it is due, behind what was ready before', () => {
    const core = new CoreUnderTest();
    core.ok(send(message('late', { delayMs: 5000 }), 'a'));
    assert.deepEqual(numbers(core), { ...none, Ready: 1, Delayed: 1 });
    assert.deepEqual(datas(takeFrom(core, { max: 10 })), ['a']);
    core.advance(4999);
    assert.deepEqual(takeFrom(core), []);
    core.ok(send('b'));
    core.advance(1);
    const rest = takeFrom(core, { max: 10 });
    assert.deepEqual(datas(rest), ['b', 'late']);
    core.ok(ack(rest[1]!));
  });

  test('a line of thousands is read a piece at a time, over a restart too', () => {
    let core = new CoreUnderTest();
    for (let i = 0; i < 30; i += 1) core.ok(send(...Array.from({ length: 100 }, (_, j) => i * 100 + j)));
    const seen: unknown[] = [];
    for (let i = 0; seen.length < 3000 && i < 500; i += 1) {
      const mark = core.entries.get(kinds.queue, acme, 'q\0h:');
      if (i % 7 === 6 || mark?.rev === core.state.lastRev) core = core.restart();
      seen.push(...datas(takeFrom(core, { max: 1 + ((i * 37) % 90), durMs: 3_600_000 })));
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 3000 }, (_, i) => i),
    );
    assert.ok(core.entries.get(kinds.queue, acme, 'q\0h:') !== undefined, 'the mark was written');
    assert.deepEqual(takeFrom(core), []);
  });
});

describe('receipts', () => {
  test('an ack needs the Lock of the delivery, and says what became of the message', () => {
    const core = new CoreUnderTest();
    core.ok(send('a', 'b'));
    const [a] = takeFrom(core);
    assert.equal(whyOf(core, ack({ ID: a!.ID, Lock: a!.Lock + 1 })), 'unknown');
    assert.equal(whyOf(core, ack({ ID: a!.ID })), 'unknown');
    core.ok(ack(a!));
    assert.equal(whyOf(core, ack(a!)), 'gone');
    const [b] = takeFrom(core);
    core.ok(nack(b!, { delayMs: 0 }));
    assert.equal(whyOf(core, ack(b!)), 'nacked');
    const [again] = takeFrom(core);
    assert.equal(whyOf(core, ack(b!)), 'redelivered');
    assert.equal(core.ask(ack(b!)).code, 'receipt_expired');
    assert.deepEqual(
      core.ask(ack(b!)).body.Failed.map(({ Field }) => Field),
      ['Ack[0]'],
    );
    core.ok(ack(again!));
  });

  test('a late ack counts while nobody else has got the message; a late nack or extension never', () => {
    const core = new CoreUnderTest();
    core.ok(send('a', 'b'));
    const [a, b] = takeFrom(core, { max: 2, durMs: 1000 });
    core.jump(1000);
    assert.equal(whyOf(core, nack(a!)), 'expired');
    assert.equal(whyOf(core, extendMessage(a!, 1000)), 'expired');
    core.ok(ack(a!));
    const [again] = takeFrom(core);
    assert.deepEqual([again!.Data, again!.Attempts], ['b', 2]);
    assert.equal(whyOf(core, ack(b!)), 'redelivered');
  });

  test('acks of one batch stand or fall together, with all else in it', () => {
    const core = new CoreUnderTest();
    core.ok(send('a', 'b'));
    const [a, b] = takeFrom(core, { max: 2 });
    const both = batch({
      ack: [
        { key: 'q', id: a!.ID, lock: a!.Lock },
        { key: 'q', id: b!.ID, lock: 1 },
      ],
      set: [{ key: 'k', value: '1' }],
    });
    assert.equal(core.ask(both).code, 'receipt_expired');
    assert.deepEqual(numbers(core), { ...none, InFlight: 2 });
    assert.equal(core.ask(ack(a!, a!)).code, 'receipt_expired');
    core.ok(batch({ ...ack(a!), set: [{ key: 'k', value: '1' }], dequeue: take().dequeue! }));
  });

  test('an extension counts from the call, and may shorten', () => {
    const core = new CoreUnderTest();
    core.ok(send('a'));
    const [a] = takeFrom(core, { durMs: 10_000 });
    core.advance(5000);
    const till = core.now + 60_000;
    const extended = core.ok(extendMessage(a!, 60_000))['Extend'];
    assert.deepEqual(extended, [{ Queue: 'q', ID: a!.ID, Till: Math.ceil(till / 1000), TillMs: till }]);
    core.advance(10_000);
    assert.deepEqual(takeFrom(core), []);
    core.ok(extendMessage(a!, 1000));
    core.advance(1000);
    assert.equal(takeFrom(core)[0]!.Attempts, 2);
  });

  test('a lease lasts ten seconds over a restart', () => {
    let core = new CoreUnderTest();
    core.ok(send('a', message('in a group', { group: 'g' })));
    const [a, inGroup] = takeFrom(core, { durMs: 30_000, max: 2 });
    core.jump(29_000);
    core = core.restart();
    core.advance(9_999);
    assert.deepEqual(takeFrom(core, { max: 2 }), []);
    core.ok(ack(a!, inGroup!));
  });
});

describe('failures', () => {
  test('the last attempt makes a dead letter, which retry turns into a new message', () => {
    const core = new CoreUnderTest();
    core.ok(policy({ MaxAttempts: 2 }));
    core.ok(send('a', 'b'));
    for (const delayMs of [0, 0]) core.ok(nack(takeFrom(core)[0]!, { delayMs, error: 'x' }));
    for (const delayMs of [0, 0]) core.ok(nack(takeFrom(core)[0]!, { delayMs, error: 'x' }));
    assert.deepEqual(numbers(core), { ...none, Dead: 2 });
    const dead = core.ok(peek('dead'))['Messages'] as { ID: string; LastError: string; Attempts: number }[];
    assert.deepEqual([dead.length, dead[0]!.LastError, dead[0]!.Attempts], [2, 'x', 2]);
    assert.deepEqual(core.ok(redrive('retry', { id: dead[1]!.ID }))['Redriven'], 1);
    core.ok(ack({ ID: dead[0]!.ID }));
    assert.deepEqual(numbers(core), { ...none, Ready: 1 });
    assert.deepEqual([takeFrom(core)[0]!.Attempts], [1]);
  });

  test('leases that end count as attempts; OnFail block holds the message until redrive', () => {
    const core = new CoreUnderTest();
    core.ok(policy({ MaxAttempts: 1, OnFail: 'block' }));
    core.ok(send('a'));
    takeFrom(core, { durMs: 1000 });
    core.advance(1000);
    assert.deepEqual(numbers(core), { ...none, Blocked: 1 });
    assert.equal((core.ok(peek('blocked'))['Messages'] as unknown[]).length, 1);
    assert.deepEqual(takeFrom(core), []);
    assert.equal(core.ok(redrive('retry'))['Redriven'], 1);
    assert.equal(takeFrom(core, { durMs: 1000 })[0]!.Attempts, 1);
    core.advance(1000);
    assert.equal(core.ok(redrive('skip'))['Skipped'], 1);
    assert.deepEqual(numbers(core), none);
  });

  test('a nack without a delay waits as the policy says, longer each time', () => {
    const core = new CoreUnderTest();
    core.ok(policy({ Backoff: { Min: 10, Max: 15, Factor: 2 } }));
    core.ok(send('a'));
    for (const seconds of [10, 15, 15]) {
      const at = (core.ok(nack(takeFrom(core)[0]!))['Nack'] as { At: number }[])[0]!.At - core.now;
      assert.ok(Math.abs(at - seconds * 1000) <= seconds * 100, `${at}`);
      core.advance(at);
    }
  });

  test('a message whose TTL is over is dropped, but not out of the hands of its holder', () => {
    const core = new CoreUnderTest();
    core.ok(send(message('a', { ttlMs: 1000 }), message('b', { ttlMs: 1000 }), message('c', { ttlMs: 1000 })));
    const [a, b] = takeFrom(core, { max: 2, durMs: 5000 });
    core.advance(1000);
    assert.deepEqual(numbers(core), { ...none, InFlight: 2 });
    core.ok(ack(a!));
    core.ok(nack(b!, { returned: true }));
    assert.deepEqual(numbers(core), none);
  });
});

const of = (group: string, ...data: unknown[]): Batch => send(...data.map((each) => message(each, { group })));

describe('groups', () => {
  test('one message of a group is out at a time, in order; groups take turns', () => {
    const core = new CoreUnderTest();
    core.ok(of('g', 1, 2, 3));
    core.ok(of('h', 4));
    assert.deepEqual(numbers(core), { ...none, Ready: 4, Groups: 2 });
    const [first, other] = takeFrom(core, { max: 10 });
    assert.deepEqual([first!.Data, first!.Group, other!.Data], [1, 'g', 4]);
    assert.equal(first!.ID.endsWith(':g'), true);
    assert.deepEqual(takeFrom(core), []);
    core.ok(ack(first!));
    assert.deepEqual(datas(takeFrom(core)), [2]);
    core.ok(ack(other!));
    assert.deepEqual(numbers(core), { ...none, Ready: 1, InFlight: 1, Groups: 1 });
  });

  test('a group that was served goes to the end of the line', () => {
    const core = new CoreUnderTest();
    core.ok(of('g', 1, 2, 3));
    core.ok(of('h', 4));
    const seen: unknown[] = [];
    for (let i = 0; i < 4; i += 1) {
      const [next] = takeFrom(core);
      seen.push(next!.Data);
      core.ok(ack(next!));
    }
    assert.deepEqual(seen, [1, 4, 2, 3]);
  });

  test('GroupMax takes several under one lease; the nack of one gives those behind it back', () => {
    const core = new CoreUnderTest();
    core.ok(of('g', 1, 2, 3, 4));
    const [a, b, c] = takeFrom(core, { max: 3, groupMax: 3 });
    assert.deepEqual(numbers(core), { ...none, Ready: 1, InFlight: 3, Groups: 1 });
    core.ok(nack(b!, { delayMs: 1000, error: 'later' }));
    assert.equal(whyOf(core, ack(c!)), 'nacked');
    assert.deepEqual(numbers(core), { ...none, Ready: 2, InFlight: 1, Delayed: 1, Groups: 1 });
    core.ok(ack(a!));
    assert.deepEqual(takeFrom(core), [], 'the first one waits, and so does what is behind it');
    core.advance(1000);
    const rest = takeFrom(core, { max: 10, groupMax: 10 });
    assert.deepEqual(
      rest.map(({ Data, Attempts, LastError }) => [Data, Attempts, LastError]),
      [
        [2, 2, 'later'],
        [3, 1, undefined],
        [4, 1, undefined],
      ],
    );
    core.ok(ack(...rest));
    assert.deepEqual((core.entries as unknown as { all(): unknown[] }).all(), []);
  });

  test('a lease that ends frees the group; its late ack counts never', () => {
    const core = new CoreUnderTest();
    core.ok(of('g', 1, 2));
    const [a] = takeFrom(core, { durMs: 1000 });
    core.advance(1000);
    assert.equal(whyOf(core, ack(a!)), 'expired');
    const both = takeFrom(core, { max: 2, groupMax: 2 });
    assert.deepEqual(
      both.map(({ Data, Attempts }) => [Data, Attempts]),
      [
        [1, 2],
        [2, 1],
      ],
    );
  });

  test('a death lets the group go on; a blocked head holds it, and no other group', () => {
    for (const OnFail of ['dlq', 'drop', 'block'] as const) {
      const core = new CoreUnderTest();
      core.ok(policy({ MaxAttempts: 1, OnFail }));
      core.ok(of('g', 1, 2));
      core.ok(of('h', 3));
      const [a, h] = takeFrom(core, { max: 2 });
      core.ok(nack(a!));
      core.ok(ack(h!));
      assert.deepEqual(datas(takeFrom(core)), OnFail === 'block' ? [] : [2]);
      if (OnFail !== 'block') continue;
      assert.deepEqual(numbers(core), { ...none, Ready: 1, Blocked: 1, Groups: 1 });
      core.ok(redrive('skip'));
      assert.deepEqual(datas(takeFrom(core)), [2]);
    }
  });

  test('a queue with the policy Fifo is one line', () => {
    const core = new CoreUnderTest();
    core.ok(policy({ Fifo: true }));
    core.ok(send(1, 2));
    const [a] = takeFrom(core, { max: 10 });
    assert.deepEqual([a!.Group, takeFrom(core)], ['', []]);
    core.ok(ack(a!));
    assert.deepEqual(datas(takeFrom(core, { max: 10 })), [2]);
    assert.equal(core.ask(send(message(1, { priority: 1 }))).code, 'invalid');
  });

  test('a delayed message holds back what is behind it, and nothing before it', () => {
    const core = new CoreUnderTest();
    core.ok(send(message(1, { group: 'g' }), message(2, { group: 'g', delayMs: 5000 }), message(3, { group: 'g' })));
    const [one] = takeFrom(core, { max: 10, groupMax: 10 });
    assert.equal(one!.Data, 1);
    core.ok(ack(one!));
    assert.deepEqual(takeFrom(core), []);
    core.advance(5000);
    assert.deepEqual(datas(takeFrom(core, { max: 10, groupMax: 10 })), [2, 3]);
  });

  test('when the TTL of a first message is over, the next takes its place', () => {
    const core = new CoreUnderTest();
    core.ok(send(message(1, { group: 'g', ttlMs: 1000 }), message(2, { group: 'g' }), 'x'));
    core.advance(1000);
    assert.deepEqual(datas(takeFrom(core, { max: 10 })), [2, 'x']);
  });

  test('a group whose last message was too old when it was asked for leaves the line', () => {
    for (const behind of [undefined, message(2, { group: 'g', delayMs: 60_000 })]) {
      const core = new CoreUnderTest();
      core.ok(send(message(1, { group: 'g', ttlMs: 1000 }), ...(behind === undefined ? [] : [behind])));
      // What ends before it takes all that one turn may end.
      for (let i = 0; i < expiryBatchMax; i += 1) core.ok(batch({ set: [{ key: `k${i}`, value: '1', ttlMs: 500 }] }));
      core.jump(1000);
      assert.deepEqual(takeFrom(core, { max: 10 }), []);
      const letters = core.entries.range(kinds.queue, acme, 'q\0');
      assert.deepEqual(
        Array.from(letters, ({ key }) => key.charAt(2)),
        behind === undefined ? [] : ['G', 'g', 's'],
      );
      assert.equal(numbers(core)['Groups'], behind === undefined ? 0 : 1);
      core.advance(60_000);
      assert.deepEqual(datas(takeFrom(core, { max: 10 })), behind === undefined ? [] : [2]);
    }
  });

  test('what became too old in the hands of its holder, behind a message that is given back, is not delivered again', () => {
    const core = new CoreUnderTest();
    const old = message('old', { group: 'g', ttlMs: 1000 });
    core.ok(send(message('head', { group: 'g' }), old, message('next', { group: 'g' })));
    const [head] = takeFrom(core, { max: 10, groupMax: 10, durMs: 60_000 });
    core.advance(1000);
    core.ok(nack(head!, { delayMs: 0 }));
    assert.deepEqual(datas(takeFrom(core, { max: 10, groupMax: 10 })), ['head', 'next']);
  });

  test('the head of a group is out once, however many behind it are too old', () => {
    for (const groupMax of [1, 10]) {
      const core = new CoreUnderTest();
      core.ok(send(message('head', { group: 'g' })));
      core.ok(send(...Array.from({ length: 150 }, () => message('old', { group: 'g', ttlMs: 1000 }))));
      core.ok(send(message('next', { group: 'g' })));
      for (let i = 0; i < expiryBatchMax; i += 1) core.ok(batch({ set: [{ key: `k${i}`, value: '1', ttlMs: 500 }] }));
      core.jump(1000);
      const first = takeFrom(core, { max: 10, groupMax });
      assert.deepEqual(datas(first), ['head']);
      assert.deepEqual(takeFrom(core, { max: 10, groupMax }), []);
      core.advance(1000);
      core.ok(ack(...first));
      assert.deepEqual(datas(takeFrom(core, { max: 10, groupMax })), ['next']);
    }
  });
});

describe('what is enqueued once', () => {
  test('a DedupID counts once per window, also behind the ack', () => {
    const core = new CoreUnderTest();
    const once = message('a', { dedup: 'd' });
    const first = core.ok(send(once, once))['Enqueue'] as { ID: string; Duplicate?: boolean }[];
    assert.deepEqual([first[1]!.ID, first[1]!.Duplicate], [first[0]!.ID, true]);
    core.ok(ack(takeFrom(core)[0]!));
    assert.equal((core.ok(send(once))['Enqueue'] as { Duplicate?: boolean }[])[0]!.Duplicate, true);
    core.advance(300_000);
    core.ok(send(once));
    assert.deepEqual(numbers(core), { ...none, Ready: 1 });
  });

  test('a pending DedupID is free once its message is gone', () => {
    const core = new CoreUnderTest();
    core.ok(policy({ DedupWindow: 0 }));
    const once = message('a', { dedup: 'd' });
    core.ok(send(once));
    core.advance(86_400_000);
    assert.equal((core.ok(send(once))['Enqueue'] as { Duplicate?: boolean }[])[0]!.Duplicate, true);
    core.ok(ack(takeFrom(core)[0]!));
    core.ok(send(once));
    core.ok(change('purge'));
    core.ok(send(once));
    assert.deepEqual(numbers(core), { ...none, Ready: 1 });
  });

  test('AttemptID: the same call again gets the same messages and receipts', () => {
    const core = new CoreUnderTest();
    core.ok(send('a', 'b', 'c'));
    const first = takeFrom(core, { max: 2, attempt: 'u' });
    assert.deepEqual(takeFrom(core, { max: 2, attempt: 'u' }), first);
    core.ok(ack(first[0]!));
    assert.deepEqual(takeFrom(core, { max: 2, attempt: 'u' }), [first[1]]);
    core.ok(ack(first[1]!));
    assert.deepEqual(datas(takeFrom(core, { max: 2, attempt: 'u' })), ['c']);
  });
});

describe('consumers that wait', () => {
  test('they are served in order, in the turn in which something becomes ready', () => {
    const core = new CoreUnderTest();
    const first = core.ask(take({ waitMs: 10_000 }));
    const second = core.ask(take({ waitMs: 10_000 }));
    assert.ok(first.waits && second.waits);
    core.ok(send('a'));
    assert.deepEqual(datas(taken(first.body)), ['a']);
    assert.ok(second.waits);
    core.ok(nack(taken(first.body)[0]!, { returned: true }));
    assert.deepEqual([taken(second.body)[0]!.Data, taken(second.body)[0]!.Attempts], ['a', 1]);
    const third = core.ask(take({ waitMs: 10_000 }));
    core.advance(10_000);
    assert.deepEqual(taken(third.body), []);
    const fourth = core.ask(take({ waitMs: 60_000 }));
    core.advance(20_000);
    assert.deepEqual([taken(fourth.body)[0]!.Data, taken(fourth.body)[0]!.Attempts], ['a', 2], 'the lease has ended');
  });

  test('one that comes later does not overtake; one that leaves is forgotten', () => {
    const core = new CoreUnderTest();
    core.ok(change('pause'));
    core.ok(send('a', 'b'));
    const first = core.ask(take({ waitMs: 10_000 }));
    const second = core.ask(take({ waitMs: 10_000 }));
    assert.deepEqual(takeFrom(core), []);
    core.cancel(first);
    core.ok(change('resume'));
    assert.deepEqual(datas(taken(second.body)), ['a']);
  });

  test('so many wait for one queue, one more is refused, and others are not', () => {
    const core = new CoreUnderTest({ limits: { consumers_per_queue_max: 2 } });
    const first = core.ask(take({ waitMs: 10_000 }));
    core.ask(take({ waitMs: 10_000 }));
    const third = core.ask(take({ waitMs: 10_000 }));
    assert.deepEqual([third.waits, third.code], [false, 'too_many_waiters']);
    assert.match(third.body.Message, /consumers_per_queue_max/);
    assert.ok(core.ask(take({ waitMs: 10_000, key: 'another' })).waits);
    assert.deepEqual(takeFrom(core), [], 'one that does not wait takes no place');
    core.cancel(first);
    assert.ok(core.ask(take({ waitMs: 10_000 })).waits, 'who leaves makes room');
  });

  test('a delivery that reached nobody goes back to its place, and the attempt does not count', () => {
    const core = new CoreUnderTest();
    core.ok(send('a', message('g', { group: 'g' }), 'b'));
    const lost = core.ask(take({ max: 2 }));
    core.send({ kind: 'grant.return', grant: lost.reply!.grant! });
    const again = takeFrom(core, { max: 10 });
    assert.deepEqual(
      again.map(({ Data, Attempts }) => [Data, Attempts]),
      [
        ['a', 1],
        ['g', 1],
        ['b', 1],
      ],
    );
    core.send({ kind: 'grant.return', grant: lost.reply!.grant! });
    assert.deepEqual(numbers(core), { ...none, InFlight: 3, Groups: 1 });
  });
});

describe('all queues together', () => {
  test('messages by state, the oldest, consumers, deliveries and redeliveries', () => {
    const core = new CoreUnderTest();
    core.ok(policy({ MaxAttempts: 1 }));
    core.ok(send('dead', 'out', message('later', { delayMs: 5000 }), message('other', { key: 'p' })));
    core.ok(send(message('g1', { group: 'g' }), message('g2', { group: 'g' })));
    const [dead, , inGroup] = takeFrom(core, { max: 3, durMs: 20_000 });
    core.ok(nack(dead!));
    core.ok(nack(inGroup!, { returned: true }));
    const waiting = core.ask(take({ key: 'empty', waitMs: 60_000 }));
    assert.equal(waiting.waits, true);
    core.advance(3000);
    const { state, now } = core;
    assert.deepEqual(queueTotals(state, now), {
      ready: 3,
      inFlight: 1,
      delayed: 1,
      dead: 1,
      blocked: 0,
      oldestMs: 3000,
      consumers: 1,
      deliveries: 3,
      redeliveries: 0,
    });
    core.cancel(waiting);
    core.advance(20_000);
    takeFrom(core, { max: 1 });
    assert.partialDeepStrictEqual(queueTotals(core.state, core.now), { consumers: 0, dead: 2, deliveries: 4 });
  });
});

describe('administration', () => {
  test('a purge empties the queue at once, receipts too, and is swept a little at a time', () => {
    const core = new CoreUnderTest();
    for (let i = 0; i < 25; i += 1) core.ok(send(...Array.from({ length: 100 }, (_, j) => j)));
    core.ok(send(message('g', { group: 'g' }), message('d', { delayMs: 1000 })));
    const [out] = takeFrom(core);
    assert.equal(core.ok(change('purge'))['Purged'], 2502);
    assert.deepEqual(numbers(core), none);
    assert.equal(whyOf(core, ack(out!)), 'purged');
    core.ok(send('new'));
    core.advance(1000);
    assert.deepEqual(datas(takeFrom(core, { max: 10 })), ['new']);
    core.advance(60_000);
    assert.ok((core.entries as unknown as { all(): unknown[] }).all().length <= 4, 'the sweep has ended');
    core.ok(change('delete'));
    core.advance(60_000);
    assert.deepEqual((core.entries as unknown as { all(): unknown[] }).all(), []);
  });

  test('MaxMessages and Parallel are limits', () => {
    const core = new CoreUnderTest();
    core.ok(policy({ MaxMessages: 3, Parallel: 2 }));
    assert.equal(core.ask(send(1, 2, 3, 4)).code, 'quota_exceeded');
    core.ok(send(1, 2, 3));
    assert.equal(core.ask(send(4)).body['Quota'], 'queue');
    const [a] = takeFrom(core, { max: 10 });
    assert.deepEqual(takeFrom(core), []);
    core.ok(ack(a!));
    assert.deepEqual(datas(takeFrom(core, { max: 10 })), [3]);
  });
});
