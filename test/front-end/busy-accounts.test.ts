import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BusyAccounts } from '../../src/front-end/busy-accounts.ts';
import { SlowRequests } from '../../src/front-end/slow-requests.ts';
import { busyAccountsMax, slowRequestsMax } from '../../src/shared/limits.ts';

const request = { bytes: 10, ms: 2, waits: false };

test('one request in 61 is looked at, the first one too', () => {
  const busy = new BusyAccounts(() => 0);
  const sampled = Array.from({ length: 123 }, () => busy.isSampled());
  assert.deepEqual(
    sampled.flatMap((is, i) => (is ? [i] : [])),
    [0, 61, 122],
  );
});

test('who is busy is found among any number of accounts, in bounded memory', () => {
  const busy = new BusyAccounts(() => 0);
  for (let i = 0; i < 10 * busyAccountsMax; i += 1) {
    busy.add(`once-${i}`, request);
    busy.add('busy', { ...request, waits: i % 2 === 0 });
  }
  const { accounts } = busy.current();
  assert.equal(accounts.length, busyAccountsMax);
  const found = accounts.find(({ account }) => account === 'busy');
  assert.deepEqual(found, {
    account: 'busy',
    requests: 61 * 2560,
    bytes: 10 * 61 * 2560,
    ms: 2 * 61 * 1280,
  });
  assert.ok(accounts.every(({ account, requests }) => account === 'busy' || requests < 61 * 100));
});

test('what is older than ten minutes is forgotten', () => {
  let now = 0;
  const busy = new BusyAccounts(() => now);
  busy.add('old', request);
  now = 400_000;
  busy.add('new', request);
  assert.deepEqual(
    busy.current().accounts.map(({ account }) => account),
    ['old', 'new'],
  );
  now = 800_000;
  const { accounts, ms } = busy.current();
  assert.deepEqual([accounts.map(({ account }) => account), ms], [['new'], 400_000]);
  now = 5_000_000;
  assert.deepEqual(busy.current().accounts, []);
});

test('the last slow requests are kept, the newest first', () => {
  const slow = new SlowRequests<number>();
  assert.deepEqual(slow.all(), []);
  for (let i = 0; i < slowRequestsMax + 3; i += 1) slow.add(i);
  const all = slow.all();
  assert.deepEqual([all.length, all[0], all.at(-1)], [slowRequestsMax, slowRequestsMax + 2, 3]);
});
