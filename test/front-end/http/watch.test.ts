import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventStream } from '../../../src/front-end/http/event-stream.ts';
import { revision } from '../../../src/protocol/ids.ts';
import { makeDoor } from './http-door-under-test.ts';

const accepted: readonly (readonly [body: unknown, asked: object])[] = [
  [
    { ID: 'ABC', Version: 0 },
    { account: 'acc', keys: [{ key: 'ABC', version: 0 }], waitMs: 30_000 },
  ],
  [
    { ID: 'ABC', Version: 32, Wait: 0 },
    { account: 'acc', keys: [{ key: 'ABC', version: 32 }], waitMs: 0 },
  ],
  [{ ID: 'ABC' }, { account: 'acc', keys: [{ key: 'ABC', version: 0 }], waitMs: 30_000 }],
  [
    { IDs: [{ ID: 'a', Version: 1 }, { ID: 'b' }], Wait: 1.5 },
    {
      account: 'acc',
      keys: [
        { key: 'a', version: 1 },
        { key: 'b', version: 0 },
      ],
      waitMs: 1500,
    },
  ],
  [{ IDs: { ID: 'a' } }, { account: 'acc', keys: [{ key: 'a', version: 0 }], waitMs: 30_000 }],
  [{ Prefix: '' }, { watch: { account: 'acc', prefix: '', waitMs: 30_000, limit: 100 } }],
  [
    { Prefix: 'a/', After: 9, Wait: 300, Limit: 1000 },
    { watch: { account: 'acc', prefix: 'a/', after: 9, waitMs: 300_000, limit: 1000 } },
  ],
];

for (const [body, asked] of accepted) {
  test(`watch ${JSON.stringify(body)} is understood`, async (t) => {
    const door = makeDoor(t);
    assert.equal((await door.send('POST', '/watch/acc', body)).statusCode, 200);
    const [{ client, cancelled, ...got } = assert.fail('nothing was asked')] = door.dispatcher.asked;
    assert.ok(client !== undefined && !cancelled);
    assert.deepEqual(got, asked);
  });
}

const refused: readonly (readonly [body: unknown, message: RegExp])[] = [
  [{}, /exactly one of ID, IDs, Prefix, LockID; got none/],
  [[], /exactly one of ID, IDs, Prefix, LockID; got none/],
  [null, /exactly one of/],
  [{ ID: 'a', Prefix: 'b' }, /got ID and Prefix/],
  [{ ID: 'a', After: 1 }, /^After: unknown field/],
  [{ ID: 'a', Limit: 1 }, /^Limit: unknown field/],
  [{ Prefix: 'a', Version: 1 }, /^Version: unknown field/],
  [{ ID: 'a', Wait: 301 }, /^Wait: expected a number of seconds, 0 to 300, got 301$/],
  [{ ID: 'a', Version: -1 }, /^Version: expected a version/],
  [{ ID: '' }, /^ID: expected a string of 1 to 512 bytes/],
  [{ ID: 'a\0' }, /^ID: expected no NUL/],
  [{ IDs: [] }, /^IDs: expected a list of at least one/],
  [{ IDs: ['a'] }, /^IDs\[0\]: expected \{"ID","Version"\}, got "a"$/],
  [{ IDs: [{ ID: 'a', Versoin: 1 }] }, /^IDs\[0\]\.Versoin: unknown field; did you mean Version\?$/],
  [{ Prefix: 'a'.repeat(513) }, /^Prefix: expected a string of at most 512 bytes/],
  [{ Prefix: 'a', Limit: 0 }, /^Limit: expected an integer from 1 to 1000/],
  [{ Prefix: 'a', After: 0.5 }, /^After: expected a version/],
];

for (const [body, message] of refused) {
  test(`watch ${JSON.stringify(body).slice(0, 60)} is refused with 400 and the field`, async (t) => {
    const door = makeDoor(t);
    const response = await door.send('POST', '/watch/acc', JSON.stringify(body));
    assert.match(response.json<{ Message: string }>().Message, message);
    assert.equal(response.statusCode, 400);
    assert.deepEqual(door.dispatcher.asked, []);
  });
}

