/** No reply leaves before its commit is synced, as the kernel sees it. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { root } from '../docs/server-child.ts';
import { syncFaults } from '../support/system-calls.ts';

const write = (n: number): string =>
  `9 1.0 pwrite64(4</d/journal/journal-1.log>, "..value-${n}-of-the-trace", 9, 0) = 9`;
const sync = '9 1.1 fdatasync(4</d/journal/journal-1.log>) = 0';
const reply = '7 1.2 write(51<socket:[1]>, "HTTP/1.1 200 OK\\r\\n\\r\\n{\\"Key\\":\\"k\\",\\"Rev\\":2}", 9) = 9';

test('a reply behind its sync is right; one before it, or behind a sync that began too early, is found', () => {
  assert.deepEqual(syncFaults([write(1), sync, reply].join('\n')), { replies: 1, syncs: 1, faults: [] });
  assert.equal(syncFaults([write(1), reply, sync].join('\n')).faults.length, 1);
  assert.equal(
    syncFaults([write(1), '9 1.1 fdatasync(4</d/journal/journal-1.log>) = -1 EIO', reply].join('\n')).faults.length,
    1,
  );
  const begun = '9 1.0 fdatasync(4</d/journal/journal-1.log> <unfinished ...>';
  const ended = '9 1.3 <... fdatasync resumed>) = 0';
  const late = [begun, write(1).replace(/^9/, '8'), ended, reply];
  assert.equal(syncFaults(late.join('\n')).faults.length, 1);
  assert.equal(syncFaults([write(1), begun, '7 1.1 futex(1) = 0', ended, reply].join('\n')).faults.length, 0);
});

test('strace: every reply of a server leaves after the sync of its commit', {
  skip: spawnSync('strace', ['-V']).error !== undefined && 'strace is not installed',
}, (t) => {
  const script = path.join(root, 'test/crash/sync-before-reply.ts');
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, '--writes', '10'], { encoding: 'utf8' });
  if (/Operation not permitted/.test(stderr)) return t.skip('strace may not trace here');
  assert.equal(status, 0, stdout + stderr);
  assert.match(stdout, /^10 replies with a commit, \d+ syncs, 0 replies before their sync$/m);
});
