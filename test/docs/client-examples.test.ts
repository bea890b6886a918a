/**
 * Runs the `ts` examples of docs/client.md, each a module of its own, one after the other against one server; a `text`
 * block right behind one is what it must print. An example that does not make a client of its own is given one, and with
 * it every name of the package that it uses without importing it.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fences, readDoc } from './markdown.ts';
import { root, startServer, temporaryDirectory } from './server-child.ts';

const file = 'docs/client.md';
const entry = path.join(root, 'src/client/exports.ts');
const patienceMs = 60_000;
const separator = '---';

interface Example {
  readonly place: string;
  readonly code: string;
  readonly prints: string | undefined;
}

void test(`${file}: every example compiles, and prints what it says`, async (t) => {
  const examples = examplesIn(readDoc(file));
  assert.ok(examples.length >= 12, `${examples.length} examples`);
  const directory = temporaryDirectory(t);
  const { url } = await startServer(t, path.join(directory, 'data'));
  fs.writeFileSync(path.join(directory, 'package.json'), '{"type":"module"}');
  const files = examples.map(({ code }, i) => {
    fs.writeFileSync(path.join(directory, `example-${i}.ts`), moduleOf(code, url));
    return `example-${i}.ts`;
  });
  compile(directory, files);
  const main = files.map((name) => `console.log(${JSON.stringify(separator)});\nawait import('./${name}');\n`);
  fs.writeFileSync(path.join(directory, 'main.ts'), main.join(''));
  const { stdout, stderr, status } = spawnSync(process.execPath, [path.join(directory, 'main.ts')], {
    encoding: 'utf8',
    timeout: patienceMs,
    env: { ...process.env, DRAGONLOCK_URL: url, DRAGONLOCK_ACCOUNT: 'demo' },
  });
  const printed = stdout.split(`${separator}\n`).slice(1);
  for (const [i, { place, prints }] of examples.slice(0, printed.length).entries()) {
    if (prints !== undefined) assert.equal(masked(printed[i]!), masked(prints), `${place}: ${stderr}`);
  }
  assert.equal(status, 0, `behind ${examples[printed.length - 1]?.place}: ${stderr}`);
  assert.equal(printed.length, examples.length);
});

function examplesIn(markdown: string): Example[] {
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
  const source = JSON.stringify(entry);
  const own = code.replaceAll("'dragonlock'", source).replaceAll('http://localhost:8081', url);
  const imports = own.includes('DragonLock }') ? '' : `import { DragonLock } from ${source};\n`;
  const given = own.includes('const client =') ? '' : 'await using client = new DragonLock();\n';
  return `${imports}${given}${own}\nexport {};\n`;
}

/** As a user's compiler would see them. */
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

/** Numbers of revisions differ from run to run. */
function masked(text: string): string {
  return text.trimEnd().replaceAll(/(fence) \d+/g, '$1 #');
}
