/** What generated clients rely on is still there, release by release; what is not, CHANGELOG.md says under "Breaks". */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { OpenApiDocument } from '../../src/front-end/http/openapi/document.ts';
import { makeDoor } from '../front-end/http/http-door-under-test.ts';
import { brokenPromises, promisesOf } from '../support/openapi-promises.ts';
import { root } from './server-child.ts';

const fixtures = path.join(root, 'test/fixtures');
const releases = fs
  .readdirSync(fixtures)
  .filter((name) => fs.existsSync(path.join(fixtures, name, 'api.txt')))
  .toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }));

test('nothing of the API of the last release is gone, and nothing more is demanded, but for what breaks by intent', async (t) => {
  const last = releases.at(-1) ?? assert.fail('npm run fixture makes api.txt');
  const before = fs
    .readFileSync(path.join(fixtures, last, 'api.txt'), 'utf8')
    .trimEnd()
    .split('\n');
  const now = promisesOf((await makeDoor(t).send('GET', '/openapi.json')).json<OpenApiDocument>());
  assert.ok(before.length > 500);
  const told = breaksTold(fs.readFileSync(path.join(root, 'CHANGELOG.md'), 'utf8'));
  const broken = brokenPromises(before, now).filter((line) => !told.some((operation) => line.includes(operation)));
  const how =
    `Clients that were generated from the document of ${last} break. Say so in CHANGELOG.md under "### Breaks", with the ` +
    'operation or schema in backquotes; if that version was not released yet: npm run fixture -- api';
  assert.deepEqual(broken, [], how);
});

test('a path, a member or a code that is gone, another type, and what is required anew are named', () => {
  assert.deepEqual(
    compare((text) => text),
    [],
  );
  for (const [from, to, expected] of [
    ['"/a"', '"/b"', /^gone: GET \/a is getA$/m],
    ['"locked"', '"lost"', /^gone: GET \/a 409 locked$/m],
    ['"Old"', '"New"', /^gone: Thing\.Old: string$/m],
    ['"Old":{"type":"string"}', '"Old":{"type":"number"}', /^gone: Thing\.Old: string$/m],
    ['"required":[]', '"required":["Key"]', /^new: GET \/a takes application\/json\.Key, required$/m],
    ['"in":"query",', '"in":"query","required":true,', /^new: GET \/a query ttl: number, required$/m],
  ] as const)
    assert.match(compare((text) => text.replace(from, to)).join('\n'), expected);
  assert.deepEqual(
    compare((text) => text.replace('"Old":', '"More":{"type":"string"},"Old":')),
    [],
    'more is no harm',
  );
});

function compare(change: (text: string) => string): string[] {
  const changed = JSON.parse(change(JSON.stringify(small))) as OpenApiDocument;
  return brokenPromises(promisesOf(small), promisesOf(changed));
}

/** Of the newest version. */
function breaksTold(changelog: string): string[] {
  const [, newest = ''] = changelog.split(/^## /m);
  const [, breaks = ''] = newest.split(/^### Breaks$/m);
  return [...(breaks.split(/^###? /m)[0] ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
}

const small = {
  openapi: '3.1.0',
  info: {},
  servers: [],
  tags: [],
  paths: {
    '/a': {
      get: {
        operationId: 'getA',
        tags: [],
        summary: '',
        parameters: [{ name: 'ttl', in: 'query', description: '', schema: { type: 'number' } }],
        requestBody: {
          required: true,
          content: {
            'application/json': { schema: { type: 'object', properties: { Key: { type: 'string' } }, required: [] } },
          },
        },
        responses: {
          200: { description: '', content: { 'application/json': { schema: { $ref: '#/components/schemas/Thing' } } } },
          409: { description: '', 'x-codes': ['locked'] },
        },
        security: [],
      },
    },
  },
  components: { schemas: { Thing: { type: 'object', properties: { Old: { type: 'string' } } } }, securitySchemes: {} },
} satisfies OpenApiDocument;