test('stream: one block for each commit, ids to resume from, and its end when the server drains', async (t) => {
  const door = makeDoor(t);
  door.dispatcher.reply = undefined;
  const reply = door.send('GET', '/watch/acc?prefix=a%2F&after=5');
  await door.dispatcher.until(() => door.dispatcher.asked.length === 1);
  const [{ watch, sink } = assert.fail('no stream')] = door.dispatcher.asked;
  assert.deepEqual(watch, { account: 'acc', prefix: 'a/', after: 5 });
  assert.equal(sink?.bookmark(revision(6)), true);
  assert.equal(sink.commit(revision(8), ['{"Key":"a/1"}', '{"Key":"a/2"}']), true);
  assert.equal(sink.bookmark(revision(9)), true);
  sink.end({ rev: revision(9), outcome: 'draining', body: '{"Code":"draining","Message":"stopping"}' });
  assert.equal(sink.commit(revision(10), []), false);
  const { statusCode, headers, body } = await reply;
  assert.equal(statusCode, 200);
  assert.equal(headers['content-type'], 'text/event-stream');
  assert.equal(headers['cache-control'], 'no-cache');
  assert.equal(headers['dragonlock-boot'], 'boot7');
  assert.equal(
    body,
    'id: 6\n\nid: 8\ndata: {"Key":"a/1"}\ndata: {"Key":"a/2"}\n\nevent: failure\ndata: {"Code":"draining","Message":"stopping"}\n\n',
  );
});

test('stream: Last-Event-ID wins over after; a broken one is refused', async (t) => {
  const door = makeDoor(t);
  const url = '/watch/acc?prefix=&after=5';
  const reply = door.send('GET', url, undefined, { 'last-event-id': '77' });
  await door.dispatcher.until(() => door.dispatcher.asked.length === 1);
  assert.equal(door.dispatcher.asked[0]?.watch?.after, 77);
  await assert.rejects(reply);
  for (const id of ['abc', '-1', '1.5', '99999999999999999']) {
    const response = await door.send('GET', url, undefined, { 'last-event-id': id });
    assert.deepEqual([response.statusCode, response.json<{ Code: string }>().Code], [400, 'invalid']);
  }
});

test('stream: compacted history is a plain 410 before the stream starts', async (t) => {
  const door = makeDoor(t);
  door.dispatcher.reply = undefined;
  const reply = door.send('GET', '/watch/acc?prefix=a&after=1');
  await door.dispatcher.until(() => door.dispatcher.asked.length === 1);
  door.dispatcher.asked[0]?.sink?.end({
    rev: revision(9),
    outcome: 'compacted',
    body: '{"Code":"compacted","Message":"gone","Oldest":5}',
  });
  const response = await reply;
  assert.equal(response.statusCode, 410);
  assert.deepEqual(response.json(), { Code: 'compacted', Message: 'gone', Oldest: 5, RequestID: 'boot7-0-1' });
});

test('stream: a heartbeat sends the latest bookmark, unless a commit came after it', async (t) => {
  const door = makeDoor(t);
  door.dispatcher.reply = undefined;
  const reply = door.send('GET', '/watch/acc?prefix=');
  await door.dispatcher.until(() => door.dispatcher.asked.length === 1);
  const stream = door.dispatcher.asked[0]?.sink;
  assert.ok(stream instanceof EventStream);
  stream.heartbeat();
  stream.bookmark(revision(1));
  stream.heartbeat();
  stream.bookmark(revision(2));
  stream.bookmark(revision(3));
  stream.heartbeat();
  stream.bookmark(revision(4));
  stream.commit(revision(5), ['{}']);
  stream.heartbeat();
  stream.end();
  assert.equal((await reply).body, 'id: 1\n\n: heartbeat\n\n: heartbeat\nid: 3\n\nid: 5\ndata: {}\n\n: heartbeat\n\n');
});

test('streams of the same commit send the same buffer, so that unread data is in memory once', async (t) => {
  const door = makeDoor(t);
  door.dispatcher.reply = undefined;
  const written: Uint8Array[] = [];
  door.app.addHook('onRequest', (_request, { raw }, done) => {
    const write = raw.write.bind(raw) as (chunk: string | Uint8Array) => boolean;
    raw.write = (chunk: string | Uint8Array): boolean => {
      if (typeof chunk !== 'string') written.push(chunk);
      return write(chunk);
    };
    done();
  });
  const replies = [1, 2, 3].map(() => door.send('GET', '/watch/acc?prefix='));
  await door.dispatcher.until(() => door.dispatcher.asked.length === replies.length);
  const events = ['{"a":1}', '{"b":2}'];
  for (const { sink } of door.dispatcher.asked) {
    assert.ok(sink?.commit(revision(5), events));
    sink?.end();
  }
  for (const reply of replies) {
    assert.equal((await reply).body, 'id: 5\ndata: {"a":1}\ndata: {"b":2}\n\n');
  }
  assert.equal(written.length, replies.length);
  assert.equal(new Set(written).size, 1);
});
