import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { revisionJump } from '../../../src/journal/file/leap.ts';
import { root, ServerChild, startServer, temporaryDirectory } from '../../docs/server-child.ts';

function salvage(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  const file = path.join(root, 'src/main/data-directory/salvage.ts');
  return spawnSync(process.execPath, [file, ...args], { cwd: root, encoding: 'utf8' });
}

/** A data directory whose journal holds the keys a, b and c, never checkpointed. */
async function killedAfterThreeWrites(t: Parameters<typeof startServer>[0]): Promise<string> {
  const directory = path.join(temporaryDirectory(t), 'data');
  const { url, server } = await startServer(t, directory);
  for (const key of ['a', 'b', 'c']) {
    const response = await fetch(`${url}/db/demo/kv/${key}?as=text`, { method: 'POST', body: `the value of ${key}` });
    assert.equal(response.status, 200);
  }
  await server.end('SIGKILL');
  return directory;
}

function damage(directory: string, text: string): void {
  const journal = path.join(directory, 'journal');
  const name = fs.readdirSync(journal).find((file) => file.startsWith('journal-')) ?? assert.fail('there is a segment');
  const bytes = fs.readFileSync(path.join(journal, name));
  const at = bytes.indexOf(text);
  assert.ok(at > 0, `the journal holds ${text}`);
  bytes[at] = 0x21;
  fs.writeFileSync(path.join(journal, name), bytes);
}

test('salvage: a damaged journal that no start accepts is cut, and the server starts with what stood before', async (t) => {
  const directory = await killedAfterThreeWrites(t);
  damage(directory, 'value of b');
  const refused = new ServerChild(directory);
  assert.equal(await refused.end(), 1);
  assert.match(refused.output, /The journal is damaged in .* npm run salvage -- --data-dir DIR/);

  const { status, stdout } = salvage('--data-dir', directory);
  assert.equal(status, 0);
  // The start of the server was revision 1, a was 2.
  assert.match(stdout, /Kept: everything up to revision 2\. Lost: revisions 3\.\.4/);

  const { url, server } = await startServer(t, directory);
  const found: unknown = await (await fetch(`${url}/db/demo/kv`)).json();
  assert.partialDeepStrictEqual(found, { KV: [{ Key: 'a', Version: 2, Value: 'the value of a' }] });
  assert.ok((found as { Rev: number }).Rev > revisionJump, 'no revision is given out twice');
  assert.equal(await server.end('SIGTERM'), 0);
});

test('salvage: a whole journal is left alone', async (t) => {
  const directory = await killedAfterThreeWrites(t);
  const { status, stdout } = salvage('--data-dir', directory);
  assert.deepEqual([status, stdout], [0, 'The journal is whole, up to revision 4: nothing was changed.\n']);
});

test('salvage: a directory that is in use, or holds no journal, is refused', async (t) => {
  const directory = temporaryDirectory(t);
  await startServer(t, directory);
  const inUse = salvage('--data-dir', directory);
  assert.equal(inUse.status, 1);
  assert.match(inUse.stderr, /is in use by another server \(pid \d+\)/);

  const missing = path.join(directory, 'dta');
  assert.equal(salvage('--data-dir', missing).status, 1);
  assert.ok(!fs.existsSync(missing), 'a name with a typo creates nothing');
  for (const args of [[], ['--data-dri', 'x'], ['stray']]) {
    assert.match(salvage(...args).stderr, /^Usage: npm run salvage -- --data-dir DIR/);
  }
});
