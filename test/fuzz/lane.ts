/**
 * The fast lane's reader beside Node's own parser, on the same bytes, cut anywhere. What the lane takes, Node must read
 * alike: method, target, headers, body, and the route and names that Fastify's router finds for it. What the lane leaves
 * must be the rest of what Node reads. A front proxy that sees other requests than we do could be made to smuggle some.
 */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { Socket } from 'node:net';
import { LaneRoutes } from '../../src/front-end/http/lane/lane-routes.ts';
import type { LaneRequest } from '../../src/front-end/http/lane/lane-request.ts';
import { RequestReader } from '../../src/front-end/http/lane/request-reader.ts';
import type { DataCall } from '../../src/front-end/http/data-route.ts';
import { routeOf } from '../../src/protocol/operations/call.ts';
import { callList } from '../../src/protocol/operations/operations.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { chance, fuzzEach, pick, type Fuzz, type Tally } from './fuzz.ts';
import { mutated } from './mutate-bytes.ts';
import { parseByNode, type ParsedRequest } from './node-parser.ts';

interface Router {
  on(method: string, path: string, handler: () => DataCall): void;
  find(
    method: string,
    path: string,
  ): { readonly handler: unknown; readonly params: object; searchParams: { readonly text: string } } | null;
}

const fastifyRequire = createRequire(createRequire(import.meta.url).resolve('fastify'));
const findMyWay = fastifyRequire('find-my-way') as (options: object) => Router;

const bodyMax = 2000;
const socket = new Socket();
const handlers = new Map<DataCall, () => DataCall>();
const routes = new LaneRoutes();
const router = findMyWay({ maxParamLength: 16 * 1024, querystringParser: (text: string) => ({ text }) });
addRoute('POST', '/db/:acc');
addRoute('POST', '/watch/:acc');
for (const [, { method, path }] of callList) addRoute(method, routeOf({ path }));

function addRoute(method: string, url: string): void {
  // The reader only passes it on.
  const call = { operation: `${method} ${url}` } as unknown as DataCall;
  const handler = (): DataCall => call;
  handlers.set(call, handler);
  routes.add(method, url, call);
  router.on(method, url, handler);
}

export const fuzzLane: Fuzz = (seed, count, onProgress) =>
  fuzzEach({ target: 'lane', seed, count, onProgress }, oneConnection);

function oneConnection(random: SeededRandom, tally: Tally): void {
  const requests = Array.from({ length: 1 + random.below(4) }, () => aRequest(random));
  let bytes = Buffer.concat(requests);
  if (chance(random, 0.05)) bytes = Buffer.from(mutated(random, bytes));
  if (chance(random, 0.15)) bytes = oneByteSpoilt(random, bytes);
  try {
    compare(bytes, cuts(random, bytes.length), tally);
  } catch (error) {
    throw new Error(`${JSON.stringify(bytes.toString('latin1'))}: ${String(error)}`, { cause: error });
  }
}

function compare(bytes: Buffer, ends: readonly number[], tally: Tally): void {
  const taken: LaneRequest[] = [];
  const { rest, end } = readByLane(bytes, ends, taken);
  const all = parseByNode(bytes);
  assert.ok(all.requests.length >= taken.length, `Node reads ${all.requests.length}, the lane ${taken.length}`);
  for (const [i, request] of taken.entries()) assertSame(request, all.requests[i]!);
  const afterwards = parseByNode(rest);
  assert.deepEqual(afterwards.requests, all.requests.slice(taken.length), 'the rest is another');
  assert.equal(afterwards.error, all.error);
  tally.note('taken', taken.length);
  tally.note(`then ${end}`);
}

function readByLane(bytes: Buffer, ends: readonly number[], taken: LaneRequest[]) {
  const reader = new RequestReader(socket, { routes, bodyMax, isRefused: ({ host }) => host === 'evil' });
  let at = 0;
  let end: string = 'incomplete';
  for (const cut of ends) {
    reader.give(Buffer.from(bytes.subarray(at, cut)));
    at = cut;
    while (reader.keptBytes > 0) {
      const read = reader.next();
      end = typeof read === 'string' ? read : 'taken';
      if (typeof read === 'string') break;
      taken.push(read);
    }
    if (end === 'head' || end === 'body') break;
  }
  return { rest: Buffer.concat([reader.takeRest(), bytes.subarray(at)]), end };
}

