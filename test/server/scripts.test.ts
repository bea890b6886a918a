/** Scripts in a server with its threads, over HTTP. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DragonLock } from '../../src/client/dragon-lock.ts';
import { ConflictError, DrainingError, UnreachableError } from '../../src/client/exports.ts';
import { serverForFile } from '../support/server-under-test.ts';

const server = serverForFile({
  config: 'shards: 2\nhttp: { threads: 2 }\nscripts: { account_cpu_ms_per_second: 0 }\n',
});

const transfer = `export default (tx, { from, to, amount }) => {
  const a = tx.get('acct/' + from), b = tx.get('acct/' + to);
  if (a < amount) tx.fail('insufficient', { balance: a });
  tx.set('acct/' + from, a - amount);
  tx.set('acct/' + to, b + amount);
  tx.add('transfers', 1);
  return a - amount;
}`;

const accounts = 20;

async function bank(account: string): Promise<DragonLock> {
  const client = new DragonLock({ url: server.url, account, retryWrites: false, timeout: 5000 });
  await client.scripts.put('transfer', transfer);
  await client.batch({ set: Array.from({ length: accounts }, (_, i) => ({ key: `acct/${i}`, value: 100 })) });
  return client;
}

async function sumOf(client: DragonLock): Promise<number> {
  let sum = 0;
  for await (const { value } of client.kv.list('acct/')) sum += value as number;
  return sum;
}

test('64 callers transfer between 20 accounts at once: the sum is the same, and each transfer counts once', async () => {
  await using client = await bank('bank');
  let done = 0;
  let conflicts = 0;
  const caller = async (i: number): Promise<void> => {
    for (let n = 0; n < 3; n += 1) {
      const [from, to] = [(i * 7 + n * 3) % accounts, (i * 11 + n * 5 + 1) % accounts];
      if (from === to) continue;
      const keys = n % 2 === 0 ? [`acct/${from}`, `acct/${to}`] : [];
      try {
        await client.scripts.call('transfer', { from, to, amount: 1 }, { keys });
        done += 1;
      } catch (error) {
        if (!(error instanceof ConflictError)) throw error;
        conflicts += 1;
      }
    }
  };
  await Promise.all(Array.from({ length: 64 }, (_, i) => caller(i)));
  assert.equal(await sumOf(client), accounts * 100);
  assert.equal(await client.counter.get('transfers'), done);
  assert.ok(conflicts < done / 10, `${conflicts} of ${done + conflicts} gave up`);
});

test('a script that does not end is ended, and others go on', async () => {
  await using client = await bank('patient');
  const endless = server.call('POST', '/db/evil/eval', { Source: 'export default () => { for (;;); }', CPU: 200 });
  const result = await client.scripts.call('transfer', { from: 1, to: 2, amount: 5 });
  assert.equal(result.result, 95);
  const { status, body } = await endless;
  assert.equal(status, 422);
  assert.equal(body.Code, 'script_timeout');
});

test('administrators see what calls of each script have come to, through all front ends', async () => {
  await using client = await bank('watched');
  await client.scripts.put('odd', 'export default (tx, n) => { if (n % 2 === 1) throw new Error("odd"); }');
  await Promise.all(Array.from({ length: 20 }, (_, n) => client.scripts.call('odd', n).catch(() => undefined)));
  await assert.rejects(client.scripts.call('transfer', { from: 1, to: 2, amount: 500 }));
  const { body } = await server.call('GET', '/admin/scripts/watched');
  const { Scripts } = body as unknown as {
    Scripts: (Record<string, unknown> & { CPUMs: number; LastError?: string })[];
  };
  const rows = new Map(Scripts.map((row) => [row['Script'], row]));
  assert.partialDeepStrictEqual(rows.get('odd'), { Calls: 20, Refused: 0, Failed: 10 });
  assert.match(rows.get('odd')!.LastError!, /^The script failed: Error: odd \(line 1/);
  assert.ok(rows.get('odd')!.CPUMs > 0);
  assert.partialDeepStrictEqual(rows.get('transfer'), { Calls: 1, Refused: 1, Failed: 0 });
  const other = await server.call('GET', '/admin/scripts/unwatched');
  assert.deepEqual((other.body as unknown as { Scripts: unknown[] }).Scripts, []);
});

test('a server that stops answers each call, and has done what it has said', async () => {
  const client = await bank('stopped');
  let done = 0;
  const calls = Array.from({ length: 40 }, async (_, i) => {
    try {
      await client.scripts.call('transfer', { from: i % accounts, to: (i + 1) % accounts, amount: 1 });
      done += 1;
    } catch (error) {
      assert.ok(
        error instanceof DrainingError || error instanceof UnreachableError || error instanceof ConflictError,
        String(error),
      );
    }
  });
  await Promise.race(calls);
  await server.stop();
  await Promise.all(calls);
  await client.close();
  await server.start();
  await using after = new DragonLock({ url: server.url, account: 'stopped' });
  assert.equal(await sumOf(after), accounts * 100);
  assert.ok((await after.counter.get('transfers')) >= done);
});
