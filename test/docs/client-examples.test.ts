/**
 * Runs the `ts` examples of the documents named below one after the other, each as a module, against one server and one
 * DynamoDB in memory. A `text` block right after an example is its expected output. An example that
 * makes no client or store gets one.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { startDynamoDb } from '../client/store/dynamodb-under-test.ts';
import { fences, readDoc } from './markdown.ts';
import { root, startServer, temporaryDirectory } from './server-child.ts';

const entries = {
  "'dragonlock'": JSON.stringify(path.join(root, 'src/client/exports.ts')),
  "'dragonlock/webhook'": JSON.stringify(path.join(root, 'src/client/webhook.ts')),
  "'dragonlock/store'": JSON.stringify(path.join(root, 'src/client/store/exports.ts')),
} as const;
const patienceMs = 60_000;
const separator = '---';

interface Example {
  readonly place: string;
  readonly code: string;
  readonly prints: string | undefined;
}

test('docs/client.md: every example compiles and prints its output', (t) => runExamples(t, ['docs/client.md'], 14));

test('docs/queues.md: every example compiles and prints its output', (t) => runExamples(t, ['docs/queues.md'], 3));

test('docs/tasks.md: every example compiles and prints its output', (t) => runExamples(t, ['docs/tasks.md'], 6));

test('README.md, quick start, tutorials and migration: every example compiles and prints its output', (t) => {
  const tutorials = ['tutorials', 'migrating'].flatMap((folder) =>
    fs.readdirSync(path.join(root, 'docs', folder)).map((name) => `docs/${folder}/${name}`),
  );
  return runExamples(t, ['README.md', 'docs/quick-start.md', ...tutorials], 10);
});

test('docs/store.md: every example compiles and prints its output', async (t) => {
  const dynamoDb = await startDynamoDb({ withTable: false });
  t.after(() => dynamoDb.close());
  await runExamples(t, ['docs/store.md'], 5, dynamoDb.environment);
});

async function runExamples(
  t: TestContext,
  documents: readonly string[],
  atLeast: number,
  environment: Readonly<Record<string, string>> = {},
): Promise<void> {
  const examples = documents.flatMap((file) => examplesIn(file, readDoc(file)));
  assert.ok(examples.length >= atLeast, `${examples.length} examples`);
  const directory = temporaryDirectory(t);
  // Receivers of requests are on this computer.
  const config = path.join(directory, 'config.yml');
  fs.writeFileSync(config, 'tasks: {allow: [127.0.0.1]}\n');
  const { url } = await startServer(t, path.join(directory, 'data'), config);
  fs.symlinkSync(path.join(root, 'node_modules'), path.join(directory, 'node_modules'));
  fs.writeFileSync(path.join(directory, 'package.json'), '{"type":"module"}');
  const files = examples.map(({ code }, i) => {
    fs.writeFileSync(path.join(directory, `example-${i}.ts`), moduleOf(code, url));
    return `example-${i}.ts`;
  });
  compile(directory, files);
  const main = files.map((name) => `console.log(${JSON.stringify(separator)});\nawait import('./${name}');\n`);
  fs.writeFileSync(path.join(directory, 'main.ts'), main.join(''));
  const child = spawn(process.execPath, [path.join(directory, 'main.ts')], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: patienceMs,
    env: { ...process.env, DRAGONLOCK_URL: url, DRAGONLOCK_ACCOUNT: 'demo', ...environment },
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  const printed = stdout.split(`${separator}\n`).slice(1);
  for (const [i, { place, prints }] of examples.slice(0, printed.length).entries()) {
    if (prints !== undefined) assert.equal(masked(printed[i]!), masked(prints), `${place}: ${stderr}`);
  }
  assert.equal(child.exitCode, 0, `after ${examples[printed.length - 1]?.place}: ${stderr}`);
  assert.equal(printed.length, examples.length);
}

function examplesIn(file: string, markdown: string): Example[] {
  const blocks = fences(markdown);
  return blocks.flatMap((block, index) => {
    if (block.info !== 'ts') return [];
    const next = blocks[index + 1];
    return [
      { place: `${file}:${block.line}`, code: block.text, prints: next?.info === 'text' ? next.text : undefined },
    ];
  });
}

function moduleOf(code: string, url: string): string {
  let own = code.replaceAll('http://localhost:8081', url);
  for (const [name, entry] of Object.entries(entries)) own = own.replaceAll(name, entry);
  const needsClient = !own.includes('client =');
  const needsStore = /\bstore\./.test(own) && !own.includes('const store =');
  const given = [
    needsClient && !own.includes('DragonLock }') && `import { DragonLock } from ${entries["'dragonlock'"]};`,
    needsStore && `import { DragonLockStore } from ${entries["'dragonlock/store'"]};`,
    needsClient && 'await using client = new DragonLock();',
    needsStore && 'const store = new DragonLockStore({ client });',
  ];
  return `${given.filter((line) => line !== false).join('\n')}\n${own}\nexport {};\n`;
}

/** Type-checks the examples as a user's compiler would. */
function compile(directory: string, files: readonly string[]): void {
  const config = path.join(directory, 'tsconfig.json');
  const extending = path.join(root, 'tsconfig.json');
  const compilerOptions = { noUnusedLocals: false, typeRoots: [path.join(root, 'node_modules/@types')] };
  fs.writeFileSync(config, JSON.stringify({ extends: extending, compilerOptions, include: [], files }));
  const tsc = path.join(root, 'node_modules/typescript/bin/tsc');
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', config], {
    encoding: 'utf8',
    timeout: patienceMs,
  });
  assert.equal(status, 0, stdout);
}

/** Hides the fences, which differ from run to run. */
function masked(text: string): string {
  return text.trimEnd().replaceAll(/(fence) \d+/g, '$1 #');
}
