/** Runs the command with few and short rows, and checks the files that it leaves. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import type { Report } from '../../loadtest/results.ts';
import { root, startServer, temporaryDirectory } from '../docs/server-child.ts';

const bench = path.join(root, 'loadtest/bench.ts');

async function loadtest(args: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [bench, ...args], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  const closed = once(child, 'close');
  const output = (await Promise.all([text(child.stdout), text(child.stderr)])).join('');
  const [code] = (await closed) as [number | null];
  return { code, output };
}

function leftovers(): string[] {
  return fs.readdirSync(root).filter((name) => name.startsWith('.loadtest-'));
}

test('a quick run measures its rows, writes its four files and leaves nothing else', async (t) => {
  const out = path.join(temporaryDirectory(t), 'results');
  const before = leftovers();
  const rows = ['--only', 'lock-contended,seed-watch-1x100', '--latency', '0', '--no-peers', '--repeats', '1'];
  const { code, output } = await loadtest(['--quick', ...rows, '--out', out]);
  assert.equal(code, 0, output);
  assert.deepEqual(fs.readdirSync(out), ['loadtest.html', 'loadtest.json', 'loadtest.md', 'loadtest.svg']);
  const report = JSON.parse(fs.readFileSync(path.join(out, 'loadtest.json'), 'utf8')) as Report;
  assert.deepEqual(
    report.rows.map(({ name }) => name),
    ['lock-contended', 'seed-watch-1x100'],
  );
  for (const { name, error, contestants } of report.rows) {
    assert.equal(error, undefined, name);
    assert.ok(contestants[0]!.median > 0, name);
  }
  const [locks, watchers] = report.rows.map(({ contestants }) => contestants[0]!.runs[0]!);
  assert.ok(
    locks!.units > 0 && locks!.groupCommit!.syncs > 0 && locks!.server!.cores > 0 && locks!.generator!.cores > 0,
  );
  assert.equal(watchers!.units, 100);
  assert.deepEqual(leftovers(), before);

  const again = await loadtest(['--from', path.join(out, 'loadtest.json'), '--out', `${out}-again`]);
  assert.equal(again.code, 0, again.output);
  for (const file of fs.readdirSync(out)) {
    assert.equal(
      fs.readFileSync(path.join(`${out}-again`, file), 'utf8'),
      fs.readFileSync(path.join(out, file), 'utf8'),
      file,
    );
  }
});

test('with --target a running server is loaded and goes on running', async (t) => {
  const directory = temporaryDirectory(t);
  const { url, server } = await startServer(t, path.join(directory, 'data'));
  const out = path.join(directory, 'results');
  const rows = ['--only', 'mutex-1000', '--seconds', '1', '--repeats', '1'];
  const { code, output } = await loadtest(['--target', url, ...rows, '--out', out]);
  assert.equal(code, 0, output);
  const report = JSON.parse(fs.readFileSync(path.join(out, 'loadtest.json'), 'utf8')) as Report;
  const { units, requests } = report.rows[0]!.contestants[0]!.runs[0]!;
  assert.ok(units > 0);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const served = [...metrics.matchAll(/^dragonlock_requests_total\{.*\} (\d+)$/gm)].map(([, count]) => Number(count));
  assert.ok(served.reduce((sum, count) => sum + count, 0) >= requests, 'this server answered the requests');
  assert.equal(server.process.exitCode, null);
});

test('on SIGTERM it ends what it started and removes its data', async () => {
  const before = leftovers();
  const args = [bench, '--only', 'kv-64B-64', '--no-peers', '--seconds', '30'];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  // Wait until it runs a server.
  const started = Promise.withResolvers<number>();
  const look = setInterval(() => {
    const children = fs.readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim().split(' ');
    const pid = Number(children[0]);
    if (pid > 0) started.resolve(pid);
  }, 50);
  const serverPid = await started.promise;
  clearInterval(look);
  child.kill('SIGTERM');
  const [code] = (await closed) as [number | null];
  assert.equal(code, 1);
  // The parent kills it as it exits; the kernel may take a moment.
  while (fs.existsSync(`/proc/${serverPid}`)) await new Promise(setImmediate);
  assert.deepEqual(leftovers(), before);
});

test('an unknown row is refused before anything is started', async () => {
  const { code, output } = await loadtest(['--only', 'kv-65B-64']);
  assert.equal(code, 1);
  assert.match(output, /There is no row kv-65B-64/);
});
