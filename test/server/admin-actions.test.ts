/** Calls that change the server as a whole, over any of its front ends. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { eventually, ServerUnderTest } from '../support/server-under-test.ts';

const headers = { authorization: 'Bearer t-ops' };
const config = `
http: {threads: 2}
log: {level: info}
tokens: [{token: t-ops, name: ops, accounts: '*', scopes: [read, write, force, admin, operator]}]
`;

test('PUT /admin/log-level: more is logged, for a while, and the audit log says who asked', async (t) => {
  const server = await ServerUnderTest.forTest(t, { config });
  const put = (query: string): Promise<Record<string, unknown>> =>
    server.ok('PUT', `/admin/log-level?${query}`, undefined, { headers }) as Promise<unknown> as Promise<
      Record<string, unknown>
    >;
  const reply = await put('level=debug&for=0.2');
  assert.deepEqual([reply['Level'], reply['Configured']], ['debug', 'info']);
  assert.ok(Number(reply['UntilMs']) > 1e12);
  const told = (words: string): Promise<void> =>
    eventually(words, () => Promise.resolve(server.logs.some(({ msg }) => msg === words)));
  await told('The log level is debug for 0.2 s');
  await told('The log level is info again');
  for (const query of ['', '?level=loud', '?level=info&for=0', '?level=info&for=86401'])
    await server.fails('invalid', 'PUT', `/admin/log-level${query}`, undefined, { headers });
  const log = await server.call('GET', '/admin/audit?action=server.log_level', undefined, { headers });
  assert.match(log.text, /"Who":"ops".*"Subject":"debug for 0.2 s"/);
});

test('POST /admin/drain: whoever waits is told, the server ends with 0, and the next start knows who asked', async (t) => {
  const server = await ServerUnderTest.forTest(t, { config });
  await server.ok('POST', '/db/acc/lock/l?owner=a&dur=60', undefined, { headers });
  const waits = server.fails('draining', 'POST', '/db/acc/lock/l?owner=b&dur=60&wait=60', undefined, { headers });
  await server.waiters(1);
  const reply = (await server.ok('POST', '/admin/drain', undefined, { headers })) as unknown;
  assert.equal((reply as { Draining: boolean }).Draining, true);
  await waits;
  assert.equal(await server.exitCode(), 0);
  await server.start();
  const log = await server.call('GET', '/admin/audit?action=server.drain', undefined, { headers });
  assert.match(log.text, /"Who":"ops"/);
  await server.fails('not_locked', 'POST', '/db/acc/lock/l?owner=b&dur=60', undefined, { headers });
});

test('a reload takes the log of requests over', async (t) => {
  const server = await ServerUnderTest.forTest(t, { config });
  const seen = (): number => server.logs.filter(({ msg }) => msg === 'request').length;
  await server.ok('POST', '/db/acc/kv/a', 1, { headers });
  const changed = config.replace('level: info', 'level: info, requests: all');
  fs.writeFileSync(path.join(server.directory, 'config.yml'), changed);
  const reply = (await server.ok('POST', '/admin/reload', undefined, { headers })) as unknown;
  assert.deepEqual((reply as { Changed: string[]; NeedRestart: string[] }).Changed, ['log.requests']);
  assert.deepEqual((reply as { NeedRestart: string[] }).NeedRestart, []);
  await eventually('it is logged', async () => {
    await server.ok('POST', '/db/acc/kv/a', 2, { headers });
    return seen() > 0;
  });
});
