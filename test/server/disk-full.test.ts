/**
 * A disk that is really full: a small tmpfs. Writes are refused with 507, acknowledged data stays, reads, unlocks and
 * deletes go on, and the server recovers by itself when there is space.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { RespClient } from '../support/resp-client.ts';
import { eventually, ServerUnderTest } from '../support/server-under-test.ts';

const directory = path.join(os.tmpdir(), `dragonlock-full-${process.pid}`);
const filler = path.join(directory, 'filler');
const mib = 1024 * 1024;

function whyNot(): string | false {
  if (process.platform !== 'linux') return 'mounting a tmpfs needs Linux';
  if (process.getuid?.() !== 0) return 'mounting a tmpfs needs root';
  fs.mkdirSync(directory, { recursive: true });
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=40m', 'tmpfs', directory], {
    encoding: 'utf8',
  });
  return status === 0 ? false : `a tmpfs cannot be mounted here: ${stderr}`;
}

const skip = whyNot();
after(() => {
  if (skip === false) spawnSync('umount', ['-l', directory]);
  fs.rmSync(directory, { recursive: true, force: true });
});

/** Takes all remaining space. */
function fill(): void {
  const file = fs.openSync(filler, 'a');
  for (const size of [mib, 4096]) {
    try {
      for (;;) if (fs.writeSync(file, Buffer.alloc(size, 1)) < size) break;
    } catch (error) {
      assert(error instanceof Error && 'code' in error && error.code === 'ENOSPC', String(error));
    }
  }
  fs.closeSync(file);
}

const limits = 'body_bytes_max: 1048576, value_bytes_max: 1048576';
const cases = [
  ['the journal finds no room for its next segment', `limits: { ${limits} }\njournal: { segment_bytes: 4194304 }`],
  [
    'the store finds no room for its checkpoint',
    `limits: { ${limits}, memtable_bytes_max: 2097152 }\njournal: { segment_bytes: 4194304, keep_bytes: 0 }`,
  ],
] as const;

for (const [what, config] of cases) {
  test(`disk full: ${what}: writes are refused, the rest goes on, and it recovers by itself`, { skip }, async (t) => {
    const dataDir = path.join(directory, 'data');
    const server = await ServerUnderTest.forTest(t, { config: `resp: {listen: "127.0.0.1:0"}\n${config}`, dataDir });
    t.after(() => {
      fs.rmSync(filler, { force: true });
      fs.rmSync(dataDir, { recursive: true, force: true });
    });
    const lock = await server.batch({ LockID: 'l', LockDur: 600 });
    const sent = await server.batch({ Enqueue: [1, 2, 3].map((Data) => ({ Queue: 'q', Data })) });
    const three = `${sent.Rev}-2`;
    const waiter = server.batch({ LockID: 'l', LockDur: 600, LockWait: 120 });
    const spare = path.join(dataDir, 'journal', 'spare.log');
    await eventually('the spare segment is there', async () => fs.existsSync(spare));
    fill();

    const value = JSON.stringify('x'.repeat(50_000));
    const acknowledged: string[] = [];
    for (;;) {
      const key = `k${acknowledged.length}`;
      const reply = await server.call('POST', `/db/acc/kv/${key}`, value);
      if (reply.status !== 200) {
        assert.equal(reply.body.Code, 'disk_full', reply.text);
        break;
      }
      acknowledged.push(key);
      assert(acknowledged.length < 1000, 'the disk is full before 50 MB are written');
    }
    t.diagnostic(`full after ${acknowledged.length} writes`);

    await server.fails('disk_full', 'POST', '/db/acc/counter/c');
    await server.fails('disk_full', 'POST', '/db/acc/lock/other');
    await server.batchFails('disk_full', { IdempotencyIDs: 'i', KVGet: 'k0' });
    const redis = await RespClient.open(server.respPort);
    await redis.ok('AUTH', 'acc', 'any');
    await redis.fails(/^MISCONF /, 'SET', 'k', '1');
    await redis.fails(/^MISCONF /, 'EVAL', 'return redis.call("SET", KEYS[1], 1)', 1, 'k');
    assert.equal(await redis.ok('EXISTS', 'k0'), 1);
    redis.close();
    // Whoever is full must be able to empty: what takes and settles goes on.
    await server.batchFails('disk_full', { Enqueue: { Queue: 'q', Data: 4 } });
    const { Dequeue } = await server.batch({ Dequeue: { Queue: 'q', DequeueMax: 2, LockDur: 600 } });
    const [one, two] = Dequeue!.Messages.map(({ ID, Lock }) => ({ Queue: 'q', ID, Lock }));
    await server.batch({ Ack: one, Nack: { ...two, Delay: 0 } });
    await server.fails('disk_full', 'POST', '/db/acc/queue/q', '5');
    assert.equal((await server.ok('GET', '/db/acc/kv/k0')).Value, JSON.parse(value));
    assert.equal((await server.ok('GET', '/db/acc/kv?prefix=k&limit=5')).KV.length, 5);
    const [first, ...rest] = acknowledged;
    await server.ok('DELETE', `/db/acc/kv/${first}`);
    assert((await server.metric('dragonlock_journal_full')) <= 1, 'the reserve is not used up');
    await server.ok('DELETE', `/db/acc/lock/l?lock=${lock.Lock}`);
    assert((await waiter).Lock > lock.Lock, 'who waited for the lock that was freed has it');
    assert.equal((await server.call('GET', '/readyz')).status, 200);

    fs.rmSync(filler);
    await eventually(
      'writes are taken again',
      async () => (await server.call('POST', '/db/acc/kv/again', '1')).status === 200,
    );
    await server.restart('kill');
    assert.equal((await server.ok('GET', '/db/acc/kv/again')).Value, 1);
    await server.fails('not_found', 'GET', `/db/acc/kv/${first}`);
    const { Messages } = (await server.batch({ Dequeue: { Queue: 'q', DequeueMax: 9 } })).Dequeue!;
    assert.deepEqual(
      Messages.map(({ ID }) => ID),
      [three, two!.ID],
      'acked is acked, and what was nacked stands at the end',
    );
    for (const key of rest) assert.equal((await server.ok('GET', `/db/acc/kv/${key}`)).Value, JSON.parse(value));
    await server.stop();
  });
}
