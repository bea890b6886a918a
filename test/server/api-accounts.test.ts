/** Export, import and deletion of accounts over HTTP, on a server with tokens, two front ends and two shards. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverForFile, type CallOptions } from '../support/server-under-test.ts';

const config = `
shards: 2
http: {threads: 2}
metrics: {accounts: true}
tokens:
  - {token: t-shop, name: shop, accounts: [shop, copy], scopes: [read, write, admin]}
  - {token: t-admin, name: admin, accounts: '*', scopes: [read, write, admin]}
  - {token: t-sender, name: sender, accounts: '*', scopes: [read, write, task, script]}
  - {token: t-coder, name: coder, accounts: '*', scopes: [read, write, admin, task, script]}
  - {token: t-reader, name: reader, accounts: '*', scopes: [read, write]}
`;

const server = serverForFile({ config });

function as(name: string, more: Record<string, string> = {}): CallOptions {
  return { headers: { authorization: `Bearer t-${name}`, ...more } };
}

async function refusal(
  method: 'GET' | 'POST' | 'DELETE',
  target: string,
  body: unknown,
  options = as('shop'),
): Promise<string> {
  const reply = await server.call(method, target, body, options);
  return `${reply.status} ${reply.body.Code}: ${reply.body.Message}`;
}

test('only an administrator of the account may delete, export and import it', async () => {
  await server.ok('POST', '/db/shop/kv/a', 1, as('shop'));
  assert.match(await refusal('DELETE', '/db/shop?confirm=shop', undefined, as('reader')), /^403 .*"admin"/);
  assert.match(await refusal('DELETE', '/db/other?confirm=other', undefined), /^403 /);
  const lines = { Lines: [{ Kind: 'kv', Key: 'a', Value: 2 }] };
  assert.match(await refusal('POST', '/db/shop/import', lines, as('reader')), /^403 .*"admin"/);
  assert.match(await refusal('GET', '/db/shop/export', undefined, as('reader')), /^403 .*"admin"/);
  const { Lines } = (await server.ok('GET', '/db/shop/export', undefined, as('shop'))) as unknown as {
    Lines: object[];
  };
  assert.partialDeepStrictEqual(Lines, [{ Kind: 'kv', Key: 'a', Value: 1 }]);
});

/** A cursor that no page has given. */
function exportAfter(cursor: readonly unknown[]): string {
  return `/db/shop/export?after=${Buffer.from(JSON.stringify(cursor)).toString('base64url')}`;
}

const job = { Queue: 'q', Data: 1 };

function taskLine(Task: object, more: object = {}): object {
  const State = { NextMs: 1, FromMs: 1, Attempts: 0, Runs: 0, Skipped: 0, Failed: 0, ...more };
  return { Kind: 'task', Key: 't', Task, State };
}

test('what runs code or sends requests is imported by those who may have it done, and goes nowhere else', async () => {
  const put = async (line: object, name: string) => refusal('POST', '/db/other/import', { Lines: [line] }, as(name));
  const script = { Kind: 'script', Key: 'j', Value: { AtMs: 1, Source: 'export default () => 1' } };
  assert.match(await put(script, 'admin'), /^403 forbidden: .*"script"/);
  assert.match(await put(taskLine({ Script: 'j' }), 'admin'), /^403 forbidden: .*"script"/);
  assert.match(await put(taskLine({ URL: 'https://example.com/' }), 'admin'), /^403 forbidden: .*"task"/);
  assert.match(await put(taskLine({ URL: 'https://example.com/' }), 'sender'), /^403 forbidden: .*"admin"/);
  assert.match(await put(taskLine({ URL: 'http://169.254.169.254/' }), 'coder'), /^403 target_forbidden: .*task "t"/);
  assert.match(await put(taskLine({ URL: 'http://localhost/' }), 'coder'), /^403 target_forbidden: /);
  const usage = await server.ok('GET', '/db/other/usage', undefined, as('coder'));
  assert.partialDeepStrictEqual(usage, { Bytes: 0 });
  const Lines = [script, taskLine({ Script: 'j' }), { ...taskLine({ ...job, Group: 'g' }), Key: 'u' }];
  assert.partialDeepStrictEqual(await server.ok('POST', '/db/other/import', { Lines }, as('coder')), { Loaded: 3 });
});

