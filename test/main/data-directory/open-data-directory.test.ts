/** What a start finds in `store/` and `journal/` has to belong together. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../../src/main/config/config.ts';
import { openDataDirectory, StoreMismatch } from '../../../src/main/data-directory/open-data-directory.ts';
import { temporaryDirectory } from '../../docs/server-child.ts';

function open(directory: string): ReturnType<typeof openDataDirectory> {
  const yaml =
    'shards: 1\njournal:\n  segment_bytes: 1048576\nlimits:\n  body_bytes_max: 65536\n  value_bytes_max: 65536\n';
  const argv = ['--data-dir', directory];
  return openDataDirectory(loadConfig({ argv, env: {}, cores: 1, readFile: () => yaml }), () => {});
}

test('data directory: a store and a journal of two servers are refused, whichever of them was swapped', async (t) => {
  const root = temporaryDirectory(t);
  const [a, b] = [path.join(root, 'a'), path.join(root, 'b')];
  const first = await open(a);
  await open(b);
  assert.equal((await open(a)).recovered.logId, first.recovered.logId, 'what belongs together is opened again');
  fs.renameSync(path.join(a, 'journal'), path.join(root, 'journal'));
  fs.renameSync(path.join(b, 'journal'), path.join(a, 'journal'));
  fs.renameSync(path.join(root, 'journal'), path.join(b, 'journal'));
  for (const mixed of [a, b]) {
    await assert.rejects(open(mixed), (error) => error instanceof StoreMismatch && /were mixed/.test(error.message));
  }
});

test('data directory: a store whose journal is gone is refused, though it has no checkpoint yet', async (t) => {
  const directory = path.join(temporaryDirectory(t), 'data');
  await open(directory);
  fs.rmSync(path.join(directory, 'journal'), { recursive: true });
  await assert.rejects(open(directory), StoreMismatch);
  await assert.rejects(open(directory), StoreMismatch, 'the start that was refused has not made it right');
});
