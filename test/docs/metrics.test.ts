import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { readDoc, tableUnder } from './markdown.ts';
import { startServer, temporaryDirectory } from './server-child.ts';

test('docs/metrics.md lists every metric that /metrics emits, with its type, and no other', async (t) => {
  const { url } = await startServer(t, path.join(temporaryDirectory(t), 'data'));
  const text = await (await fetch(`${url}/metrics`)).text();
  const emitted = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`);
  const documented = tableUnder(readDoc('docs/metrics.md'), 'All metrics').map(([name, type]) => `${name} ${type}`);
  assert.deepEqual(documented.toSorted(), emitted.toSorted());
  assert.equal(new Set(documented).size, documented.length);
  const valueOf = (name: string): number => Number(new RegExp(`^${name} (.+)$`, 'm').exec(text)?.[1]);
  const startedAt = valueOf('process_start_time_seconds');
  assert.ok(Math.abs(Date.now() / 1000 - startedAt) < 600, `started at ${startedAt}`);
  assert.ok(valueOf('process_open_fds') > 5 && valueOf('process_open_fds') < valueOf('process_max_fds'));
  assert.ok(valueOf('dragonlock_disk_free_bytes') > 0);
  assert.ok(valueOf('dragonlock_store_bytes') > 0);
});
