/** What a short call loads: its time and memory follow from that, and a count is the same on every machine. */
import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { ServerUnderTest } from '../support/server-under-test.ts';
import { commandFile, runCommand } from './command-under-test.ts';

/** Prints the modules of Node, and our files, when the process ends. */
const report = `
  import { registerHooks } from 'node:module';
  const files = new Set();
  registerHooks({ load: (url, context, next) => { files.add(url); return next(url, context); } });
  process.on('exit', () => process._rawDebug(JSON.stringify({ files: [...files], builtin: process.moduleLoadList })));`;

interface Loaded {
  readonly files: readonly string[];
  readonly builtin: readonly string[];
}

test('each command loads what it needs: few files, no package, and no heavy part of Node', async (t) => {
  const { url } = await ServerUnderTest.forTest(t);
  for (const [args, filesMax] of [
    [['lock', 'job', '--', 'true'], 96],
    [['counter', 'add', 'c'], 92],
    [['status'], 52],
    [['--version'], 24],
    [['completion', 'bash'], 24],
  ] as const) {
    const hook = `data:text/javascript,${encodeURIComponent(report)}`;
    const argv = [process.execPath, '--import', hook, commandFile, ...args];
    const { code, stderr } = await runCommand(t, [], { url, argv });
    assert.equal(code, 0, stderr);
    const { files, builtin } = JSON.parse(stderr) as Loaded;
    const ours = files.filter((file) => file.startsWith('file:'));
    const packages = ours.filter((file) => file.includes('/node_modules/'));
    assert.deepEqual(packages, [], args.join(' '));
    assert.ok(ours.length > 0 && ours.length <= filesMax, `${args.join(' ')}: ${ours.length} files`);
    const heavy = builtin.filter((name) => /deps\/undici|fs\/promises|_tls_wrap|http2|internal\/fetch/.test(name));
    assert.deepEqual(heavy, [], args.join(' '));
    const server = ours.filter((file) =>
      /\/src\/(?!cli|client|shared|protocol\/errors)/.test(file.slice(path.dirname(commandFile).length - 8)),
    );
    assert.deepEqual(server, [], 'nothing of the server');
  }
});
