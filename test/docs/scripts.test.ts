/** The recipes of docs/scripts.md, in the threads that run scripts. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { DragonLock } from '../../src/client/dragon-lock.ts';
import { ScriptRefusedError } from '../../src/client/script-errors.ts';
import { workerUrls } from '../../src/main/worker-urls.ts';
import { ScriptClient } from '../../src/scripts/threads/script-client.ts';
import { ScriptThreads } from '../../src/scripts/threads/script-threads.ts';
import { systemAfter } from '../../src/shared/clock.ts';
import { openDoor } from '../support/door-in-process.ts';
import { readDoc } from './markdown.ts';

const recipes = new Map(
  [...readDoc('docs/scripts.md').matchAll(/^```js (\w+)\n(.*?)^```/gms)].map(([, name = '', source = '']) => [
    name,
    source,
  ]),
);

async function open(t: TestContext): Promise<DragonLock> {
  const threads = new ScriptThreads({ url: workerUrls.scriptPool, threads: 1, after: systemAfter });
  const scriptPool = new ScriptClient(threads.connect());
  const door = await openDoor(t, 1, '', { scriptPool });
  const client = new DragonLock({ url: `http://127.0.0.1:${door.port}`, account: 'shop' });
  t.after(async () => {
    await client.close();
    await door.close();
    await threads.close();
  });
  for (const [name, source] of recipes) await client.scripts.put(name, source);
  return client;
}

const reasonOf = async (called: Promise<unknown>): Promise<string> => {
  const error = await called.catch((thrown: unknown) => thrown);
  assert.ok(error instanceof ScriptRefusedError, String(error));
  return error.reason;
};

test('the recipes of docs/scripts.md do what they say', async (t) => {
  assert.deepEqual([...recipes.keys()], ['transfer', 'reserve', 'confirm', 'daily']);
  const client = await open(t);
  const call = async (name: string, args: object): Promise<unknown> => (await client.scripts.call(name, args)).result;

  await client.kv.set('acct/1', { balance: 10 });
  assert.equal(await call('transfer', { from: 1, to: 2, amount: 7 }), 3);
  assert.equal(await reasonOf(call('transfer', { from: 1, to: 2, amount: 7 })), 'insufficient');
  assert.deepEqual((await client.kv.get('acct/2'))?.value, { balance: 7 });
  assert.equal((await client.queue('mail').stats()).ready, 1);

  await client.kv.set('stock/mug', 5);
  assert.equal(await call('reserve', { sku: 'mug', order: 'a', n: 3 }), 2);
  assert.equal(await reasonOf(call('reserve', { sku: 'mug', order: 'b', n: 3 })), 'sold-out');
  assert.ok((await client.kv.get('hold/mug/a'))!.till !== undefined, 'it expires');
  assert.equal(await call('confirm', { sku: 'mug', order: 'a' }), 2);
  assert.equal(await reasonOf(call('confirm', { sku: 'mug', order: 'a' })), 'expired');
  assert.equal(await call('reserve', { sku: 'mug', order: 'b', n: 2 }), 0);

  const first = (await call('daily', { name: 'calls', most: 2 })) as { day: string; count: number };
  assert.match(first.day, /^\d{4}-\d\d-\d\d$/);
  assert.deepEqual(await call('daily', { name: 'calls', most: 2 }), { ...first, count: 2 });
  assert.equal(await reasonOf(call('daily', { name: 'calls', most: 2 })), 'quota');
});
