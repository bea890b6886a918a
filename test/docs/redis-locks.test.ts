/** Runs the `ts` examples of docs/redis-locks.md as they stand, each as a program of its own, against one server. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { ServerUnderTest } from '../support/server-under-test.ts';
import { fences, readDoc } from './markdown.ts';
import { root } from './server-child.ts';

test('docs/redis-locks.md: every example for a client from npm prints its output', async (t) => {
  const server = await ServerUnderTest.forTest(t, { config: 'resp: {listen: "127.0.0.1:0"}' });
  fs.symlinkSync(path.join(root, 'node_modules'), path.join(server.directory, 'node_modules'));
  fs.writeFileSync(path.join(server.directory, 'package.json'), '{"type":"module"}');
  const blocks = fences(readDoc('docs/redis-locks.md'));
  const examples = blocks.flatMap((block, i) => (block.info === 'ts' ? [{ block, prints: blocks[i + 1]!.text }] : []));
  assert.ok(examples.length >= 2);
  for (const { block, prints } of examples) {
    const file = path.join(server.directory, `example-${block.line}.ts`);
    fs.writeFileSync(file, block.text.replaceAll('6379', String(server.respPort)));
    const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 });
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
    assert.equal(stdout.trimEnd(), prints, `docs/redis-locks.md:${block.line}: ${stderr}`);
  }
});
