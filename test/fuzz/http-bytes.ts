/**
 * Sends bytes to a socket of a real server: valid requests, pipelined, chunked, mutated in every way, cut into pieces
 * at any byte. Whatever is sent: no 5xx, all replies are HTTP, the connection ends soon after the client's end, the
 * process lives, and the server serves the next client.
 */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { ServerUnderTest } from '../support/server-under-test.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { bodyText } from './bodies.ts';
import { chance, fuzzEach, pick, type Fuzz, type Tally } from './fuzz.ts';
import { mutated, randomBytes } from './mutate-bytes.ts';
import { readReplies } from './read-replies.ts';

/** How long the server waits; a connection that takes much longer hangs. */
const timeoutMs = 3000;
const patienceMs = 60_000;
const config = `
http: { header_timeout_ms: ${timeoutMs}, request_timeout_ms: ${timeoutMs}, keep_alive_timeout_ms: ${timeoutMs} }
limits: { body_bytes_max: 20000, value_bytes_max: 10000, memtable_bytes_max: 1048576 }
`;
/** Some of them wait for a timeout of the server. */
const inFlight = 128;
const requestsMax = 20;
const checkEvery = 500;

export const fuzzHttp: Fuzz = async (seed, count, onProgress) => {
  const server = ServerUnderTest.prepare({ config });
  let passed = false;
  try {
    await server.start();
    let sent = 0;
    const one = async (random: SeededRandom, tally: Tally): Promise<void> => {
      await oneConnection(server, random, tally);
      sent += 1;
      if (sent % checkEvery === 0) await servesOthers(server, sent);
    };
    const report = await fuzzEach({ target: 'http', seed, count, onProgress, inFlight }, one);
    await servesOthers(server, sent);
    await server.stop();
    passed = true;
    return report;
  } finally {
    await server.dispose(passed);
  }
};

/** Checks that the server works, and that no request that was cut off counts as a write. */
async function servesOthers(server: ServerUnderTest, n: number): Promise<void> {
  const { Rev } = await server.ok('POST', '/db/other', { KVSet: { Key: 'k', Value: n } });
  const { KV } = await server.ok('POST', '/db/other', { KVGet: 'k' });
  assert.ok(KV[0]!.Version >= Rev);
  assert.equal((await server.call('GET', '/readyz')).status, 200);
}

async function oneConnection(server: ServerUnderTest, random: SeededRandom, tally: Tally): Promise<void> {
  const requests = Array.from({ length: 1 + random.below(requestsMax) }, () => aRequest(random));
  const valid = chance(random, 0.25);
  const bytes = valid ? Buffer.concat(requests) : spoilt(random, requests);
  const began = performance.now();
  const socket = server.connect();
  const received: Buffer[] = [];
  const replies = () => readReplies(Buffer.concat(received));
  const answered = Promise.withResolvers<void>();
  const closed = new Promise<string>((resolve) => {
    socket.on('data', (data: Buffer) => {
      received.push(data);
      if (valid && replies().statuses.length >= requests.length) answered.resolve();
    });
    socket.on('error', () => undefined);
    socket.on('end', () => socket.end());
    socket.on('close', (failed) => resolve(failed ? 'reset' : 'closed'));
  });
  await sendInPieces(socket, bytes, random);
  if (valid) await within(Promise.race([answered.promise, closed]), bytes);
  // The client destroys the socket, stays silent until the server closes, or ends cleanly.
  const ending = random.below(100);
  if (ending < 10 && !valid) socket.destroy();
  else if (ending > 10) socket.end();
  const end = await within(closed, bytes);
  const { statuses, problem } = replies();
  const shown = (): string =>
    `${JSON.stringify(bytes.toString('latin1').slice(0, 1500))} → ${Buffer.concat(received).toString('latin1').slice(0, 1500)}`;
  if (problem !== undefined) assert.fail(`${problem}: ${shown()}`);
  for (const status of statuses) {
    if (status >= 500) assert.fail(`${status} for ${shown()}`);
    tally.note(`status ${status}`);
  }
  if (valid && statuses.length !== requests.length) {
    // On a very slow machine, even a valid request may exceed the server's timeouts.
    if (performance.now() - began < timeoutMs) assert.fail(`every request has its reply: ${shown()}`);
    tally.note('valid, too slow');
  }
  // The server ignores everything after the request that broke the connection.
  tally.note('requests taken', Math.max(1, statuses.length));
  tally.note(valid ? 'valid connections' : statuses.length === 0 ? `no reply, ${end}` : 'spoilt, answered');
}

/**
 * Noise; or all of it mutated, which mostly ends the connection; or single bytes of some, so that most are read to the
 * end.
 */
function spoilt(random: SeededRandom, requests: readonly Buffer[]): Buffer {
  const bytes = Buffer.concat(requests);
  if (chance(random, 0.03)) return randomBytes(random, random.below(3000));
  if (chance(random, 0.3)) return mutated(random, bytes);
  return Buffer.concat(requests.map((request) => (chance(random, 0.5) ? oneByteChanged(random, request) : request)));
}