function assertSame(request: LaneRequest, parsed: ParsedRequest): void {
  const { version, method, url, headers, keepsAlive, isWhole } = parsed;
  assert.deepEqual([method, url, version, keepsAlive, isWhole], [request.method, request.url, '1.1', true, true]);
  const body = request.body ?? '';
  assert.equal(typeof body === 'string' ? body : body.toString('latin1'), parsed.body);
  const of = (name: string): string[] => headers.filter(([other]) => other === name).map(([, value]) => value);
  assert.equal(of('host').length, 1);
  assert.notEqual(of('host')[0], 'evil');
  for (const name of read) {
    const own = (request.headers as Readonly<Record<string, string | undefined>>)[name];
    assert.deepEqual(of(name), own === undefined ? [] : [own], name);
  }
  for (const name of never) assert.deepEqual(of(name), [], name);
  const found = router.find(method, url);
  assert.ok(found !== null && found.handler === handlers.get(request.call), `the route of ${url}`);
  assert.deepEqual({ ...found.params }, paramsOf(request), `the names of ${url}`);
  assert.equal(found.searchParams.text, request.query.text, `the query of ${url}`);
}

function paramsOf({ params, url }: LaneRequest): object {
  return /^\/\w+\/[^/?]+\/\w+\//.test(url) ? params : { acc: params.acc };
}

const read = ['host', 'content-length', 'content-type', 'authorization', 'idempotency-key', 'origin'];
/** They change what a request is, or what is answered. */
const never = ['transfer-encoding', 'content-encoding', 'expect', 'upgrade', 'te', 'trailer', 'last-event-id'];

function cuts(random: SeededRandom, length: number): number[] {
  const most = chance(random, 0.5) ? 1 : chance(random, 0.9) ? 4 : length;
  const inner = Array.from({ length: random.below(most) }, () => random.below(length + 1));
  return [...inner, length].toSorted((a, b) => a - b);
}

function oneByteSpoilt(random: SeededRandom, bytes: Buffer): Buffer<ArrayBuffer> {
  const spoilt = Buffer.from(bytes);
  if (spoilt.length > 0) spoilt[random.below(spoilt.length)] = pick(random, sharp).charCodeAt(0);
  return spoilt;
}

/** Characters that mean something to a parser. */
const sharp = ['\r', '\n', ' ', '\t', ':', '\0', '\x7f', '\x80', 'é', '%', '?', '#', '/', '0', '-', ',', ';', '"'];

function aRequest(random: SeededRandom): Buffer {
  const method = chance(random, 0.95) ? pick(random, ['POST', 'POST', 'GET', 'DELETE']) : pick(random, odd.methods);
  const usual = pick(random, targets[method] ?? Object.values(targets).flat());
  const target = chance(random, 0.95) ? usual(random) : pick(random, odd.targets);
  const version = chance(random, 0.97) ? 'HTTP/1.1' : pick(random, odd.versions);
  const body = method === 'POST' || chance(random, 0.03) ? pick(random, bodies)(random) : undefined;
  const lines = [chance(random, 0.97) ? 'Host: localhost' : pick(random, odd.hosts)];
  for (const line of plainLines) if (chance(random, 0.25)) lines.push(line(random));
  if (chance(random, 0.06)) lines.splice(random.below(lines.length + 1), 0, pick(random, odd.lines));
  if (body !== undefined && chance(random, 0.97)) lines.push(`Content-Length: ${Buffer.byteLength(body)}`);
  const eol = chance(random, 0.98) ? '\r\n' : '\n';
  const head = [`${method} ${target} ${version}`, ...lines].map((line) => `${line}${eol}`).join('');
  return Buffer.concat([Buffer.from(`${head}${eol}`, 'latin1'), Buffer.from(body ?? '')]);
}

