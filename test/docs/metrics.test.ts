import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { readDoc, tableUnder } from './markdown.ts';
import { startServer, temporaryDirectory } from './server-child.ts';

test('docs/operations.md lists every metric that /metrics emits, with its type, and no other', async (t) => {
  const { url } = await startServer(t, path.join(temporaryDirectory(t), 'data'));
  const text = await (await fetch(`${url}/metrics`)).text();
  const emitted = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => `${name} ${type}`);
  const documented = tableUnder(readDoc('docs/operations.md'), 'Metrics').map(([name, type]) => `${name} ${type}`);
  assert.deepEqual(documented.toSorted(), emitted.toSorted());
  assert.equal(new Set(documented).size, documented.length);
});
