/** The ledger of accounts that are deleted and loaded as a whole: what is right passes, each fault is found. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkAccounts } from '../support/checkers/account-ledger.ts';
import type { Operation } from '../support/checkers/history.ts';
import { wholeAccount } from '../support/generators/whole-account.ts';
import type { Batch } from '../../src/protocol/operations/operations.ts';

let clock = 0;

function done(parts: Partial<Batch>, body: Record<string, unknown> | undefined, status = 200): Operation {
  clock += 10;
  const call = { kind: 'batch', account: wholeAccount, format: 'batch', ...parts } as const;
  const operation = { id: clock, client: 1, call, sentAt: clock };
  return body === undefined ? operation : { ...operation, answer: { at: clock + 1, status, body } };
}

const put = (rev: number | undefined, ...values: number[]): Operation =>
  done(
    { set: values.map((w) => ({ key: `w${w % 10}`, value: JSON.stringify({ w }) })) },
    rev === undefined ? undefined : { Rev: rev },
  );
const load = (rev: number, ...values: number[]): Operation =>
  done(
    {
      format: 'account.import',
      load: values.map((w) => ({ kind: 'kv', key: `w${w % 10}`, value: JSON.stringify({ w }), till: 0 })),
    },
    { Rev: rev, Loaded: values.length },
  );
const wipe = (rev?: number): Operation =>
  done({ format: 'account.delete', wipe: {} }, rev === undefined ? undefined : { Rev: rev, Entries: 1 });
const next = (rev: number, number: number): Operation =>
  done({ format: 'sequence.next', sequence: { key: 'ws', op: 'next', n: 1 } }, { Rev: rev, Value: number });
const list = (rev: number, ...rows: (readonly [w: number, version: number])[]): Operation => {
  const KV = rows.map(([w, Version]) => ({ Key: `w${w % 10}`, Value: { w }, Version }));
  return done({ get: [] }, { KV, Rev: rev });
};

function faults(...operations: Operation[]): string[] {
  return checkAccounts({ operations }).violations.map(({ message }) => message);
}

test('what is right passes: writes, imports and deletions in order, and what was never answered', () => {
  assert.deepEqual(
    faults(
      put(2, 1, 2),
      list(2, [1, 2], [2, 2]),
      next(3, 1),
      wipe(4),
      list(4),
      load(6, 11, 12),
      list(6, [11, 6], [12, 6]),
      next(7, 1),
      put(undefined, 3),
      list(8, [11, 6], [12, 6], [3, 8]),
      wipe(),
      list(9),
    ),
    [],
  );
});

test('what survives a deletion, and what is lost without one, is found', () => {
  assert.match(
    faults(put(2, 1), wipe(3), list(4, [1, 2])).join('\n'),
    /w1 of revision 2 is there behind the deletion at 3/,
  );
  assert.match(faults(put(2, 1), wipe(1), list(4)).join('\n'), /w1 was put at revision 2, and is not there at 4/);
  assert.match(
    faults(put(2, 1), put(3, 11), list(4, [1, 2])).join('\n'),
    /w1 of revision 2 is there behind the write at 3/,
  );
});

test('half of a page of an import is found, and a value that nobody has put', () => {
  assert.match(faults(load(2, 1, 2), list(2, [1, 2])).join('\n'), /w2 was put at revision 2, and is not there/);
  assert.match(
    faults(load(2, 1, 2), list(3, [1, 2], [2, 3])).join('\n'),
    /w2 was put at revision 2, and has version 3/,
  );
  assert.match(faults(put(undefined, 1, 2), list(3, [1, 3])).join('\n'), /w2 was put at revision 3, and is not there/);
  assert.match(faults(list(3, [1, 3])).join('\n'), /has a value that nobody has put/);
});

test('a sequence that gives a number twice, or goes on behind a deletion, is found', () => {
  assert.match(faults(next(2, 1), next(3, 1)).join('\n'), /a sequence gives 1 behind 1/);
  assert.match(faults(next(2, 1), wipe(3), next(4, 2)).join('\n'), /goes on with 2 behind the deletion at 3/);
});

test('a refusal that speaks of a deletion which nobody has asked for is found', () => {
  const refused = done({ get: ['w1'] }, { Code: 'account_deleting' }, 409);
  assert.match(faults(refused, wipe(9)).join('\n'), /nobody has asked to delete/);
  assert.deepEqual(faults(wipe(), { ...refused, answer: { ...refused.answer!, at: clock + 5 } }), []);
});
