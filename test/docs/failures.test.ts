/** docs/failures.md is complete: every alert, every exit code, and tests that exist. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { exitCodes } from '../../src/cli/exit-codes.ts';
import { anchors, links, readDoc, tableUnder } from './markdown.ts';
import { root } from './server-child.ts';

const markdown = readDoc('docs/failures.md');
const headings = [...markdown.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading!);

test('docs/failures.md has a row for every alert, which leads to what has happened', () => {
  const { groups } = parse(readDoc('deploy/prometheus-rules.yml')) as {
    groups: readonly { rules: readonly { alert: string }[] }[];
  };
  const alerts = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert));
  const rows = tableUnder(markdown, 'Which alert means what');
  assert.deepEqual(
    rows.map(([alert]) => alert),
    alerts,
  );
  const known = anchors(markdown);
  for (const [alert = '', what = ''] of rows)
    for (const { target } of links(what).filter((link) => link.target.startsWith('#')))
      assert.ok(known.has(target.slice(1)), `${alert}: ${target}`);
});

test('docs/failures.md has a row for every exit code of the command and of the server', () => {
  const codes = tableUnder(markdown, 'Which exit code means what').map(([code]) => Number(code));
  const ofServer = tableUnder(readDoc('docs/operations.md'), 'Starting and stopping').map(([code]) => Number(code));
  const wanted = new Set([...Object.values(exitCodes), ...ofServer]);
  assert.deepEqual(
    codes,
    [...wanted].toSorted((a, b) => a - b),
  );
});

test('docs/failures.md lists its headings, and the tests that it names are there', () => {
  const listed = [...markdown.matchAll(/^- \[(.+)\]\(#/gm)].map(([, heading]) => heading!);
  assert.deepEqual(listed, headings);
  let shown = 0;
  for (const section of markdown.split(/^## /m).slice(1)) {
    if (/made to happen\s+by/i.test(section)) shown += 1;
    for (const [, file] of section.matchAll(/`(test\/[^`]+)`/g))
      assert.ok(fs.existsSync(path.join(root, file!)), `${file} of "${section.split('\n')[0]}"`);
  }
  assert.ok(shown >= headings.length / 2, `tests make ${shown} of ${headings.length} happen`);
});
