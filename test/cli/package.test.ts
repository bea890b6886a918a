/** The built npm package: its command runs and guards a child, and it does not contain the server. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { root, temporaryDirectory } from '../docs/server-child.ts';
import { ServerUnderTest } from '../support/server-under-test.ts';
import { CommandUnderTest, runCommand } from './command-under-test.ts';

test('the built command runs, has its watchdog, and says where to get the server', async (t) => {
  const built = spawnSync(process.execPath, [path.join(root, 'build/client-package.ts')], { encoding: 'utf8' });
  assert.equal(built.status, 0, built.stdout + built.stderr);
  const out = path.join(root, 'dist/client');
  const manifest = JSON.parse(fs.readFileSync(path.join(out, 'package.json'), 'utf8')) as {
    bin: { dragonlock: string };
    version: string;
  };
  const file = path.join(out, manifest.bin.dragonlock);
  assert.match(fs.readFileSync(file, 'utf8'), /^#!\/bin\/sh\n/);
  fs.accessSync(file, fs.constants.X_OK);
  // As npm installs it: a link in a folder of PATH.
  const link = path.join(temporaryDirectory(t), 'dragonlock');
  fs.symlinkSync(file, link);
  assert.equal(fs.existsSync(path.join(out, 'main')), false, 'without the server');
  const command = (...args: string[]): readonly string[] => [link, ...args];

  const version = await runCommand(t, [], { argv: command('--version') });
  assert.deepEqual(version, { code: 0, stdout: `${manifest.version}\n`, stderr: '' });
  const serve = await runCommand(t, [], { argv: command('serve') });
  assert.equal(serve.code, 1);
  assert.match(serve.stderr, /^dragonlock: The server is not part of the npm package: .*\n$/);

  const { url } = await ServerUnderTest.forTest(t);
  const script = "trap 'echo asked; exit' TERM; echo held; exec 3<> <(:); while :; do read -r -t 0.05 -u 3 _; done";
  const argv = command('lock', 'job', '--ttl', '1h', '--', 'bash', '-c', script);
  const guarding = new CommandUnderTest(t, [], { url, argv });
  await guarding.printed(/held/);
  guarding.signal('SIGKILL');
  assert.match((await guarding.ended).stdout, /asked/, 'by the watchdog');
});
