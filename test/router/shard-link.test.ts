/** The port from a shard's thread to a front end, and the credit that bounds what is in it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import { revision } from '../../src/protocol/ids.ts';
import { ReplyCredit } from '../../src/protocol/wire/reply-credit.ts';
import type { FromShard } from '../../src/protocol/wire/shard-messages.ts';
import { encodeFromShard, messageLength } from '../../src/protocol/wire/shard-wire.ts';
import { ThreadShardLink } from '../../src/router/shard-link.ts';
import { emptyMail } from '../../src/shard-worker/turn-outbox.ts';

const kib = 1024;

function messageOf(...lengths: readonly number[]): FromShard {
  const replies = lengths.map((length, id) => {
    const reply = { rev: revision(1), outcome: 'ok', body: 'x'.repeat(length) } as const;
    return { kind: 'one', id, reply } as const;
  });
  return { durable: revision(1), ...emptyMail(), replies };
}

test('shard link: the credit for messages of every size is given back, one turn after they were taken', async (t) => {
  const { port1, port2 } = new MessageChannel();
  t.after(() => port1.close());
  const memory = ReplyCredit.allocate(2);
  const [credit, owed] = [new ReplyCredit(memory, 1), new Int32Array(memory)];
  const taken: number[] = [];
  let release: (() => void) | undefined;
  new ThreadShardLink(port2, credit).onMessage((message, give) => {
    taken.push(messageLength(message));
    release = give;
  });
  const messages = [
    ...[1, 16 * kib - 1, 16 * kib, 16 * kib + 1, 100_000, 1024 * kib - 1, 1024 * kib, 3000 * kib].map((length) =>
      messageOf(length),
    ),
    messageOf(9 * kib, 9 * kib),
  ];
  for (const message of messages) {
    const arrived = once(port2, 'message');
    credit.sent(messageLength(message));
    port1.postMessage(encodeFromShard(message));
    await arrived;
    await nextTurn();
    const isSmall = messageLength(message) < ReplyCredit.small;
    assert.equal(release === undefined, isSmall);
    assert.equal(owed[1] === 0, isSmall, 'not as long as the router keeps something of the message');
    release?.();
    assert.equal(owed[1] === 0, isSmall, 'nor in this turn: else the port is always full');
    await nextTurn();
    release = undefined;
    assert.deepEqual([...owed], [0, 0], `after ${messageLength(message)} characters`);
  }
  assert.deepEqual(taken, messages.map(messageLength));
});

test('shard link: what is owed lets requests with large answers wait first, and then all', () => {
  const credit = new ReplyCredit(ReplyCredit.allocate(1), 0);
  const levels = Array.from({ length: 40 }, () => {
    credit.sent(1024 * kib);
    return credit.exhausted;
  });
  assert.deepEqual([levels.indexOf('large'), levels.indexOf('all')], [4, 32]);
  credit.taken(30 * 1024 * kib);
  assert.equal(credit.exhausted, 'large');
  credit.taken(10 * 1024 * kib);
  assert.equal(credit.exhausted, 'none');
});
