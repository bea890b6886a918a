import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId } from '../../src/protocol/ids.ts';
import { RouterUnderTest } from '../support/router-under-test.ts';
import type { Command } from '../../src/protocol/operations/operations.ts';

const account = accountId('acc');
const lock = (waitMs: number): Command => ({ kind: 'mutex.lock', account, lock: { id: 'm', durMs: 60_000, waitMs } });

test('a grant to a waiter is sent one turn later: a disconnect that is read meanwhile passes it on', async () => {
  const server = new RouterUnderTest({ shards: 1 });
  const { Lock: fence } = await server.ok(lock(0));
  const first = server.send(lock(60_000));
  await server.settle();
  const next = server.send(lock(60_000));
  await server.settle();
  assert(typeof fence === 'number');
  const unlock = server.send({ kind: 'mutex.unlock', account, unlock: { id: 'm', fence } });
  while (unlock.waits) assert(await server.step(), 'the unlock is answered');
  assert(first.waits, 'the grant that came in the same message as the answer to the unlock has not been sent yet');
  // Its connection has ended, and the end was read in this very turn.
  first.disconnected = true;
  await server.settle();
  assert.equal(first.reply, undefined);
  assert.equal(next.code, 'ok');
});
