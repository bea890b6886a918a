import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { accountId } from '../../src/protocol/ids.ts';
import { Mailbox } from '../../src/shard-worker/mailbox.ts';

const busy = accountId('busy');
const calm = accountId('calm');

/** Takes messages of a fixed cost until none is left, and returns them in order. */
function takeAll(mailbox: Mailbox<string>, micros: (letter: string) => number): string[] {
  const taken: string[] = [];
  for (let letter = mailbox.take(false); letter !== undefined; letter = mailbox.take(false)) {
    taken.push(letter);
    mailbox.charge(micros(letter), false);
  }
  return taken;
}

test('mailbox: an account that sends little is served after the message under way, whatever others have sent', () => {
  const mailbox = new Mailbox<string>();
  for (let i = 0; i < 1000; i += 1) mailbox.push(busy, `busy${i}`);
  for (let i = 0; i < 50; i += 1) {
    mailbox.take(false);
    mailbox.charge(100, false);
  }
  mailbox.push(calm, 'calm');
  assert.equal(mailbox.take(false), 'calm');
});

test('mailbox: two accounts with a backlog get the same time, though one sends dearer messages', () => {
  const mailbox = new Mailbox<string>();
  for (let i = 0; i < 2000; i += 1) mailbox.push(busy, 'dear');
  for (let i = 0; i < 2000; i += 1) mailbox.push(calm, 'cheap');
  const micros = { dear: 0, cheap: 0 };
  for (let i = 0; i < 1000; i += 1) {
    const letter = mailbox.take(false) as 'dear' | 'cheap';
    const cost = letter === 'dear' ? 900 : 30;
    micros[letter] += cost;
    mailbox.charge(cost, false);
  }
  assert.ok(Math.abs(micros.dear - micros.cheap) <= 1500, JSON.stringify(micros));
});

test('mailbox: whoever sends one message after the other does not stay in front of a backlog', () => {
  const mailbox = new Mailbox<string>();
  for (let i = 0; i < 100; i += 1) mailbox.push(busy, 'busy');
  const taken: string[] = [];
  for (let i = 0; i < 40; i += 1) {
    // A new message as soon as the last one is taken, each of another account in turn.
    mailbox.push(accountId(`calm${i % 2}`), 'calm');
    taken.push(mailbox.take(false)!);
    mailbox.charge(400, false);
  }
  const served = taken.filter((letter) => letter === 'busy').length;
  assert.ok(served >= 10, `the backlog was served ${served} times of 40`);
});

test('mailbox: while front ends are congested, only accounts with large answers wait', () => {
  const mailbox = new Mailbox<string>();
  for (let i = 0; i < 3; i += 1) mailbox.push(busy, `busy${i}`);
  assert.equal(mailbox.take(false), 'busy0');
  mailbox.charge(10, true);
  mailbox.push(calm, 'calm0');
  mailbox.push(calm, 'calm1');
  assert.equal(mailbox.take(true), 'calm0');
  mailbox.charge(10, false);
  assert.equal(mailbox.take(true), 'calm1');
  mailbox.charge(10, false);
  assert.deepEqual([mailbox.take(true), mailbox.size], [undefined, 2]);
  mailbox.release();
  assert.deepEqual(
    takeAll(mailbox, () => 10),
    ['busy1', 'busy2'],
  );
});

test('mailbox: nothing is lost or doubled, and each account keeps its order', () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ push: fc.integer({ min: 0, max: 4 }) }) },
    fc.record({ first: fc.integer({ min: 0, max: 4 }) }),
    {
      weight: 3,
      arbitrary: fc.record({ cost: fc.integer({ min: 0, max: 3000 }), large: fc.boolean(), congested: fc.boolean() }),
    },
    fc.constant({ release: true }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const mailbox = new Mailbox<{ account: number; n: number }>();
      const expected: number[][] = Array.from({ length: 5 }, () => []);
      let n = 0;
      const take = (congested: boolean, cost: number, large: boolean): boolean => {
        const letter = mailbox.take(congested);
        if (letter === undefined) return false;
        mailbox.charge(cost, large);
        assert.equal(letter.n, expected[letter.account]!.shift());
        return true;
      };
      for (const each of steps) {
        n += 1;
        if ('push' in each) {
          mailbox.push(accountId(`a${each.push}`), { account: each.push, n });
          expected[each.push]!.push(n);
        } else if ('first' in each) {
          mailbox.pushFirst(accountId(`a${each.first}`), { account: each.first, n });
          expected[each.first]!.unshift(n);
        } else if ('cost' in each) take(each.congested, each.cost, each.large);
        else mailbox.release();
        assert.equal(mailbox.size, expected.flat().length);
      }
      mailbox.release();
      while (take(false, 100, false));
      assert.deepEqual(expected.flat(), []);
    }),
  );
});
