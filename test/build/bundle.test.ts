/** What the bundle has other than the sources: schemas without typebox, checks without Ajv, files that few servers load. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { build } from 'esbuild';
import { checkFile } from '../../build/compiled-checks.ts';
import { plainSchemas } from '../../build/server-bundle.ts';
import { openApiDocument } from '../../src/front-end/http/openapi/document.ts';
import { checkOptions, registered, type RegisteredSchema } from '../../src/front-end/schema-checks.ts';
import { serverProgram } from '../support/server-program.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const bundle = path.resolve(path.dirname(serverProgram), '..');

test('the schemas of the bundle are those of typebox, to the letter', async (t) => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-'));
  t.after(() => fs.rmSync(directory, { recursive: true }));
  const outfile = path.join(directory, 'schemas.mjs');
  await build({
    stdin: {
      contents: `
        import './src/front-end/http/parse/body-kinds.ts';
        import './src/main/config/config-file.ts';
        export { registered } from './src/front-end/schema-checks.ts';`,
      resolveDir: root,
    },
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    plugins: [plainSchemas],
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  });
  const plain = (await import(pathToFileURL(outfile).href)) as { registered: readonly RegisteredSchema[] };
  assert.ok(registered.length >= 13);
  assert.deepEqual(texts(plain.registered), texts(registered));
});

test('the document of the API is the same', async () => {
  const file = pathToFileURL(path.join(bundle, 'front-end/http/openapi/document.js')).href;
  const bundled = (await import(file)) as { openApiDocument: typeof openApiDocument };
  const paths = [{ pattern: '/livez', matches: /x/, methods: ['GET', 'HEAD'] as const }];
  assert.equal(JSON.stringify(bundled.openApiDocument(paths, '1')), JSON.stringify(openApiDocument(paths, '1')));
});

test('its checks tell the same of data that fit and that do not', () => {
  const require = createRequire(import.meta.url);
  let refused = 0;
  for (const one of registered) {
    const compiled = require(path.join(bundle, checkFile(one))) as ValidateFunction;
    const made = new Ajv(checkOptions(one.telling)).compile(one.schema);
    for (const data of samples(one.schema)) {
      assert.equal(compiled(data), made(data), JSON.stringify(data));
      assert.deepEqual(toldBy(compiled), toldBy(made), JSON.stringify(data));
      if ((made.errors ?? []).length > 0) refused++;
    }
  }
  assert.ok(refused > 50, `${refused} were refused`);
});

function texts(all: readonly RegisteredSchema[]): string[] {
  return all.map(({ schema, telling }) => `${telling} ${JSON.stringify(schema)}`).toSorted();
}

/** Wrong and right data for each member of an object. */
function samples(schema: object): unknown[] {
  const { properties = {} } = schema as { readonly properties?: object };
  const values = [7, -1.5, 'text', '', true, null, [], [7], {}, { Key: 'k', Value: 1 }, 'ä'.repeat(300)];
  return [
    7,
    'text',
    null,
    [],
    {},
    { unknown: 1 },
    [{}],
    ...Object.keys(properties).flatMap((name) => values.map((value) => ({ [name]: value }))),
  ];
}

function toldBy({ errors }: ValidateFunction): unknown[] {
  return (errors ?? []).map(
    ({ keyword, instancePath, schemaPath, params, message, parentSchema, data }: ErrorObject) => {
      return { keyword, instancePath, schemaPath, params, message, data, parentSchema: JSON.stringify(parentSchema) };
    },
  );
}

/** Kilobytes of the file of a thread, without blanks. Each keeps its text in memory, and reads all of it when it starts. */
const sizes: Readonly<Record<string, number>> = {
  'main/server.js': 1700,
  'front-end/front-end-thread.js': 1350,
  'dispatcher/dispatcher-thread.js': 400,
  'shard-worker/shard-thread.js': 600,
  'journal/journal-thread.js': 50,
  'storage/checkpoint/checkpoint-thread.js': 50,
  'backup/backup-thread.js': 150,
  'scripts/threads/script-thread.js': 70,
};

for (const [file, most] of Object.entries(sizes)) {
  test(`${file} has at most ${most} kB`, () => {
    const size = Math.ceil(fs.statSync(path.join(bundle, file)).size / 1000);
    assert.ok(size <= most, `it has ${size} kB: is there something new that few servers need? See lazyEntries`);
  });
}
