import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { once } from 'node:events';
import path from 'node:path';
import { test } from 'node:test';
import { root, startServer, temporaryDirectory } from '../docs/server-child.ts';
import { startDynamoDb, tableName } from '../client/store/dynamodb-under-test.ts';

test('competing consumers do each job once on a Dragon Lock server, even the job of a failed worker', async (t) => {
  const { url } = await startServer(t, path.join(temporaryDirectory(t), 'data'));
  await competeWith([], { DRAGONLOCK_URL: url, DRAGONLOCK_ACCOUNT: 'demo' });
});

test('competing consumers do each job once on DynamoDB, even the job of a failed worker', async (t) => {
  const dynamoDb = await startDynamoDb();
  t.after(() => dynamoDb.close());
  await competeWith(['--dynamodb', tableName], dynamoDb.environment);
});

async function competeWith(args: readonly string[], environment: Readonly<Record<string, string>>): Promise<void> {
  const file = path.join(root, 'examples/competing-consumers.ts');
  const child = spawn(process.execPath, [file, ...args], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  });
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  assert.equal(child.exitCode, 0, stderr);
  const lines = stdout.trimEnd().split('\n');
  const broken = /^worker A breaks down in (jobs\/\d)$/.exec(lines.find((line) => line.includes('breaks')) ?? '')?.[1];
  assert.ok(broken !== undefined, stdout);
  const done = lines.flatMap((line) => /^worker [BC] has done (jobs\/\d), with fence \d+$/.exec(line)?.[1] ?? []);
  assert.deepEqual(
    done.toSorted(),
    Array.from({ length: 8 }, (_, index) => `jobs/${index + 1}`),
  );
  assert.equal(lines.at(-1), '0 jobs are left');
  assert.equal(lines.length, 10);
}
