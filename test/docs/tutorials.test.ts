/** The `sh` examples of the tutorials and of the migration guides, and those of the quick start in other languages. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { compareExample, examplesIn, runExamples } from './examples.ts';
import { fences, readDoc } from './markdown.ts';
import { root, startServer, temporaryDirectory } from './server-child.ts';

const missing = (...tools: readonly string[]): string | false => {
  const without = tools.filter((tool) => spawnSync(tool, ['--version']).status !== 0);
  return without.length > 0 && `${without.join(' and ')} not installed`;
};

for (const [folder, atLeast] of [
  ['tutorials', 14],
  ['migrating', 4],
] as const) {
  test(`docs/${folder}: every example does what it says`, { skip: missing('bash', 'curl', 'timeout') }, async (t) => {
    const directory = temporaryDirectory(t);
    const { url } = await startServer(t, path.join(directory, 'data'));
    let compared = 0;
    for (const name of fs.readdirSync(path.join(root, 'docs', folder))) {
      const file = `docs/${folder}/${name}`;
      const examples = examplesIn(file, readDoc(file));
      const own = path.join(directory, name);
      fs.mkdirSync(own);
      const outcomes = runExamples(examples, url, own);
      for (const [index, example] of examples.entries()) compareExample(example, outcomes[index]!);
      compared += examples.filter(({ reply }) => reply !== undefined).length;
    }
    assert.ok(compared >= atLeast, `${compared} examples have replies`);
  });
}

test('docs/tutorials: each has its problem, both languages, what goes wrong, and a test that kills', () => {
  const names = fs.readdirSync(path.join(root, 'docs/tutorials')).filter((name) => name !== 'README.md');
  assert.equal(names.length, 7);
  for (const name of names) {
    const text = readDoc(`docs/tutorials/${name}`);
    assert.match(text, /^\*\*The problem\.\*\*/m, name);
    for (const heading of ['In a shell', 'In TypeScript', 'What goes wrong without …', 'Test it by killing'])
      assert.ok(text.includes(`\n## ${heading}\n`), `${name}: ${heading}`);
    assert.ok(readDoc('docs/tutorials/README.md').includes(`(${name})`), `${name} is in the list`);
  }
});

test('docs/quick-start.md: the example in Python prints its output', { skip: missing('python3') }, async (t) => {
  const { url } = await startServer(t, path.join(temporaryDirectory(t), 'data'));
  const blocks = fences(readDoc('docs/quick-start.md'));
  const at = blocks.findIndex(({ info }) => info === 'python');
  const program = blocks[at]!.text.replaceAll('http://localhost:8081', url);
  const { stdout, stderr } = spawnSync('python3', ['-'], { input: program, encoding: 'utf8', timeout: 60_000 });
  assert.equal(stdout.trimEnd(), blocks[at + 1]!.text, stderr);
});