const lease = { Lock: 1, Why: 'released', AtMs: 1 };

test('what is wrong with a call is said with its field', async () => {
  const cases = [
    ['DELETE', '/db/shop', undefined, /^400 invalid: \?confirm: missing; expected the name of the account/],
    ['DELETE', '/db/shop?confirm=shpo', undefined, /^400 invalid: \?confirm: expected .*"shop", got "shpo"/],
    ['DELETE', '/db/shop?confirm=shop', {}, /^400 invalid: DELETE takes no body/],
    ['GET', '/db/shop/export?after=nonsense', undefined, /^400 invalid: \?after: /],
    ['GET', '/db/shop/export?after=WyJjIiwtMSwxXQ', undefined, /^400 invalid: \?after: /],
    ['GET', exportAfter(['e', 1, '0\ud800']), undefined, /^400 invalid: \?after: /],
    ['GET', exportAfter(['e', 1, '!']), undefined, /^400 invalid: \?after: /],
    ['GET', exportAfter(['e', 1, `0${'x'.repeat(1200)}`]), undefined, /^400 invalid: \?after: /],
    ['GET', exportAfter(['c', 2 ** 53 - 1, 1]), undefined, /^400 invalid: .*ahead of this server/],
    ['GET', '/db/shop/export?limit=1001', undefined, /^400 invalid: \?limit: /],
    ['POST', '/db/shop/import', undefined, /^400 /],
    ['POST', '/db/shop/import', {}, /^400 invalid: Lines: missing/],
    ['POST', '/db/shop/import', { Lines: [] }, /^400 invalid: Lines: expected/],
    ['POST', '/db/shop/import', { Lines: [{ Kind: 'mutex' }] }, /^400 invalid: Lines\[0\]\.Kind: expected one of kv/],
    ['POST', '/db/shop/import', { Lines: [{ Kind: 'kv', Value: 1 }] }, /^400 invalid: Lines\[0\]\.Key: missing/],
    ['POST', '/db/shop/import', { Lines: [{ Kind: 'kv', Key: '', Value: 1 }] }, /^400 invalid: Lines\[0\]\.Key: /],
    ['POST', '/db/shop/import', { Lines: [{ Kind: 'kv', Key: 'a' }] }, /^400 invalid: Lines\[0\]\.Value: missing/],
    ['POST', '/db/shop/import', { Lines: [{ Kind: 'kv', Kye: 'a' }] }, /^400 invalid: Lines\[0\]\.Kye: unknown field/],
    [
      'POST',
      '/db/shop/import',
      { Lines: [{ Kind: 'counter', Key: 'a', Value: 0.5 }] },
      /Lines\[0\]\.Value: expected an int/,
    ],
    [
      'POST',
      '/db/shop/import',
      { Lines: [{ Kind: 'sequence', Key: 'a', Value: '1' }] },
      /Lines\[0\]\.Value: expected an int/,
    ],
    ['POST', '/db/shop/import', { Lines: [{ Kind: 'message', Queue: 'q' }] }, /Lines\[0\]\.Data: missing/],
    ['POST', '/db/shop/import', { Lines: [{ Kind: 'queue', Queue: 'q' }] }, /Lines\[0\]\.Policy: missing/],
    ['POST', '/db/shop/import', { Lines: [{ Kind: 'lock' }] }, /Lines\[0\]\.Key: missing/],
    [
      'POST',
      '/db/shop/import',
      { Lines: [{ Kind: 'lock', Key: 'l', Ended: [{ Lock: 1, Why: 'lost', AtMs: 1 }] }] },
      /Ended\[0\]\.Why: expected one of released/,
    ],
    [
      'POST',
      '/db/shop/import',
      { Lines: [{ Kind: 'lock', Key: 'l', Ended: Array.from({ length: 9 }, () => lease) }] },
      /^413 .*Ended: 9 leases; expected at most 8/,
    ],
    ['POST', '/db/shop/import', { Lines: [{ Kind: 'limit', Key: 'g', AtMs: 1 }] }, /TakenMicros: missing/],
    [
      'POST',
      '/db/shop/import',
      { Lines: [{ Kind: 'id', Key: 'i', Stored: [3, 'other'] }] },
      /^400 invalid: Lines\[0\]\.Stored: expected /,
    ],
    ['POST', '/db/shop/import', { Lines: [{ Kind: 'task', Key: 't' }] }, /^400 invalid: Lines\[0\]\.Task: missing/],
    ['POST', '/db/shop/import', { Lines: [taskLine({ Queue: 'q' })] }, /Lines\[0\]\.Task\.Data: missing/],
    [
      'POST',
      '/db/shop/import',
      { Lines: [taskLine({ ...job, Cron: 'x' })] },
      /Lines\[0\]\.Task\.Cron: expected a cron/,
    ],
    ['POST', '/db/shop/import', { Lines: [taskLine({ ...job, Delay: 1 })] }, /Lines\[0\]\.Task\.Delay: unknown field/],
    ['POST', '/db/shop/import', { Lines: [taskLine(job, { NextMs: -1 })] }, /Lines\[0\]\.State\.NextMs: expected/],
    ['POST', '/db/shop/import', { Lines: [taskLine(job, { Runs: 1e99 })] }, /Lines\[0\]\.State\.Runs: expected/],
    ['POST', '/db/shop/import', { Lines: [{ Kind: 'task', Key: 't', Task: job }] }, /Lines\[0\]\.State: missing/],
    ['POST', '/db/shop/import', { Lines: [{ Kind: 'run', Key: 't' }] }, /Lines\[0\]\.State: missing/],
    ['POST', '/db/shop/import', { Lines: [{ Kind: 'flow', Key: 'f', Flow: { Per: 1 } }] }, /Per: only with Rate/],
    ['POST', '/db/shop/import', { Lines: [{ Kind: 'secret', Secret: 'x' }] }, /Lines\[0\]\.Secret: expected a secret/],
    ['POST', '/db/shop/import', { Lines: [{ Kind: 'dedup', Key: 'd', TillMs: 1 }] }, /Lines\[0\]\.Queue: missing/],
    [
      'POST',
      '/db/shop/import',
      { Lines: Array.from({ length: 65 }, () => taskLine({ ...job, Cron: '0 3 * * *' })) },
      /^413 too_large: Lines: expected at most 64 tasks with Cron/,
    ],
    [
      'POST',
      '/db/shop/import',
      { Lines: Array.from({ length: 1001 }, () => ({ Kind: 'kv', Key: 'a', Value: 1 })) },
      /^413 too_large: Lines: 1001/,
    ],
  ] as const;
  for (const [method, target, body, expected] of cases)
    assert.match(
      await refusal(method, target, body),
      expected,
      `${method} ${target} ${JSON.stringify(body)?.slice(0, 80)}`,
    );
  assert.match(
    await refusal('DELETE', '/db/shop?confirm=shop', undefined, as('shop', { 'idempotency-key': 'once' })),
    /^400 invalid: Idempotency-Key: /,
  );
});

