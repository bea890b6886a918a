/** The client's calls of scripts, and the command's. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { DragonLock } from '../../src/client/dragon-lock.ts';
import { NotFoundError, VersionMismatchError } from '../../src/client/errors.ts';
import { ScriptFailedError, ScriptRefusedError } from '../../src/client/script-errors.ts';
import { openDoor } from '../support/door-in-process.ts';
import { fakeScriptPool } from '../support/fake-script-pool.ts';

async function open(t: TestContext): Promise<DragonLock> {
  const pool = fakeScriptPool();
  const door = await openDoor(t, 1, '', { scriptPool: pool });
  const client = new DragonLock({ url: `http://127.0.0.1:${door.port}`, account: 'acme' });
  t.after(() => client.close());
  return client;
}

const take = `export default (tx, { n }) => {
  const left = (tx.get('stock') ?? 0) - n;
  if (left < 0) tx.fail('sold-out', { left: left + n });
  tx.set('stock', left);
  tx.log('took ' + n);
  return left;
}`;

test('a client stores, calls, reads, lists and deletes scripts', async (t) => {
  const client = await open(t);
  const first = await client.scripts.put('shop/take', take);
  await client.kv.set('stock', 3);
  const { result, log, version, tries, rev } = await client.scripts.call<number>(
    'shop/take',
    { n: 2 },
    { keys: ['stock'] },
  );
  assert.deepEqual({ result, log, version, tries }, { result: 1, log: ['took 2'], version: first, tries: 1 });
  assert.equal((await client.kv.get('stock'))?.version, rev);
  const second = await client.scripts.put('shop/take', `${take}//2`, { version: first });
  await assert.rejects(client.scripts.put('shop/take', take, { version: first }), VersionMismatchError);
  const { at: _, ...current } = await client.scripts.get('shop/take');
  assert.deepEqual(current, { name: 'shop/take', version: second, source: `${take}//2`, versions: [second, first] });
  assert.equal((await client.scripts.get('shop/take', { version: first })).source, take);
  const old = await client.scripts.call<number>('shop/take', { n: 0 }, { version: first });
  assert.equal(old.version, first);
  assert.deepEqual(
    (await Array.fromAsync(client.scripts.list('shop/'))).map(({ name, bytes }) => [name, bytes]),
    [['shop/take', take.length + 3]],
  );
  assert.equal((await client.usage()).entries['scripts'], 1);
  assert.equal(await client.scripts.delete('shop/take'), true);
  assert.equal(await client.scripts.delete('shop/take'), false);
  await assert.rejects(client.scripts.call('shop/take'), NotFoundError);
});

test('errors of a script say what they are', async (t) => {
  const client = await open(t);
  await client.scripts.put('take', take);
  const refused = await client.scripts.call('take', { n: 2 }).catch((error: unknown) => error);
  assert.ok(refused instanceof ScriptRefusedError);
  assert.deepEqual([refused.reason, refused.refusal, refused.log], ['sold-out', { left: 0 }, []]);
  const failed = await client.scripts.eval('export default () => null.a').catch((error: unknown) => error);
  assert.ok(failed instanceof ScriptFailedError);
  assert.equal(failed.errorName, 'TypeError');
  const wrong = await client.scripts.put('wrong', 'export default (').catch((error: unknown) => error);
  assert.ok(wrong instanceof ScriptFailedError);
  assert.deepEqual([wrong.errorName, wrong.line], ['SyntaxError', 1]);
});

test('a call under ids of its own is the first one again', async (t) => {
  const client = await open(t);
  await client.scripts.put('take', take);
  await client.kv.set('stock', 5);
  const options = { idempotency: { ids: ['order-1'], ttl: '1h' as const } };
  const first = await client.scripts.call('take', { n: 2 }, options);
  assert.deepEqual(await client.scripts.call('take', { n: 2 }, options), first);
  assert.equal((await client.kv.get('stock'))?.value, 3);
});
