/** `GET /watch/:acc`: server-sent events. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReplyBody } from '../support/reply-body.ts';
import { serverForFile, ServerUnderTest } from '../support/server-under-test.ts';
import { StreamReader } from '../support/stream-reader.ts';

const server = serverForFile();

/** Opened first and checked last, because the heartbeat comes every 15 s. */
let quiet: StreamReader;
test('stream: is open before anything happens', async () => {
  quiet = await StreamReader.open(`${server.url}/watch/quiet?prefix=p/`);
  assert.equal(quiet.response.statusCode, 200);
});

test('stream: begins with a bookmark, then one block a commit, with its revision as id', async () => {
  const reader = await StreamReader.open(`${server.url}/watch/s?prefix=p/`);
  assert.equal(reader.response.statusCode, 200);
  assert.equal(reader.response.headers['content-type'], 'text/event-stream');
  assert.equal(reader.response.headers['dragonlock-boot'], server.boot);
  const bookmark = await reader.next();
  assert(bookmark?.id !== undefined && bookmark.data.length === 0, JSON.stringify(bookmark));
  const one = await server.batch(
    {
      KVSet: [
        { Key: 'p/a', Value: 'a\nb' },
        { Key: 'q', Value: 0 },
        { Key: 'p/b', Value: 2 },
      ],
    },
    's',
  );
  const two = await server.batch({ KVSet: { Key: 'p/a', Delete: true } }, 's');
  assert.deepEqual(await reader.nextCommit(), {
    id: one.Rev,
    events: [
      { Key: 'p/a', Version: one.Rev, Value: 'a\nb', Rev: one.Rev },
      { Key: 'p/b', Version: one.Rev, Value: 2, Rev: one.Rev },
    ],
  });
  assert.deepEqual(await reader.nextCommit(), {
    id: two.Rev,
    events: [{ Key: 'p/a', Version: 0, Deleted: true, Rev: two.Rev }],
  });
  reader.close();
});

test('stream: after= and Last-Event-ID resume without a gap or a repetition; the header wins', async () => {
  const start = await server.ok('GET', '/db/resume/kv');
  const revisions: number[] = [];
  for (let i = 0; i < 5; i += 1) revisions.push((await server.ok('POST', '/db/resume/kv/k', i)).Rev);
  const url = `${server.url}/watch/resume?prefix=&after=${start.Rev}`;
  const first = await StreamReader.open(url);
  assert.equal((await first.nextCommit())?.id, revisions[0]);
  const seen = (await first.nextCommit())?.id;
  assert.equal(seen, revisions[1]);
  first.close();
  const again = await StreamReader.open(url, { 'last-event-id': String(seen) });
  for (const revision of revisions.slice(2)) assert.equal((await again.nextCommit())?.id, revision);
  const live = await server.ok('POST', '/db/resume/kv/k', '"live"');
  assert.equal((await again.nextCommit())?.id, live.Rev);
  again.close();
  await server.watchers(1, 'dragonlock_streams');
});

test('stream: a bad cursor is refused as any call is', async () => {
  const bad = await StreamReader.open(`${server.url}/watch/bad?prefix=`, { 'last-event-id': 'x' });
  assert.equal(bad.response.statusCode, 400);
  assert.match((JSON.parse(await bad.text()) as ReplyBody).Message, /^Last-Event-ID: /);
  await server.fails('invalid', 'GET', '/watch/bad?prefx=');
  await server.fails('invalid', 'GET', '/watch/bad?after=-1');
  await server.fails('invalid', 'GET', '/watch/bad?after=999999999');
});

test('stream: a reader that does not keep up is closed, never skipped, and resumes where it was', async (t) => {
  const config = 'limits: { stream_buffer_bytes_max: 65536 }';
  const other = await ServerUnderTest.forTest(t, { config });
  const start = await other.ok('GET', '/db/acc/kv');
  const url = `${other.url}/watch/acc?prefix=&after=${start.Rev}`;
  const slow = await StreamReader.open(url);
  slow.response.pause();
  const value = 'x'.repeat(1_000_000);
  const revisions: number[] = [];
  while ((await other.metric('dragonlock_streams')) === 1) {
    assert(revisions.length < 60, 'closed before 60 MB are unread');
    revisions.push((await other.ok('POST', '/db/acc/kv/k', JSON.stringify(value))).Rev);
  }
  const seen: number[] = [];
  try {
    for (let block = await slow.nextCommit(); block !== undefined; block = await slow.nextCommit()) seen.push(block.id);
  } catch {
    // The stream ends in the middle of a block: so the client notices.
  }
  assert(seen.length < revisions.length, 'it was cut off before the end');
  const again = await StreamReader.open(url, { 'last-event-id': String(seen.at(-1) ?? start.Rev) });
  while (seen.length < revisions.length) {
    const block = await again.nextCommit();
    assert(
      block !== undefined,
      'history is sent as fast as it is read: a client that reads is never disconnected, however far it lags',
    );
    seen.push(block.id);
  }
  assert.deepEqual(seen, revisions, 'ordered, unique, nothing missing');
  const live = await other.ok('POST', '/db/acc/kv/k', JSON.stringify(value));
  assert.equal(
    (await again.nextCommit())?.id,
    live.Rev,
    'a commit larger than the buffer reaches who has read all before it',
  );
  again.close();
});

test('stream: when the server stops, a reader is told, and its connection ends', async (t) => {
  const other = await ServerUnderTest.forTest(t);
  const reader = await StreamReader.open(`${other.url}/watch/acc?prefix=`);
  await reader.next();
  const stopped = other.stop();
  const last = await reader.next();
  assert.equal(last?.event, 'failure');
  assert.equal((JSON.parse(last?.data[0] ?? '') as ReplyBody).Code, 'draining');
  assert.equal(await reader.next(), undefined);
  await stopped;
});

test('stream: every 15 s a heartbeat, with a bookmark after changes of no interest', async () => {
  const first = await quiet.next();
  const { Rev } = await server.ok('POST', '/db/quiet/kv/other', 1);
  let beat = await quiet.next(17_000);
  // On a busy machine heartbeats may have come before the change.
  for (let more = 2; more > 0 && (beat?.id === undefined || beat.id < Rev); more -= 1) beat = await quiet.next(17_000);
  assert.deepEqual(beat?.comments, ['heartbeat']);
  assert(
    first?.id !== undefined && beat?.id !== undefined && beat.id >= Rev,
    `bookmark ${beat?.id} at or after ${Rev}`,
  );
  quiet.close();
});
