/** The server's time over restarts, when the machine's clock was wrong at one start and is right at the next. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { encodeClockRecord, readMachineClock } from '../../src/main/data-directory/clock-file.ts';
import { ServerUnderTest } from '../support/server-under-test.ts';

const hourMs = 3_600_000;
/** A machine may be very busy. */
const slackMs = 60_000;

/** A server whose data directory was first used while the machine's clock was wrong by `wrongMs`. */
async function startedAt(t: TestContext, wrongMs: number): Promise<ServerUnderTest> {
  const server = ServerUnderTest.prepare();
  t.after(() => server.dispose(t.passed));
  const { bootId, bootMs } = readMachineClock() ?? { bootId: undefined, bootMs: 0 };
  fs.mkdirSync(server.dataDir);
  const record = { bootId, bootMs, time: Date.now() + wrongMs, wall: Date.now() };
  fs.writeFileSync(path.join(server.dataDir, 'clock'), encodeClockRecord(record));
  await server.start();
  return server;
}

for (const [what, wrongMs, how] of [
  ['hours ahead', 3 * hourMs, 'kill'],
  ['years behind', -90_000 * hourMs, 'stop'],
] as const) {
  test(`a clock that was ${what} at one start and is right at the next: leases, keys and ids last as long as they were given`, async (t) => {
    const server = await startedAt(t, wrongMs);
    const before = Date.now();
    const idempotent = { headers: { 'idempotency-key': 'once' } };
    const lock = await server.batch({ LockID: 'l', LockDur: 3600, KVSet: { Key: 'k', Value: 1, TTL: 3600 } });
    await server.ok('POST', '/db/acc/counter/c', undefined, idempotent);
    await server.restart(how);
    const held = await server.ok('GET', `/db/acc/lock/l?fence=${lock.Lock}`);
    assert.equal(held.TillMs, lock.TillMs, 'the same moment');
    const { Now } = await server.batch({ LockID: 'now', LockDur: 1 });
    const left = held.TillMs - Now;
    assert.ok(left <= hourMs && left >= hourMs - (Date.now() - before) - 1000, `${left} ms are left`);
    await server.ok('GET', '/db/acc/kv/k');
    const again = await server.ok('POST', '/db/acc/counter/c', undefined, idempotent);
    assert.equal(again.Value, 1, 'the id is known');
    const offset = await server.metric('dragonlock_clock_offset_seconds');
    assert.ok(Math.abs(offset + wrongMs / 1000) < slackMs / 1000, `${offset} s`);
    assert.ok(server.logs.some(({ msg }) => msg.startsWith("The machine's clock is")));
  });
}

test('a damaged file of the clock is said, and the machine’s clock is taken', async (t) => {
  const server = await ServerUnderTest.forTest(t);
  await server.stop();
  fs.truncateSync(path.join(server.dataDir, 'clock'), 10);
  await server.start();
  assert.ok(server.logs.some(({ msg }) => msg.includes('clock is damaged')));
  const { Now } = await server.batch({ LockID: 'l', LockDur: 60 });
  assert.ok(Math.abs(Now - Date.now()) < slackMs);
});
