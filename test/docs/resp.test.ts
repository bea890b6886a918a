import assert from 'node:assert/strict';
import { test } from 'node:test';
import { respCommandNames } from '../../src/front-end/resp/command-names.ts';
import { commandTable } from '../../src/front-end/resp/command-table.ts';
import { respCodes } from '../../src/front-end/resp/resp-error.ts';
import { codeSpans, readDoc, tableUnder } from './markdown.ts';

const markdown = readDoc('docs/resp.md');

function plain(text: string): string {
  return text.replaceAll('|', '¦').replaceAll('`', '');
}

test('docs/resp.md has a row for each command, as the table has it', () => {
  const documented = tableUnder(markdown.replaceAll('\\|', '¦'), 'Commands').map((row) => row.join(' '));
  const rows = [...commandTable.values()].map(({ name, usage, scope, summary, differs = '' }) =>
    [[name.toUpperCase(), usage].filter((part) => part !== '').join(' '), scope, summary, differs].map(plain).join(' '),
  );
  assert.deepEqual(documented.map(plain), rows);
});

test('docs/resp.md names every code of an error', () => {
  const spans = codeSpans(markdown);
  for (const code of new Set(Object.values(respCodes))) assert.ok(spans.has(code) || code === 'NOTLOCKED', code);
});

test('metrics have a label for each command', () => {
  assert.deepEqual(respCommandNames.toSorted(), [...commandTable.keys()].toSorted());
});
