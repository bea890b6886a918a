/** `/livez`, `/readyz`, `/version`, `/metrics`. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { eventually, serverForFile } from '../support/server-under-test.ts';

const server = serverForFile();

test('probes: live, ready, and which version it is', async () => {
  assert.equal((await server.call('GET', '/livez')).body.Status, 'live');
  assert.equal((await server.call('GET', '/readyz')).body.Status, 'ready');
  const manifest = JSON.parse(fs.readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  assert.equal((await server.call('GET', '/version')).body.Version, manifest.version);
});

/** What grows with commits. */
const growing = [
  'journal_group_records_count',
  'journal_group_records_sum',
  'journal_sync_seconds_count',
  'journal_sync_seconds_sum',
  'journal_written_bytes_total',
  'durable_revision',
];

function read(): Promise<number[]> {
  return Promise.all(growing.map((name) => server.metric(`dragonlock_${name}`)));
}

test('metrics: what they promise of the journal moves with every commit', async () => {
  const before = await read();
  await Promise.all(Array.from({ length: 50 }, () => server.ok('POST', '/db/acc/counter/c')));
  const after = await read();
  before.forEach((value, i) => assert(after[i]! > value, `${growing[i]}: ${value} → ${after[i]}`));
  assert.equal(after[1]! - before[1]!, 50, 'records of all groups');
  assert(after[0]! - before[0]! <= 50, 'no more groups than records');
  assert.equal(after[5]! - before[5]!, 50);
});

test('metrics: waiters, watchers, streams and watched keys are counted while they last', async () => {
  await server.ok('POST', '/db/acc/lock/l?dur=60');
  const hangUp = new AbortController();
  const { signal } = hangUp;
  const open = [
    server.call('POST', '/db/acc/lock/l?wait=60', undefined, { signal }),
    server.call('POST', '/watch/acc', { ID: 'k' }, { signal }),
    server.call('GET', '/watch/acc?prefix=', undefined, { signal }),
  ];
  await Promise.all([server.waiters(1), server.watchers(1), server.watchers(1, 'dragonlock_streams')]);
  await eventually('a watched key', async () => (await server.metric('dragonlock_shard_watched_keys')) === 1);
  hangUp.abort();
  await Promise.allSettled(open);
  await Promise.all([server.waiters(0), server.watchers(0), server.watchers(0, 'dragonlock_streams')]);
});

test('metrics: messages of all queues by state, consumers, deliveries', async () => {
  const messages = (state: string): Promise<number> => server.metric('dragonlock_queue_messages', `{state="${state}"}`);
  await server.batch({ Enqueue: [1, 2, 3].map((Data) => ({ Queue: `q${Data}`, Data })) });
  await server.batch({ Enqueue: { Queue: 'q4', Data: 4, Delay: 600 } });
  await server.batch({ Dequeue: { Queue: 'q1', LockDur: 600 } });
  assert.deepEqual(await Promise.all(['ready', 'inflight', 'delayed', 'dead'].map(messages)), [2, 1, 1, 0]);
  assert.equal(await server.metric('dragonlock_queue_deliveries_total'), 1);
  assert.equal(await server.metric('dragonlock_queue_redeliveries_total'), 0);
  const hangUp = new AbortController();
  const open = server.call('POST', '/db/acc/dequeue/empty?wait=60', undefined, { signal: hangUp.signal });
  await eventually('a consumer', async () => (await server.metric('dragonlock_queue_consumers')) === 1);
  hangUp.abort();
  await Promise.allSettled([open]);
  await eventually('none', async () => (await server.metric('dragonlock_queue_consumers')) === 0);
});

test('metrics: the depth of the queue is seen while there is one', async () => {
  const adds = Array.from({ length: 500 }, () => ({ Atomic: { Key: 'c', Add: 1 } }));
  await eventually('commands in the queue', async () => {
    const load = Array.from({ length: 20 }, () => server.ok('POST', '/db/acc', adds));
    const queued = await server.metric('dragonlock_shard_queued_commands');
    await Promise.all(load);
    return queued > 0;
  });
});

test('metrics: requests are counted by operation and status, and no client can make up a label', async () => {
  const secrets = ['s3cret-account', 's3cret-key', 's3cret-lock', 's3cret-owner', 's3cret-idempotency'];
  const [account, key, lock, owner, id] = secrets;
  await server.ok('POST', `/db/${account}/kv/${key}`, '1', { headers: { 'idempotency-key': id! } });
  await server.ok('POST', `/db/${account}/lock/${lock}?id=${owner}`);
  await server.ok('POST', `/watch/${account}`, { ID: key });
  await server.call('GET', `/s3cret-path/${key}`);
  await server.call('PUT', `/db/${account}/kv/${key}`);
  const { text, headers } = await server.call('GET', '/metrics');
  assert.match(String(headers['content-type']), /^text\/plain/);
  assert(!text.includes('s3cret'), 'no account, key, lock, owner, id or path');
  assert(text.includes('dragonlock_requests_total{operation="kv_set",status="200"} 1'), text);
  const labels = new Set([...text.matchAll(/[{,](\w+)="/g)].map(([, name]) => name ?? ''));
  assert.deepEqual(
    [...labels].toSorted((a, b) => (a < b ? -1 : 1)),
    [
      'boot',
      'front_end',
      'how',
      'le',
      'node',
      'operation',
      'outcome',
      'reason',
      'shard',
      'state',
      'status',
      'version',
      'why',
    ],
  );
  for (const line of text.split('\n').filter((line) => line !== ''))
    assert.match(line, /^(# (HELP|TYPE) \w+ .+|\w+(\{.*\})? -?[\d.e+-]+)$/);
});
