import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServerUnderTest } from '../support/server-under-test.ts';
import { prints } from './command-under-test.ts';

test('task: at, after, cron, every, list, show, run, pause, resume, cancel', async (t) => {
  const { url } = await ServerUnderTest.forTest(t);
  const at = await prints(t, ['task', 'at', 'a', '2033-05-18T03:33:20Z', 'jobs', 'hello'], { url });
  assert.equal(at, '2033-05-18T03:33:20.000Z\n');
  await prints(t, ['task', 'after', 'b', '1h', 'jobs', '{"n":1}', '-j', '--group', 'g'], { url });
  await prints(t, ['task', 'cron', 'c', '30 2 * * *', 'jobs', 'close', '--tz', 'Europe/Rome', '--misfire', 'skip'], {
    url,
  });
  await prints(t, ['task', 'every', 'd', '90s', 'jobs', 'tick', '--max-late', '5s'], { url });
  const listed = await prints(t, ['task', 'list'], { url });
  assert.deepEqual(
    listed
      .trim()
      .split('\n')
      .map((line) => line.split('\t').slice(0, 2).join(' ')),
    ['a scheduled', 'b scheduled', 'c scheduled', 'd scheduled'],
  );
  await prints(t, ['task', 'pause', 'c'], { url });
  assert.match(await prints(t, ['task', 'list', '--state', 'paused'], { url }), /^c\tpaused\t/);
  await prints(t, ['task', 'resume', 'c'], { url });
  await prints(t, ['task', 'run', 'b'], { url });
  assert.match(await prints(t, ['queue', 'take', 'jobs', '--wait', '30s'], { url }), /\t\{"n":1\}\n$/);
  const shown = JSON.parse(await prints(t, ['task', 'show', 'b'], { url })) as { State: string; Data: unknown };
  assert.deepEqual([shown.State, shown.Data], ['done', { n: 1 }]);
  await prints(t, ['task', 'cancel', 'a'], { url });
  await prints(t, ['task', 'cancel', 'a'], { url }, 1);
  await prints(t, ['task', 'show', 'a'], { url }, 1);
  await prints(t, ['task', 'at', 'a', 'tomorrow', 'jobs', 'x'], { url }, 64);
});

test('script: put, list, show, call, eval, del', async (t) => {
  const { url } = await ServerUnderTest.forTest(t);
  const input = 'export default (tx, { n }) => { tx.set("n", (tx.get("n") ?? 0) + n); return tx.get("n"); }';
  const version = (await prints(t, ['script', 'put', 'add', '-'], { url, input })).trim();
  await prints(t, ['script', 'put', 'add', '-', '--if-version', '0'], { url, input }, 1);
  await prints(t, ['script', 'put', 'add', '-'], { url, input: 'export default (' }, 1);
  assert.match(await prints(t, ['script', 'list'], { url }), new RegExp(`^add +${version} `, 'm'));
  assert.equal(await prints(t, ['script', 'show', 'add'], { url }), input);
  assert.equal(await prints(t, ['script', 'call', 'add', '{"n":2}', '--keys', 'n', '--id', 'x'], { url }), '2\n');
  assert.equal(await prints(t, ['script', 'call', 'add', '{"n":2}', '--keys', 'n', '--id', 'x'], { url }), '2\n');
  assert.equal(await prints(t, ['script', 'eval', '-', '{"n":3}'], { url, input }), '5\n');
  await prints(t, ['script', 'del', 'add'], { url });
  await prints(t, ['script', 'del', 'add'], { url }, 1);
  await prints(t, ['script', 'call', 'add'], { url }, 1);
});

test('task --script: what follows the time is the arguments', async (t) => {
  const { url } = await ServerUnderTest.forTest(t);
  await prints(t, ['task', 'after', 'a', '1h', '{"n":1}', '--script', 'close', '-j'], { url });
  await prints(t, ['task', 'after', 'b', '1h', '--script', 'close'], { url });
  const shown = async (id: string): Promise<unknown> => {
    const { Script, Args } = JSON.parse(await prints(t, ['task', 'show', id], { url })) as Record<string, unknown>;
    return { Script, Args };
  };
  assert.deepEqual(await shown('a'), { Script: 'close', Args: { n: 1 } });
  assert.deepEqual(await shown('b'), { Script: 'close', Args: null });
  await prints(t, ['task', 'after', 'c', '1h', 'jobs', '1', '--script', 'close'], { url }, 64);
});
