import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { revision } from '../../../src/protocol/ids.ts';
import { streamHoldMsMax } from '../../../src/shared/limits.ts';
import { makeDoor } from './http-door-under-test.ts';

const eventSource = { accept: 'text/event-stream' };
const url = '/watch/a?prefix=';

test('a stream that comes while the server starts waits for it, and is then served', async (t) => {
  const door = makeDoor(t);
  door.state = 'starting';
  const replies = [door.send('GET', url), door.send('GET', url, undefined, eventSource)];
  assert.equal((await door.send('GET', '/db/a/kv/k')).statusCode, 503, 'other calls are refused meanwhile');
  assert.equal(door.dispatcher.asked.length, 0);
  door.dispatcher.reply = undefined;
  door.state = 'serving';
  await door.dispatcher.until(() => door.dispatcher.asked.length === 2);
  for (const { sink } of door.dispatcher.asked) {
    sink?.bookmark(revision(7));
    sink?.end();
  }
  for (const reply of replies) assert.deepEqual([(await reply).statusCode, (await reply).body], [200, 'id: 7\n\n']);
});

test('a stream waits no longer than its limit; then an EventSource is told to connect again, and others get 503', async (t) => {
  const door = makeDoor(t);
  door.state = 'starting';
  mock.timers.enable({ apis: ['setTimeout'] });
  t.after(() => mock.timers.reset());
  const plain = door.send('GET', url);
  const browser = door.send('GET', url, undefined, eventSource);
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  mock.timers.tick(streamHoldMsMax);
  assert.equal((await plain).statusCode, 503);
  const { statusCode, headers, body } = await browser;
  assert.deepEqual([statusCode, headers['content-type']], [200, 'text/event-stream']);
  assert.match(body, /^retry: 1000\nevent: failure\ndata: \{"Code":"draining",.*\}\n\n$/);
});

test('streams over limits.watchers_max do not wait, and what can never work is refused at once', async (t) => {
  const door = makeDoor(t, 'limits: {watchers_max: 0}');
  door.state = 'starting';
  assert.equal((await door.send('GET', url)).statusCode, 503);
  assert.match((await door.send('GET', url, undefined, eventSource)).body, /^retry: 1000\n/);
  assert.equal((await door.send('GET', '/watch/no%20account', undefined, eventSource)).statusCode, 400);
  const closed = makeDoor(t, 'tokens: [{token: t, accounts: "*", scopes: [read]}]');
  closed.state = 'starting';
  assert.equal((await closed.send('GET', url, undefined, eventSource)).statusCode, 401);
});

test('while the server stops, or is over a limit, an EventSource is told to connect again', async (t) => {
  const door = makeDoor(t, 'limits: {account_requests_per_second: 1}', () => 0);
  door.state = 'draining';
  assert.match(
    (await door.send('GET', url, undefined, eventSource)).body,
    /^retry: 1000\nevent: failure\ndata: .*draining/,
  );
  door.state = 'serving';
  await door.send('GET', '/db/a/kv/k');
  const limited = await door.send('GET', url, undefined, eventSource);
  assert.deepEqual([limited.statusCode, limited.body.includes('rate_limited')], [200, true]);
});
