/** The OpenAPI document describes every route of the server, and what the server does fits it. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import { openApiDocument, type OpenApiDocument } from '../../../src/front-end/http/openapi/document.ts';
import type { Path } from '../../../src/front-end/http/paths.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';
import { openDoor } from '../../support/door-in-process.ts';
import { httpCall } from '../../support/http-calls.ts';
import { HttpCommands } from '../../support/http-commands.ts';
import { OpenApiChecker } from '../../support/openapi-checker.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import { makeDoor } from './http-door-under-test.ts';

test('every route of the server is described: a sentence, each parameter, each reply, its place on the page', async (t) => {
  const door = makeDoor(t);
  const document = (await door.send('GET', '/openapi.json')).json<OpenApiDocument>();
  assert.deepEqual(undescribed(document), []);
  const ids = Object.values(document.paths).flatMap((operations) =>
    Object.values(operations).map(({ operationId }) => operationId),
  );
  assert.ok(ids.length > 40, `${ids.length} operations`);
  assert.equal(new Set(ids).size, ids.length, 'each operation has an id of its own');
});

test('a route, a parameter or a reply that nobody has described is named', () => {
  const paths: Path[] = [
    { pattern: '/admin/new/:id', matches: /x/, methods: ['GET', 'HEAD', 'PUT'] },
    { pattern: '/livez', matches: /x/, methods: ['GET', 'HEAD'] },
    { pattern: '/ui/page.js', matches: /x/, methods: ['GET'] },
  ];
  assert.deepEqual(undescribed(openApiDocument(paths, '1')), [
    'get /admin/new/{name}: a summary',
    'get /admin/new/{name}: a reply',
    'put /admin/new/{name}: a summary',
    'put /admin/new/{name}: a reply',
  ]);
});

/** Says what is missing, and where to add it. */
function undescribed({ paths, tags }: OpenApiDocument): string[] {
  const missing: string[] = [];
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, { summary, parameters, responses, tags: own }] of Object.entries(operations)) {
      const where = `${method} ${path}`;
      if (summary === '') missing.push(`${where}: a summary`);
      for (const { name, description } of parameters)
        if (description === '') missing.push(`${where}: the meaning of ?${name} (openapi/parameter-texts.ts)`);
      const content = Object.values(responses['200']?.content ?? {});
      if (content.length === 0 || content.some(({ schema }) => Object.keys(schema).length === 0))
        missing.push(`${where}: a reply`);
      for (const tag of own)
        if (!tags.some(({ name }) => name === tag)) missing.push(`${where}: the tag ${tag} (openapi/tags.ts)`);
    }
  }
  return missing;
}

test('every reference of the document leads to a schema, and every schema is used and compiles', async (t) => {
  const door = makeDoor(t);
  const text = (await door.send('GET', '/openapi.json')).body;
  const document = JSON.parse(text) as OpenApiDocument;
  const used = new Set([...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name = '']) => name));
  assert.deepEqual([...used].toSorted(), Object.keys(document.components.schemas).toSorted());
  // A schema of no member would let any reply pass.
  for (const [name, schema] of Object.entries(document.components.schemas))
    assert.ok(Object.keys(schema.properties ?? {}).length > 0, name);
  assert.doesNotThrow(() => new OpenApiChecker(document));
});

test('the page needs no script and nothing from elsewhere, and its policy forbids both', async (t) => {
  const door = makeDoor(t);
  const { body, headers } = await door.send('GET', '/ui/api/');
  assert.equal(headers['content-type'], 'text/html; charset=utf-8');
  const style = /<style>([^]*?)<\/style>/.exec(body)?.[1] ?? assert.fail('there is a style');
  assert.equal(
    headers['content-security-policy'],
    `default-src 'none'; style-src 'sha256-${hash('sha256', style, 'base64')}'; base-uri 'none'; form-action 'none'; ` +
      "frame-ancestors 'none'",
  );
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.doesNotMatch(body, /<script|<img|<link|<iframe|\son\w+=|style="|javascript:|https?:\/\//i);
  for (const [, anchor = ''] of body.matchAll(/href="#([^"]+)"/g))
    assert.ok(body.includes(`id="${anchor}"`), `#${anchor} leads somewhere`);
  for (const id of ['kv_get', 'batch', 'watch_stream', 'schema-Failure']) assert.ok(body.includes(`id="${id}"`), id);
});

test('both are answered without a token and while the server starts, and HEAD has no body', async (t) => {
  const door = makeDoor(t, 'tokens: [{token: long-enough-token, accounts: "*", scopes: [read]}]');
  door.state = 'starting';
  for (const url of ['/openapi.json', '/ui/api/']) {
    assert.equal((await door.send('GET', url)).statusCode, 200);
    const head = await door.app.inject({ method: 'HEAD', url });
    assert.deepEqual([head.statusCode, head.body], [200, '']);
    assert.equal((await door.send('POST', url)).statusCode, 405);
  }
});

test('the replies to random commands fit the document, member by member and code by code', async (t) => {
  const seed = Math.floor(Math.random() * 1e9);
  t.diagnostic(`seed ${seed}`);
  const { app } = await openDoor(t, 2);
  const checker = new OpenApiChecker((await app.inject({ url: '/openapi.json' })).json<OpenApiDocument>());
  const commands = new HttpCommands(seededRandom(seed), { things: 4 });
  const seen = new Set<string>();
  for (let i = 0; i < 300; i += 1) {
    const { method, target, body, headers = {} } = httpCall(withoutWaits(commands.next()));
    const text = body === undefined ? '' : JSON.stringify(body);
    const type = text === '' ? {} : { 'content-type': 'application/json' };
    // oxlint-disable-next-line no-await-in-loop -- one after the other, so that a seed is a run
    const reply = await app.inject({ method, url: target, headers: { ...headers, ...type }, payload: text });
    const message = { method, target, body: text, contentType: 'application/json' };
    const operation = checker.check({ ...message, status: reply.statusCode, reply: reply.body });
    seen.add(`${operation} ${reply.statusCode}`);
  }
  for (const one of ['batch 200', 'batch 409', 'kv_get 200', 'counter_add 200', 'lock_acquire 200', 'mutex_lock 200'])
    assert.ok(seen.has(one), `${one} is among ${[...seen].join(', ')}`);
});

function withoutWaits(command: Command): Command {
  if (command.kind === 'mutex.lock') return { ...command, lock: { ...command.lock, waitMs: 0 } };
  if (command.kind !== 'batch') return command;
  const { lock, locks, limit, dequeue } = command;
  return {
    ...command,
    // The clock stands still, so a wait would have no end.
    ...(dequeue !== undefined && { dequeue: { ...dequeue, waitMs: 0 } }),
    ...(lock !== undefined && { lock: { ...lock, waitMs: 0 } }),
    ...(locks !== undefined && { locks: locks.map((one) => ({ ...one, waitMs: 0 })) }),
    ...(limit !== undefined && { limit: limit.map((one) => ({ ...one, waitMs: 0 })) }),
  };
}
