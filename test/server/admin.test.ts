/** The calls of administrators, on a server with tokens, two front ends and two shards. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { adminCallList } from '../../src/protocol/operations/admin-calls.ts';
import { eventually, serverForFile, ServerUnderTest } from '../support/server-under-test.ts';

const config = `
shards: 2
http: {threads: 2}
tokens:
  - {token: t-ops, name: ops, accounts: '*', scopes: [read, write, force, admin, operator]}
  - {token: t-shop, name: shop, accounts: [shop], scopes: [read, write, force, admin]}
  - {token: t-all, name: all, accounts: '*', scopes: [read, admin]}
  - {token: t-reader, name: reader, accounts: '*', scopes: [read, write]}
`;

function as(name: string): { readonly headers: Record<string, string> } {
  return { headers: { authorization: `Bearer t-${name}` } };
}

const server = serverForFile({ config });

async function get(target: string, who = 'ops'): Promise<Record<string, unknown>> {
  const reply = await server.call('GET', target, undefined, as(who));
  assert.equal(reply.status, 200, `${target}: ${reply.text}`);
  return reply.body as unknown as Record<string, unknown>;
}

async function refusal(target: string, who: string, method: 'GET' | 'POST' | 'PUT' = 'GET'): Promise<string> {
  const { status, body } = await server.call(method, target, undefined, as(who));
  return `${status} ${body.Code}`;
}

const targets: Readonly<Record<string, string>> = {
  'admin.locks': '/admin/locks?account=shop',
  'admin.lock': '/admin/locks/shop/l',
  'admin.scripts': '/admin/scripts/shop',
  'admin.watchers': '/admin/watchers?account=shop',
  'admin.audit': '/admin/audit',
  'admin.logLevel': '/admin/log-level?level=info',
};

test('each call needs its scope, and a token for some accounts sees no other', async () => {
  for (const [name, { method, path, scope }] of adminCallList) {
    // The one does not end, the other ends the server.
    if (name === 'admin.live' || name === 'admin.drain') continue;
    const target = targets[name] ?? path;
    await server.ok(method, target, undefined, as('ops'));
    const isServers = scope === 'operator' || scope === 'log';
    assert.equal(await refusal(target, 'reader', method), scope === 'any' ? '200 undefined' : '403 forbidden', target);
    assert.equal(await refusal(target, 'all', method), isServers ? '403 forbidden' : '200 undefined', target);
    assert.equal(await refusal(target, 'nobody', method), '401 unauthorized', target);
  }
  for (const target of [
    '/admin/locks/other/l',
    '/admin/locks?account=other',
    '/admin/locks',
    '/admin/watchers',
    '/admin/scripts/other',
  ])
    assert.equal(await refusal(target, 'shop'), '403 forbidden', target);
  assert.equal(await refusal('/admin/live', 'all'), '403 forbidden');
  assert.equal(await refusal('/admin/audit?account=shop', 'shop'), '200 undefined');
  assert.equal(await refusal('/admin/audit?account=other', 'shop'), '403 forbidden');
});

test('what is wrong in the query is refused', async () => {
  for (const target of [
    '/admin/accounts?limit=101',
    '/admin/accounts?limt=1',
    '/admin/locks?account=a%00b',
    '/admin/audit?after=0',
    '/admin/overview?x=1',
  ])
    assert.equal(await refusal(target, 'ops'), '400 invalid', target);
});

test('a force shows in the audit log, and the one who held the lock is told why', async () => {
  const mine = '/db/shop/lock/audited';
  await server.ok('POST', `${mine}?owner=me&dur=60&meta=worker-1`, undefined, as('shop'));
  const waits = server.call('POST', `${mine}?owner=next&dur=60&wait=20`, undefined, as('shop'));
  await untilWaiting('audited');
  const line = await get('/admin/locks/shop/audited', 'shop');
  assert.deepEqual([line['Locked'], line['Meta'], line['Waiters']], [true, 'worker-1', 1]);
  const [waiting] = line['Waiting'] as { Since: number; Until: number }[];
  assert.equal(waiting!.Until - waiting!.Since, 20_000);
  assert.doesNotMatch(JSON.stringify(line), /"(me|next)"|"Lock"/, 'neither owners nor fences');

  await server.ok('DELETE', `${mine}?force=1&reason=${encodeURIComponent('hung <b>')}`, undefined, as('shop'));
  assert.equal((await waits).status, 200);
  const lost = await server.call('DELETE', `${mine}?owner=me`, undefined, as('shop'));
  const told = lost.body as unknown as Record<string, unknown>;
  assert.deepEqual([lost.status, told['Why'], told['Reason']], [409, 'forced', 'hung <b>']);
  const { Audit } = await get('/admin/audit?account=shop', 'shop');
  const { At, Rev, ...entry } = (Audit as Record<string, unknown>[])[0]!;
  assert.ok(Number(At) > 0 && Number(Rev) > 0);
  assert.deepEqual(entry, {
    ID: 1,
    Who: 'shop',
    From: '127.0.0.1',
    Action: 'lock.force',
    Account: 'shop',
    Subject: 'audited',
    Reason: 'hung <b>',
  });
});

async function untilWaiting(id: string): Promise<void> {
  await eventually('somebody waits', async () => {
    const { Locks } = (await get('/admin/locks?account=shop')) as { Locks: { LockID: string }[] };
    return Locks.some(({ LockID }) => LockID === id);
  });
}

test('accounts are listed with what they have, and secrets are in no reply', async () => {
  const { text: settings } = await server.call('GET', '/admin/config', undefined, as('ops'));
  assert.match(settings, /\{"Name":"http\.socket_mode","Value":"0600"\}/, 'as in config.yml, and not changed');
  await server.ok('POST', '/db/shop/kv/k', 1, as('ops'));
  await server.ok('POST', '/db/other/kv/k', 1, as('ops'));
  const names = async (who: string): Promise<string[]> => {
    const { Accounts } = (await get('/admin/accounts', who)) as { Accounts: { Account: string; Keys: number }[] };
    assert.ok(Accounts.every(({ Keys }) => Keys >= 1));
    return Accounts.map(({ Account }) => Account);
  };
  assert.deepEqual(await names('ops'), ['shop', 'other']);
  assert.deepEqual(await names('shop'), ['shop']);
  const { Tokens } = (await get('/admin/tokens')) as { Tokens: { Name: string }[] };
  assert.deepEqual(
    Tokens.map(({ Name }) => Name),
    ['ops', 'shop', 'all', 'reader'],
  );
  const texts = await Promise.all(['/admin/config', '/admin/tokens', '/admin/overview'].map((target) => get(target)));
  assert.doesNotMatch(JSON.stringify(texts), /t-(ops|shop|all|reader)|[0-9a-f]{64}/);
});

test('watches of all front ends are found', async () => {
  const ends = new AbortController();
  const open = [1, 2, 3, 4].map((i) =>
    server
      .call('POST', '/watch/shop', { Prefix: `w${i}/`, After: 0, Wait: 60 }, { ...as('ops'), signal: ends.signal })
      .catch(() => undefined),
  );
  const seen = async (): Promise<number> =>
    ((await get('/admin/watchers?account=shop')) as { Watchers: unknown[] }).Watchers.length;
  await eventually('all are seen', async () => (await seen()) === open.length);
  assert.deepEqual((await get('/admin/watchers?account=other'))['Watchers'], []);
  ends.abort();
  await Promise.all(open);
});

test('looking changes nothing', async () => {
  const durable = await server.metric('dragonlock_durable_revision');
  for (const [name, { method, path }] of adminCallList) {
    if (name === 'admin.live' || method !== 'GET') continue;
    for (let i = 0; i < 2; i += 1) await get(targets[name] ?? path);
  }
  assert.equal(await server.metric('dragonlock_durable_revision'), durable);
});

test('the overview is followed by as many as may, and each gets what has changed', async () => {
  const ends = new AbortController();
  const follow = (): Promise<Response> => fetch(`${server.url}/admin/live`, { ...as('ops'), signal: ends.signal });
  const streams = await Promise.all(Array.from({ length: 16 }, follow));
  assert.ok(streams.every(({ status }) => status === 200));
  const refused = await follow();
  assert.deepEqual([refused.status, ((await refused.json()) as { Quota: string }).Quota], [429, 'admin_viewers']);
  const reader = streams[0]!.body!.pipeThrough(new TextDecoderStream()).getReader();
  const event = async (): Promise<Record<string, unknown>> => {
    let text = '';
    while (!text.endsWith('\n\n')) text += (await reader.read()).value ?? '';
    return JSON.parse(text.slice('data: '.length)) as Record<string, unknown>;
  };
  const first = await event();
  assert.ok('Version' in first && 'Shards' in first && 'Rates' in first);
  const second = await event();
  assert.ok('Now' in second && !('Version' in second), 'only what has changed');
  ends.abort();
});

test('slow requests and busy accounts are told, without keys', async (t) => {
  const own = await ServerUnderTest.forTest(t, { config: 'log: {slow_ms: 1}\nhttp: {threads: 2}' });
  for (let i = 0; i < 130; i += 1) await own.ok('GET', '/db/busy/kv');
  // Its body comes late.
  const socket = own.connect();
  socket.write('POST /db/slow/kv/secret-key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n');
  const sent = performance.now();
  while (performance.now() < sent + 5) await own.ok('GET', '/db/busy/kv');
  const answer = once(socket, 'data');
  socket.write('1');
  await answer;
  socket.destroy();
  const slow = await own.call('GET', '/admin/slow');
  const { Slow } = slow.body as unknown as { Slow: Record<string, unknown>[] };
  const found = Slow.find(({ Account }) => Account === 'slow');
  assert.deepEqual([found?.['Operation'], found?.['Status'], Number(found?.['Ms']) >= 1], ['kv_set', 200, true]);
  assert.ok(((await own.call('GET', '/admin/slow?limit=1')).body as unknown as { Slow: unknown[] }).Slow.length === 1);
  assert.doesNotMatch((await own.call('GET', '/admin/slow')).text, /secret-key|URL/);
  for (const by of ['requests', 'bytes', 'time']) {
    const { Top } = (await own.ok('GET', `/admin/top?by=${by}`)) as unknown as { Top: Record<string, unknown>[] };
    const busy = Top.find(({ Account }) => Account === 'busy');
    // One request in 61 stands for as many. If the slow one does, it has more time and bytes than all the others.
    if (by === 'requests') assert.equal(Top[0], busy);
    assert.ok(Number(busy?.['Requests']) >= 122 && Number(busy?.['Bytes']) > 0);
  }
  assert.equal((await own.call('GET', '/admin/top?by=keys')).status, 400);
});
