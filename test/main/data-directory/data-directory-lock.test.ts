import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { lockDataDirectory } from '../../../src/main/data-directory/data-directory-lock.ts';

test('a data directory that is used for the first time: every name that leads to it is synced, whoever made it', (t) => {
  const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-lock-')));
  t.after(() => fs.rmSync(root, { recursive: true }));
  fs.mkdirSync(path.join(root, 'made-by-hand'));
  const directory = path.join(root, 'made-by-hand', 'made', 'data');
  const synced: string[] = [];
  const disk = {
    syncDirectory(name: string): void {
      assert.ok(fs.statSync(directory).isDirectory(), 'all is made');
      synced.push(name);
      // A parent that this user may not read is no reason not to start.
      if (name === root) throw Object.assign(new Error('no'), { code: 'EACCES' });
    },
  };
  lockDataDirectory(directory, disk).release();
  const parents = [path.join(root, 'made-by-hand', 'made'), path.join(root, 'made-by-hand'), root];
  assert.deepEqual(synced.slice(0, 3), parents);
  assert.equal(synced.at(-1), '/');
  const before = synced.length;
  lockDataDirectory(directory, disk).release();
  assert.equal(synced.length, before, 'later starts have nothing to sync there');
  fs.writeFileSync(path.join(directory, 'lock'), '');
  lockDataDirectory(directory, disk).release();
  assert.equal(synced.length, 2 * before, 'but do it if the process that made the file has died before it had');
  const failing = { syncDirectory: () => assert.fail('EIO') };
  assert.throws(() => lockDataDirectory(path.join(root, 'other'), failing), /EIO/);
});