const targets: Readonly<Record<string, readonly ((random: SeededRandom) => string)[]>> = {
  POST: [
    () => '/db/acc',
    (random) => `/db/a${random.below(3)}/kv/k${random.below(9)}`,
    () => '/db/acc/kv/a/b;c=d+e?if=1&x=%20y',
    () => '/db/acc/kv/caf%C3%A9%2Fb%2541',
    () => '/db/acc/counter/c?add=-3',
    () => '/db/acc/lock/l?dur=1',
    () => '/watch/acc',
  ],
  GET: [
    () => '/db/acc/kv?prefix=a%2F&limit=3',
    () => '/db/acc/kv/a?b?c=d',
    (random) => `/db/acc/kv/${'k'.repeat(random.below(200))}`,
    () => '/db/acc/lock',
    () => '/db/acc/kv/%40%24%2fx',
  ],
  DELETE: [(random) => `/db/acc/kv/k${random.below(9)}`, () => '/db/acc/lock/l?owner=x'],
};

const plainLines: readonly ((random: SeededRandom) => string)[] = [
  () => 'Content-Type: application/json',
  () => 'content-type:text/plain',
  () => 'Authorization: Bearer one',
  (random) => `Idempotency-Key: ${random.below(1000)}`,
  () => 'Origin: http://localhost',
  () => 'User-Agent: fuzz/1.0 (a; b)',
  () => 'Accept:  */*  ',
  () => 'Connection: keep-alive',
  () => 'Connection: Keep-Alive',
  () => 'Cookie: a=b\t; c=d',
  (random) => `X-Long: ${'z'.repeat(random.below(chance(random, 0.1) ? 9000 : 300))}`,
];

const bodies: readonly ((random: SeededRandom) => string)[] = [
  () => '',
  () => '{"KVGet":"k"}',
  () => '{"KVSet":{"Key":"€","Value":"\u{1f600}"}}',
  () => 'GET /db/acc/kv/inner HTTP/1.1\r\nHost: x\r\n\r\n',
  (random) => 'b'.repeat(random.below(chance(random, 0.2) ? 3000 : 100)),
];

const odd = {
  methods: ['PUT', 'HEAD', 'get', 'POSTS', 'OPTIONS', 'PRI', '\r\nPOST', 'GET ', ''],
  targets: [
    '/livez',
    '/db/acc/kv/',
    '/db/acc/kv',
    '/watch/acc',
    '*',
    'http://localhost/db/acc',
    '/db/acc/kv/%zz',
    '/db/a%63c',
    '//db/acc',
    '/db//kv/x',
    '/db/acc/kvx',
    '/db/acc/KV/x',
    '/db/acc#x',
    '/db/é',
    `/db/${'a'.repeat(65)}`,
    '/db/acc/%6bv/x',
    '',
  ],
  versions: ['HTTP/1.0', 'HTTP/1.2', 'HTTP/2.0', 'http/1.1', 'HTTP/1.1 ', 'HTTP/1.10', ''],
  hosts: ['X-Host: none', 'Host: evil', 'Host:', 'Host: a\r\nHost: b', 'Host : localhost', 'Host: é'],
  lines: [
    'Content-Length: 5',
    'Content-Length: +5',
    'Content-Length: 05',
    'Content-Length: 5, 5',
    'Content-Length: 1e1',
    'Content-Length: 99999999999999999999',
    'Content-Length:',
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: identity',
    'Transfer-Encoding : chunked',
    'Content-Encoding: gzip',
    'Connection: close',
    'Connection: keep-alive, close',
    'Connection: upgrade',
    'Proxy-Connection: close',
    'Upgrade: websocket',
    'Expect: 100-continue',
    'TE: trailers',
    'Trailer: x',
    'Last-Event-ID: 4',
    'Host: second',
    'Authorization: Bearer two',
    'Content-Type: text/html',
    'Idempotency-Key: other',
    'X-Folded: a\r\n b',
    'X\t: tab before the colon',
    'Transfer\u00a0Encoding: chunked',
    ': no name',
    'no colon',
    'X-Nul: \0',
    'X-High: \xff',
    'X-CR: a\rb',
    'X-LF: a\nContent-Length: 3',
    'Connection: \tkeep-alive \t',
    'Content-Length:\t7 ',
    ' X: blank before the name',
  ],
} as const;
