import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';

const endNowFile = new URL('../../src/main/exit-now.ts', import.meta.url).href;
/** The thread cannot be ended before its child has; `process.exit` would wait that long. */
const stuckSeconds = 30;
const script = `
  import { Worker } from 'node:worker_threads';
  import { exitNow } from '${endNowFile}';
  const busy = 'require("node:worker_threads").parentPort.postMessage(0);'
    + 'require("node:child_process").spawnSync("sleep", ["${stuckSeconds}"], { stdio: "ignore" })';
  new Worker(busy, { eval: true, execArgv: [] }).on('message', () => setTimeout(exitNow, 200, 70));
`;

test('a process that goes down ends with its code, though one of its threads is stuck', async () => {
  const started = performance.now();
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
  assert.deepEqual(await once(child, 'exit'), [70, null]);
  assert.ok(performance.now() - started < (stuckSeconds - 5) * 1000, 'it did not wait for the thread');
});
