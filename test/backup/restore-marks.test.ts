/** The files that a restore leaves: whatever has happened to them, it is said in words, and nothing is guessed. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import {
  DamagedMark,
  NotRestored,
  readMark,
  readRestoredFrom,
  refuseUnlessRestored,
  writeRestoredFrom,
} from '../../src/backup/restore/restore-marks.ts';
import { emptyDirectory } from '../support/backed-up-store.ts';

const from = { repository: 'file:///b', writer: 2, revision: 7, logId: '00000000000000ff', adopted: false };
const whole = JSON.stringify(from);
const damaged = [
  '',
  '\n',
  whole.slice(0, -1),
  whole.slice(5),
  '\0'.repeat(whole.length),
  'null',
  '[]',
  '"text"',
  '{}',
  ...Object.keys(from).map((name) => JSON.stringify({ ...from, [name]: undefined })),
  JSON.stringify({ ...from, logId: 'ff' }),
  JSON.stringify({ ...from, adopted: 'false' }),
  JSON.stringify({ ...from, writer: 1.5 }),
];

test('restored.json: what was written is read; a directory without it was never restored', (t) => {
  const directory = emptyDirectory(t);
  assert.equal(readRestoredFrom(directory), undefined);
  writeRestoredFrom(directory, from);
  assert.deepEqual(readRestoredFrom(directory), from);
  assert.doesNotThrow(() => refuseUnlessRestored(directory));
});

test('restored.json: a start is refused with what to do when it is damaged', (t) => {
  const directory = emptyDirectory(t);
  const file = path.join(directory, 'restored.json');
  for (const text of damaged) {
    fs.writeFileSync(file, text);
    assert.throws(
      () => refuseUnlessRestored(directory),
      (error) => error instanceof DamagedMark && /restored\.json is damaged.*Restore again, or/.test(error.message),
      JSON.stringify(text),
    );
  }
});

test('restoring: a mark that is damaged does not tell what is left to do, and an empty one tells to begin anew', (t) => {
  const directory = emptyDirectory(t);
  const file = path.join(directory, 'restoring');
  const rest = { report: {}, origin: from };
  fs.writeFileSync(file, JSON.stringify(rest));
  assert.deepEqual(readMark(directory), { kind: 'switch', rest });
  assert.throws(() => refuseUnlessRestored(directory), NotRestored);
  for (const text of [...damaged.slice(1), JSON.stringify({ report: {} }), JSON.stringify({ origin: from })]) {
    fs.writeFileSync(file, text);
    assert.throws(() => refuseUnlessRestored(directory), DamagedMark, JSON.stringify(text));
  }
  fs.writeFileSync(file, '');
  assert.throws(() => refuseUnlessRestored(directory), NotRestored);
});
