/**
 * The package dragonlock-server as users get it: packed, installed by npm into an empty folder, and run by every line of
 * Node that it says it runs on.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { buildServerPackage } from '../../build/server-package.ts';
import { deadLinks } from '../docs/markdown.ts';
import { temporaryDirectory } from '../docs/server-child.ts';

const unreachable = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|E404|notarget/;
const patienceMs = 180_000;
/** The oldest and the newest line but the one of the tests. All of them take long, so `npm test` takes the oldest. */
const full = process.env['DRAGONLOCK_LOAD_SCALE'] === 'full';
const lines = full ? ['22.19.0', '24'] : ['22.19.0'];

function npm(args: readonly string[], cwd: string): SpawnSyncReturns<string> {
  return spawnSync('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd,
    encoding: 'utf8',
    timeout: patienceMs,
  });
}

/** Starts the command and ends it when it serves. @returns its exit code and what it has logged */
async function serve(argv: readonly string[], cwd: string, during: (url: string) => Promise<void>): Promise<string> {
  const env = { ...process.env, NODE_COMPILE_CACHE: undefined, XDG_CACHE_HOME: path.join(cwd, 'cache') };
  const child = spawn(argv[0]!, argv.slice(1), { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => {
      said += `${line}\n`;
      const url = /"msg":"Serving on ([^"]+)"/.exec(line)?.[1];
      if (url !== undefined) resolve(url);
    });
  const closed = once(child, 'close');
  void closed.then(([code]) => reject(new Error(`ended with ${String(code)}:\n${said}`)));
  try {
    await during(await promise);
  } finally {
    child.kill('SIGTERM');
    await closed;
  }
  assert.equal(child.exitCode, 0, said);
  return said;
}

test('packed and installed into an empty folder, dragonlock-server serves, restarts on its data, and has its commands', {
  timeout: 600_000,
}, async (t) => {
  const directory = temporaryDirectory(t);
  const built = path.join(directory, 'built');
  await buildServerPackage(built);
  if (!full) {
    // Hundreds of files for backups to S3, which no part of this needs.
    const manifest = path.join(built, 'package.json');
    const { optionalDependencies: _, ...rest } = JSON.parse(fs.readFileSync(manifest, 'utf8')) as Record<
      string,
      unknown
    >;
    fs.writeFileSync(manifest, JSON.stringify(rest));
  }
  const packed = npm(['pack', built, '--silent'], directory);
  assert.equal(packed.status, 0, packed.stderr);
  const file = packed.stdout.trim();
  assert.ok(fs.statSync(path.join(directory, file)).size < 6_000_000, 'a package of megabytes, not tens of them');

  const project = path.join(directory, 'project');
  fs.mkdirSync(project);
  fs.writeFileSync(path.join(project, 'package.json'), '{"private":true}');
  const nodes = lines.map((line) => `node-${line.replaceAll('.', '-')}@npm:node-linux-${process.arch}@${line}`);
  const install = npm(['install', path.join('..', file), ...nodes], project);
  if (install.status !== 0 && unreachable.test(install.stderr))
    return t.skip(`npm cannot get what it needs: ${install.stderr.split('\n')[0]}`);
  assert.equal(install.status, 0, install.stderr);
  assert.deepEqual(deadLinks(path.join(project, 'node_modules/dragonlock-server')), []);
  const command = path.join(project, 'node_modules/.bin/dragonlock-server');
  const node = (line: string): string => path.join(project, `node_modules/node-${line.replaceAll('.', '-')}/bin/node`);
  const runs = [[command], ...lines.map((line) => [node(line), fs.realpathSync(command)])];
  let written = 0;
  for (const argv of runs) {
    const flags = ['--listen', '127.0.0.1:0', '--data-dir', path.join(project, 'data')];
    await serve([...argv, ...flags], project, async (url) => {
      const kept = await (await fetch(`${url}/db/acc/kv/a`)).text();
      if (written > 0) assert.match(kept, new RegExp(`"Value":${written}\\b`), 'of the start before');
      written += 1;
      const reply = await fetch(`${url}/db/acc/kv/a`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: String(written),
      });
      assert.equal(reply.status, 200, await reply.text());
    });
  }

  // Of each line of Node, and of the threads too.
  const compiled = fs.readdirSync(path.join(project, 'cache/dragonlock-server'));
  assert.equal(compiled.length, runs.length, compiled.join(', '));
  for (const one of compiled) {
    const files = fs.readdirSync(path.join(project, 'cache/dragonlock-server', one));
    const large = files.filter(
      (name) => fs.statSync(path.join(project, 'cache/dragonlock-server', one, name)).size > 100_000,
    );
    assert.ok(large.length >= 3, `${one}: ${files.length} files, ${large.length} of them large`);
  }

  const run = (...args: string[]): SpawnSyncReturns<string> =>
    spawnSync(command, args, { cwd: project, encoding: 'utf8', timeout: patienceMs });
  assert.match(run('--help').stdout, /^Usage: dragonlock-server \[serve\]/);
  const version = run('--version');
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/, version.stderr);
  const checked = run('config', 'check');
  assert.equal(checked.status, 0, checked.stderr);
  assert.match(checked.stdout, /^Valid: listens on 127\.0\.0\.1:8081/);
  const salvage = run('salvage', '--data-dir', path.join(project, 'data'), '--dry-run');
  assert.equal(salvage.status, 0, salvage.stdout + salvage.stderr);
  assert.equal(run('lock', 'x').status, 64, 'that is of the package dragonlock');
});
