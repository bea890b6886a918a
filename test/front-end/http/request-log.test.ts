import assert from 'node:assert/strict';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { RequestLog, traceOf, type EndedRequest } from '../../../src/front-end/request-log.ts';
import { badRange, logDefaults, type LogSettings } from '../../../src/front-end/request-log-settings.ts';
import { makeDoor } from './http-door-under-test.ts';

const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

/** A log whose timer fires when told. */
function logUnderTest(settings: Partial<LogSettings>, trustedProxies: readonly string[] = []) {
  const texts: string[] = [];
  const timers: (() => void)[] = [];
  let lost = 0;
  let takes = true;
  const log = new RequestLog({
    settings: { ...logDefaults, ...settings },
    trustedProxies,
    write: (text) => takes && texts.push(text) > 0,
    onLost: (lines) => (lost += lines),
    after: (_, run) => {
      timers.push(run);
      return () => {};
    },
  });
  return {
    log,
    texts,
    timers,
    lost: () => lost,
    refuse: () => (takes = false),
    lines: () =>
      texts.flatMap((text) =>
        text
          .trimEnd()
          .split('\n')
          .map((line) => JSON.parse(line) as LogLine),
      ),
  };
}

type LogLine = Readonly<Record<string, unknown>>;

function ended(more: Partial<EndedRequest> = {}): EndedRequest {
  const request = { method: 'GET', url: '/db/a/kv/k?x=1', headers: {} };
  const usual = { operation: 'kv_get', account: 'a', status: 200, ms: 1.234567, waits: false, bytes: 3 };
  return { ...usual, requestId: undefined, address: '10.0.0.4', request, ...more };
}

test('log.requests says which requests have a line, and what may wait is never slow', () => {
  for (const [status, ms, off, errors, slow, all] of [
    [200, 1, false, false, false, true],
    [409, 1, false, true, true, true],
    [200, 250, false, false, true, true],
    [500, 999, false, true, true, true],
  ] as const) {
    const got = (['off', 'errors', 'slow', 'all'] as const).map((requests) => wants(requests, status, ms));
    assert.deepEqual(got, [off, errors, slow, all], `${status} in ${ms} ms`);
  }
  assert.equal(wants('slow', 200, 60_000, true), false);
});

test('a line has no key unless told, and lines are written together when the time comes', () => {
  const { log, texts, timers, lines } = logUnderTest({ requests: 'all' });
  log.add(ended({ request: { headers: { traceparent: trace } } }), false);
  log.add(ended({ status: 409, requestId: 'b-0-1', waits: true }), true);
  assert.deepEqual(texts, []);
  assert.equal(timers.length, 1);
  timers[0]!();
  assert.equal(texts.length, 1);
  const [{ time: _, ...first } = {}, second = {}] = lines();
  assert.deepEqual(first, {
    level: 30,
    msg: 'request',
    operation: 'kv_get',
    account: 'a',
    status: 200,
    ms: 1.23,
    bytes: 3,
    address: '10.0.0.4',
    traceparent: trace,
  });
  assert.deepEqual(
    [second['level'], second['msg'], second['requestId'], second['waits']],
    [40, 'slow request', 'b-0-1', true],
  );
  assert.doesNotMatch(texts[0]!, /kv\/k|x=1/);
  const withKeys = logUnderTest({ requests: 'all', keys: true });
  withKeys.log.add(ended(), false);
  withKeys.log.flush();
  assert.equal(withKeys.lines()[0]?.['url'], '/db/a/kv/k?x=1');
});

test('what is collected is bounded, and what nobody takes is counted as lost', () => {
  const { log, texts, refuse, lost } = logUnderTest({ requests: 'all' });
  const long = ended({ operation: 'x'.repeat(1000) });
  for (let i = 0; i < 200; i += 1) log.add(long, false);
  assert.ok(texts.length >= 3);
  for (const text of texts) assert.ok(text.length <= 64 * 1024);
  refuse();
  for (let i = 0; i < 200; i += 1) log.add(long, false);
  log.flush();
  assert.ok(lost() >= 200, `${lost()} lost`);
});