test('a page of an export is a body of an import, and a deletion is noted in the audit log', async () => {
  const put = { KVSet: { Key: 'b', Value: { deep: ['ü'] } }, Enqueue: { Queue: 'q', Data: 1 } };
  await server.ok('POST', '/db/shop', put, as('shop'));
  const page = await server.ok('GET', '/db/shop/export', undefined, as('shop'));
  const once = as('shop', { 'idempotency-key': 'page-1' });
  const first = await server.ok('POST', '/db/copy/import', page, once);
  assert.deepEqual(await server.ok('POST', '/db/copy/import', page, once), first);
  const usage = await server.ok('GET', '/db/copy/usage', undefined, as('shop'));
  assert.partialDeepStrictEqual(usage, { Entries: { kv: 2, messages: 1 } });
  const metrics = (await server.call('GET', '/metrics')).text;
  assert.match(metrics, /^dragonlock_account_messages\{account="copy"\} 1$/m);

  await server.ok('DELETE', '/db/copy?confirm=copy', undefined, as('shop'));
  const after = await server.ok('GET', '/db/copy/usage', undefined, as('shop'));
  assert.partialDeepStrictEqual(after, { Bytes: 0, Entries: { kv: 0, messages: 0, ids: 0 } });
  const log = await server.ok('GET', '/admin/audit?account=copy', undefined, as('shop'));
  assert.partialDeepStrictEqual(log, { Audit: [{ Action: 'account.delete', Subject: 'copy', Who: 'shop' }] });
});
