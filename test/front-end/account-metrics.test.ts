import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Registry } from '@prometheus-io/client';
import { addAccountMetrics } from '../../src/front-end/account-metrics.ts';
import type { AccountList } from '../../src/protocol/operations/admin.ts';
import { revision } from '../../src/protocol/ids.ts';
import type { RouteContext } from '../../src/front-end/http/route-context.ts';

const none = { Keys: 0, Counters: 0, Sequences: 0, Locks: 0, Limits: 0, Messages: 0 };

test('metrics of accounts are those of the hundred largest, and ask for a bounded number of pages, seldom', async () => {
  const asked: AccountList[] = [];
  const context = {
    dispatcher: {
      request(command: AccountList, sink: { deliver(reply: object): void }) {
        asked.push(command);
        const Accounts = Array.from({ length: 100 }, (_, i) => {
          const Bytes = asked.length * 1000 + i;
          return { ...none, Account: `a${asked.length}-${i}`, Bytes, Keys: 2, Messages: 3 };
        });
        const body = JSON.stringify({ Accounts, After: `a${asked.length}-99` });
        sink.deliver({ rev: revision(1), outcome: 'ok', body });
      },
    },
    accounts: { use: () => ({ value: () => 7 }), release: () => undefined },
  } as unknown as RouteContext;
  const registry = new Registry();
  const refresh = addAccountMetrics(registry, context);
  for (let scrape = 0; scrape < 3; scrape += 1) await refresh();
  assert.equal(asked.length, 10);
  const text = await registry.metrics();
  const shown = text.split('\n').filter((line) => line.startsWith('dragonlock_account_bytes{'));
  assert.equal(shown.length, 100);
  assert.ok(shown.every((line) => line.includes('account="a10-')));
  assert.match(text, /dragonlock_account_entries\{account="a10-5"\} 5\n/);
  assert.match(text, /dragonlock_account_waiters\{account="a10-5"\} 7\n/);
});
