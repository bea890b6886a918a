/** What the fast lane reads from bytes; `test/fuzz/lane.ts` compares any bytes with Node's parser. */
import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { test } from 'node:test';
import { LaneRoutes } from '../../../../src/front-end/http/lane/lane-routes.ts';
import { RequestReader } from '../../../../src/front-end/http/lane/request-reader.ts';
import type { DataCall } from '../../../../src/front-end/http/data-route.ts';
import { fuzzLane } from '../../../fuzz/lane.ts';

const socket = new Socket();
const routes = new LaneRoutes();
for (const route of ['POST /db/:acc', 'GET /db/:acc/kv/*', 'POST /db/:acc/kv/*']) {
  const [method = '', url = ''] = route.split(' ');
  routes.add(method, url, { operation: route } as unknown as DataCall);
}

function newReader(bodyMax = 1_000_000): RequestReader {
  return new RequestReader(socket, { routes, bodyMax, isRefused: () => false });
}

/** Reads all that is there. */
function readAll(reader: RequestReader, text: string): (string | readonly [string, unknown])[] {
  reader.give(Buffer.from(text));
  const seen: (string | readonly [string, unknown])[] = [];
  while (reader.keptBytes > 0) {
    const read = reader.next();
    seen.push(typeof read === 'string' ? read : [read.url, read.body?.toString()]);
    if (typeof read === 'string') break;
  }
  return seen;
}

const get = 'GET /db/a/kv/k HTTP/1.1\r\nHost: a\r\n\r\n';
const post = 'POST /db/a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"€"';

function long(bytes: number): string {
  return `GET /db/a/kv/k HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(bytes)}`;
}

function body(bytes: number): string {
  return `POST /db/a HTTP/1.1\r\nHost: a\r\nContent-Length: ${bytes}\r\n\r\n`;
}

test('lane: what it takes, and what it leaves, is what Node’s parser reads', async (t) => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const report = await fuzzLane(seed, 8000);
  t.diagnostic(JSON.stringify({ seed, ...report }));
  assert.ok((report.seen['taken'] ?? 0) > 4000);
});

test('lane: requests are whole or incomplete, wherever the bytes are cut', () => {
  for (let cut = 1; cut < Buffer.byteLength(post); cut += 1) {
    const reader = newReader();
    const bytes = Buffer.from(get + post);
    const at = Buffer.byteLength(get) + cut;
    reader.give(bytes.subarray(0, at));
    assert.equal((reader.next() as { url: string }).url, '/db/a/kv/k');
    assert.equal(reader.next(), 'incomplete', `cut at ${cut}`);
    reader.give(bytes.subarray(at));
    assert.equal(String((reader.next() as { body: Buffer }).body), '"€"');
    assert.equal(reader.keptBytes, 0);
  }
});

test('lane: heads over 8 KiB, bodies over 64 KiB or the limit, and what is no request are left at once', () => {
  assert.deepEqual(readAll(newReader(), `${long(8000)}\r\n\r\n${get}`).length, 2);
  assert.deepEqual(readAll(newReader(), long(9000)), ['head']);
  assert.deepEqual(readAll(newReader(), `${long(9000)}\r\n\r\n`), ['head']);
  assert.deepEqual(readAll(newReader(), body(64 * 1024)), ['incomplete']);
  assert.deepEqual(readAll(newReader(), body(64 * 1024 + 1)), ['body']);
  assert.deepEqual(readAll(newReader(1000), body(1001)), ['body']);
  for (const other of ['\x16\x03\x01', 'PUT', 'GET /\x00', 'GET /db/a HTTP/1.1\nHost', '\r\n', 'HTTP/1.1 200 OK\r\n']) {
    const read = readAll(newReader(), other);
    assert.deepEqual(read, other === 'PUT' ? ['incomplete'] : ['head'], JSON.stringify(other));
  }
});

test('lane: of a request that is left, and of all after it, every byte is there for Node’s parser', () => {
  const reader = newReader();
  const rest = `GET /livez HTTP/1.1\r\nHost: a\r\n\r\n${get}`;
  assert.deepEqual(readAll(reader, get + post + rest), [['/db/a/kv/k', undefined], ['/db/a', '"€"'], 'head']);
  reader.give(Buffer.from(post));
  assert.equal(reader.takeRest().toString(), rest + post);
});
