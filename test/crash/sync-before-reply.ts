/**
 * Watches the system calls of a server by strace and shows that no reply leaves before its commit is synced:
 *
 *   node test/crash/sync-before-reply.ts [--writes 200]
 *
 * One client writes, each time another value. For every reply that carries a new revision, the journal's write and an
 * fdatasync that began after it must have ended before the reply is written to the socket. Exits with 1 otherwise, and
 * with 69 where there is no strace.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ServerUnderTest } from '../support/server-under-test.ts';
import { syncFaults } from '../support/system-calls.ts';

const { values } = parseArgs({ options: { writes: { type: 'string', default: '200' } } });
const writes = Number(values.writes);

if (spawnSync('strace', ['-V']).error !== undefined) {
  console.error('strace is not installed');
  process.exit(69);
}
const server = ServerUnderTest.prepare();
const trace = path.join(server.directory, 'trace');
const calls = 'trace=write,writev,pwrite64,pwritev,sendto,sendmsg,fdatasync,fsync';
try {
  await server.start({ wrapper: ['strace', '-D', '-f', '-ttt', '-y', '-s', '400', '-e', calls, '-o', trace] });
  for (let n = 1; n <= writes; n += 1) await server.ok('POST', '/db/acc/kv/key', { text: `value-${n}-of-the-trace` });
  await server.stop();
  const { replies, syncs, faults } = syncFaults(fs.readFileSync(trace, 'utf8'));
  for (const fault of faults.slice(0, 20)) console.error(fault);
  console.log(`${replies} replies with a commit, ${syncs} syncs, ${faults.length} replies before their sync`);
  if (faults.length > 0 || replies < writes) process.exitCode = 1;
} finally {
  await server.dispose(true);
}