test('the address is that of the connection; trusted proxies are passed by, and what they cannot know is not', () => {
  const proxies = ['10.0.0.0/8', '::1'];
  assert.equal(addressOf('1.2.3.4', '10.0.0.1', []), '10.0.0.1');
  assert.equal(addressOf('1.2.3.4', '10.0.0.1', proxies), '1.2.3.4');
  assert.equal(addressOf('6.6.6.6, 1.2.3.4, 10.1.1.1', '10.0.0.1', proxies), '1.2.3.4');
  assert.equal(addressOf('1.2.3.4', '11.0.0.1', proxies), '11.0.0.1');
  assert.equal(addressOf('1.2.3.4', '::1', proxies), '1.2.3.4');
  assert.equal(addressOf('not an address', '10.0.0.1', proxies), '10.0.0.1');
  assert.equal(addressOf(undefined, '10.0.0.1', proxies), '10.0.0.1');
});

test('a traceparent of another form than W3C’s is ignored', () => {
  assert.equal(traceOf(trace), trace);
  for (const bad of [
    undefined,
    '',
    'x',
    trace.toUpperCase(),
    `${trace}-more`,
    trace.replace('4bf92f3577b34da6a3ce929d0e0e4736', '0'.repeat(32)),
    trace.replace('00f067aa0ba902b7', '0'.repeat(16)),
    trace.replace('00-', 'ff-'),
    `${trace}\n`,
    [trace, trace],
  ])
    assert.equal(traceOf(bad), undefined, String(bad));
});

test('a trusted proxy is an address or a range', () => {
  for (const good of ['10.0.0.1', '10.0.0.0/8', '::1', 'fd00::/8']) assert.equal(badRange(good), undefined, good);
  for (const bad of ['', 'localhost', '10.0.0.0/33', '10.0.0.0/x', '10.0.0.0/8/8', 'fd00::/129', '10.0.0/8'])
    assert.match(badRange(bad) ?? '', /^expected an address or a range/, bad);
});

test('both ways of a request have lines: the fast lane and Node’s server, done and refused', async (t) => {
  const yaml =
    'tokens: [{token: long-enough-token, name: worker, accounts: [a], scopes: [read]}]\n' +
    'log: {requests: all, keys: true}\nhttp: {trusted_proxies: [127.0.0.1], fast_lane: true}';
  const door = makeDoor(t, yaml);
  await door.app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = door.app.server.address() as AddressInfo;
  const send = (path: string, headers: Record<string, string | string[]>): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const agent = false;
      const request = http.get({ port, path, headers, agent, host: '127.0.0.1' }, (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode));
      });
      request.on('error', reject);
    });
  const authorization = 'Bearer long-enough-token';
  const plain = { connection: 'keep-alive' };
  const forwarded = { 'x-forwarded-for': ['9.9.9.9', '1.2.3.4'], traceparent: trace };
  assert.equal(await send('/db/a/kv/lane', { authorization, ...plain, ...forwarded }), 200);
  assert.equal(await send('/db/b/kv/lane', { authorization, ...plain }), 403);
  assert.equal(await send('/db/a/kv/node', { authorization, connection: 'close', ...forwarded }), 200);
  assert.equal(await send('/db/a/kv/node', { connection: 'close' }), 401);
  assert.equal(await send('/nothing', {}), 404);
  await door.app.close();
  const lines = door.lines.flatMap((text) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as LogLine),
  );
  const seen = lines.map(({ url, status, token, address, traceparent }) => [url, status, token, address, traceparent]);
  assert.deepEqual(seen, [
    ['/db/a/kv/lane', 200, 'worker', '1.2.3.4', trace],
    ['/db/b/kv/lane', 403, undefined, '127.0.0.1', undefined],
    ['/db/a/kv/node', 200, 'worker', '1.2.3.4', trace],
    ['/db/a/kv/node', 401, undefined, '127.0.0.1', undefined],
    ['/nothing', 404, undefined, '127.0.0.1', undefined],
  ]);
  for (const line of lines.slice(1, 2)) assert.equal(typeof line['requestId'], 'string');
  assert.doesNotMatch(door.lines.join(''), /long-enough-token/);
});

function wants(requests: LogSettings['requests'], status: number, ms: number, waits = false): boolean {
  const { log } = logUnderTest({ requests });
  return log.wants(status, log.isSlow(ms, waits));
}

function addressOf(forwarded: string | undefined, address: string, trusted: readonly string[]): unknown {
  const { log, lines } = logUnderTest({ requests: 'all' }, trusted);
  const headers = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded };
  log.add(ended({ address, request: { headers } }), false);
  log.flush();
  return lines()[0]?.['address'];
}
