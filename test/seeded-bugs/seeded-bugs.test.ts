/**
 * Every seeded bug can still be planted, and three of them are: the tests can fail. All of them are planted by
 * `npm run torture -- --only seeded-bugs`.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import path from 'node:path';
import { test } from 'node:test';
import { readDoc, tableUnder } from '../docs/markdown.ts';
import { root } from '../docs/server-child.ts';
import { seededBugs } from './bugs.ts';
import { plant, textWith } from './plant.ts';

/** The ends of the chain: disk, gate, lock. */
const planted = ['a frame is not synced', 'replies leave before the sync', 'any fence unlocks'];

test('seeded bugs: each can be planted at exactly one place, and leaves something that can be parsed', () => {
  assert.ok(seededBugs.length >= 25);
  assert.equal(new Set(seededBugs.map(({ name }) => name)).size, seededBugs.length, 'names are unique');
  for (const bug of seededBugs) {
    const text = textWith(bug);
    assert.doesNotThrow(() => stripTypeScriptTypes(text), bug.name);
    assert.notEqual(text, fs.readFileSync(path.join(root, bug.file), 'utf8'), bug.name);
  }
});

test('seeded bugs: the tests that must catch them are there', () => {
  for (const { name, caughtBy } of seededBugs) {
    const text = fs.readFileSync(path.join(root, caughtBy.file), 'utf8');
    assert.ok(text.includes(caughtBy.test), `${name}: ${caughtBy.file} has "${caughtBy.test}"`);
  }
});

for (const name of planted) {
  test(`seeded bugs: "${name}" is caught`, async () => {
    const bug = seededBugs.find((other) => other.name === name);
    assert.ok(bug !== undefined);
    const { caught, failed, said } = await plant(bug);
    assert.ok(caught, `failed instead: ${failed.join('; ')}\n${said}`);
  });
}

test('docs/testing.md lists every seeded bug and who catches it', () => {
  const listed = tableUnder(readDoc('docs/testing.md'), 'Seeded bugs');
  assert.deepEqual(
    listed,
    seededBugs.map(({ name, file, caughtBy }) => [name, file, caughtBy.file]),
  );
});