/** In the body, mostly, where there is one; the lines stay. */
function oneByteChanged(random: SeededRandom, request: Buffer): Buffer {
  const bytes = Buffer.from(request);
  const headEnd = bytes.indexOf('\r\n\r\n') + 4;
  const from = chance(random, 0.9) && headEnd < bytes.length ? headEnd : 0;
  const at = from + random.below(bytes.length - from);
  if (bytes[at] === 0x0d || bytes[at] === 0x0a) return bytes;
  bytes[at] = chance(random, 0.7) ? 0x20 + random.below(0x5f) : random.below(256);
  return bytes;
}

async function within<T>(something: Promise<T>, bytes: Buffer): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const hangs = (): void => {
      const asked = JSON.stringify(bytes.toString('latin1').slice(0, 1500));
      reject(new Error(`the connection hangs, ${patienceMs} ms after ${asked}`));
    };
    timer = setTimeout(hangs, patienceMs);
  });
  try {
    return await Promise.race([something, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function sendInPieces(socket: Socket, bytes: Buffer, random: SeededRandom): Promise<void> {
  socket.setNoDelay(true);
  const pieces = chance(random, 0.4) ? 1 : 1 + random.below(chance(random, 0.9) ? 5 : 60);
  const cuts = Array.from({ length: pieces - 1 }, () => random.below(bytes.length + 1)).toSorted((a, b) => a - b);
  for (const [i, end] of [...cuts, bytes.length].entries()) {
    if (socket.destroyed) return;
    socket.write(bytes.subarray(cuts[i - 1] ?? 0, end));
    if (i < cuts.length) await new Promise((resolve) => setImmediate(resolve));
  }
}

function aRequest(random: SeededRandom): Buffer {
  const [method, target, body] = pick(random, calls)(random);
  const head = [`${method} ${target} HTTP/1.1`, 'Host: localhost'];
  for (const header of extraHeaders) if (chance(random, 0.04)) head.push(header);
  if (body === undefined) return Buffer.from(`${head.join('\r\n')}\r\n\r\n`);
  const content = Buffer.from(body);
  head.push('Content-Type: application/json');
  if (chance(random, 0.7)) {
    head.push(`Content-Length: ${content.length}`);
    return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), content]);
  }
  head.push('Transfer-Encoding: chunked');
  const parts: Buffer[] = [Buffer.from(`${head.join('\r\n')}\r\n\r\n`)];
  for (let at = 0; at < content.length; ) {
    const chunk = content.subarray(at, at + 1 + random.below(40));
    const extension = chance(random, 0.05) ? ';name="value"' : '';
    parts.push(Buffer.from(`${chunk.length.toString(16)}${extension}\r\n`), chunk, Buffer.from('\r\n'));
    at += chunk.length;
  }
  parts.push(Buffer.from(chance(random, 0.05) ? '0\r\nTrailer: x\r\n\r\n' : '0\r\n\r\n'));
  return Buffer.concat(parts);
}

type Call = readonly [method: string, target: string, body?: string];

const calls: readonly ((random: SeededRandom) => Call)[] = [
  (random) => [
    'POST',
    '/db/fuzz',
    JSON.stringify({ KVSet: { Key: `k${random.below(9)}`, Value: 'x'.repeat(random.below(500)) } }),
  ],
  () => ['POST', '/db/fuzz', '[{"KVGet":["a","€"]},{"Atomic":{"Key":"n","Add":1}}]'],
  (random) => ['POST', '/db/fuzz', `{"LockID":"l${random.below(3)}","LockDur":0.01,"KVGet":"a"}`],
  () => ['POST', '/db/fuzz/kv/a%2Fb?ttl=1', '{"a":[1,2,3]}'],
  () => ['GET', '/db/fuzz/kv/k1'],
  () => ['DELETE', '/db/fuzz/kv/k2'],
  () => ['GET', '/db/fuzz/kv?prefix=k&limit=3'],
  () => ['POST', '/db/fuzz/counter/c?add=-3'],
  () => ['POST', '/db/fuzz/sequence/s?n=2'],
  () => ['POST', '/db/fuzz/mlock/m?dur=0.01'],
  () => ['POST', '/db/fuzz/lock/r?dur=0.01&id=me'],
  () => ['POST', '/watch/fuzz', '{"ID":"nothing","Wait":0.01}'],
  (random) => ['POST', '/db/fuzz', batchOf(random)],
  (random) => ['POST', '/db/fuzz', batchOf(random)],
  (random) => ['POST', '/db/fuzz', `[${batchOf(random)},${batchOf(random)}]`],
  () => ['GET', '/readyz'],
  () => ['GET', '/metrics'],
  () => ['POST', '/db/fuzz', `{"KVSet":{"Key":"large","Value":"${'y'.repeat(9000)}"}}`],
];

/** Any batch, right or wrong, but none that waits. */
function batchOf(random: SeededRandom): string {
  for (;;) {
    const text = bodyText(random, 'batch');
    if (!text.includes('Wait')) return text;
  }
}

const extraHeaders = [
  'Idempotency-Key: one',
  'Authorization: Bearer nobody',
  'Connection: keep-alive',
  'X-Forwarded-For: 1.2.3.4',
  'Accept-Encoding: gzip, deflate, br',
  'Cookie: a=b; c=d',
  `X-Long: ${'z'.repeat(3000)}`,
];
