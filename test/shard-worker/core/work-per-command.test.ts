/**
 * No command looks at more entries than one page does, however many its account has, live or lapsed. The lists of
 * sections and commands are the server's own: a new one has to say here how it is asked.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serverAccount } from '../../../src/protocol/ids.ts';
import { accountsAfter, longestLines } from '../../../src/protocol/operations/admin.ts';
import type { Batch, Command, CommandKind, SectionName } from '../../../src/protocol/operations/operations.ts';
import { kinds, type Kind } from '../../../src/protocol/record.ts';
import { encodeLockRecord } from '../../../src/shard-worker/core/state/lock-record.ts';
import { pageScanMax } from '../../../src/shared/limits.ts';
import { acme, batch, inspect, kvList, lock, lockList, mlock, munlock, once, watch } from '../../support/commands.ts';
import { message, peek, queueList, redrive, send, take } from '../../support/queue-commands.ts';
import { CoreUnderTest } from '../../support/core-under-test.ts';
import { newTaskState, taskOf } from '../../support/task-commands.ts';
import { CountedEntries } from '../../support/counted-entries.ts';

const things = 3000;
/** What a command needs beside the rows of a page: its own entry, and those that it writes. */
const slack = 30;
/** A message first ends what is due: so many entries of each kind at most (core/expiry.ts). */
const endedPerTurn = 500;

const commands: { readonly [Kind in CommandKind]: readonly Command[] } = {
  'kv.list': [kvList(''), kvList('nothing'), kvList('t0', { after: 't00005', limit: 1 })],
  'counter.list': [
    { ...kvList(''), kind: 'counter.list' },
    { ...kvList('t0', { after: 't00005', limit: 1 }), kind: 'counter.list' },
  ],
  'lock.list': [lockList(''), lockList('nothing'), lockList('t0', { after: 't00005', limit: 1 })],
  'lock.inspect': [inspect('t00001'), inspect('absent')],
  'mutex.lock': [mlock('t00001'), mlock('absent')],
  'mutex.unlock': [munlock('t00001', { fence: 1 }), munlock('absent', { fence: 1 })],
  'queue.list': [queueList(''), queueList('nothing')],
  'queue.stat': [{ kind: 'queue.stat', account: acme, queue: 'crowd' }],
  'queue.peek': (['ready', 'inflight', 'delayed', 'dead', 'blocked'] as const).map((state) => {
    return peek(state, { queue: 'crowd' });
  }),
  'script.list': [{ kind: 'script.list', account: acme, prefix: '', limit: 1000 }],
  'script.get': [{ kind: 'script.get', account: acme, id: 't00001' }],
  'account.export': [
    { kind: 'account.export', account: acme, prefix: '', limit: 1000 },
    { kind: 'account.export', account: acme, prefix: '', limit: 1000, after: '3crowd' },
  ],
  'account.usage': [{ kind: 'account.usage', account: acme }],
  'task.list': [
    { ...kvList(''), kind: 'task.list' },
    { ...kvList('t0', { after: 't00005', limit: 1 }), kind: 'task.list', state: 'dead' },
  ],
  'task.get': [{ kind: 'task.get', account: acme, id: 't00001' }],
  'task.begin': [{ kind: 'task.begin', account: acme, id: 't00001', version: 1 }],
  'flow.get': [{ kind: 'flow.get', account: acme, id: 'f' }],
  'task.due': [{ kind: 'task.due', account: serverAccount, bytesMax: 1000 }],
  'watch.key': [watch('t00001', 0), watch('absent', 0)],
  'watch.lock': ['t00001', 'absent'].map((id) => ({ kind: 'watch.lock', account: acme, id, version: 0 })),
  'account.list': [accountsAfter(undefined, 100)],
  'lock.longest': [longestLines(undefined)],
  'lock.line': [{ kind: 'lock.line', account: acme, id: 't00001' }],
  'audit.list': [{ kind: 'audit.list', account: acme, limit: 100 }],
};

const batches: { readonly [Name in SectionName | 'idempotency']: Partial<Batch> } = {
  guard: { guard: [{ id: 't00001', fence: 1 }] },
  unlock: { unlock: { id: 't00001', fence: 1 } },
  lock: lock('t00001'),
  locks: { locks: [{ id: 't00001', durMs: 1000, waitMs: 0, extend: 7 }] },
  unlocks: { unlocks: [{ id: 't00001', fence: 1 }, { id: 't00002' }] },
  check: { check: [{ key: 't00001', version: 1 }] },
  limit: { limit: [{ key: 't00001', rateThousandths: 1000, perMs: 1000, burst: 5, cost: 1, waitMs: 0 }] },
  counter: { counter: [{ key: 't00001', op: 'add', n: 1 }] },
  sequence: { sequence: { key: 't00001', op: 'next', n: 1 } },
  get: { get: ['t00001'] },
  set: { set: [{ key: 't00001', value: '1' }] },
  ops: { ops: [{ kind: 'append', key: 't00001', value: '"1"' }] },
  // Each key of the page is looked at, and then deleted.
  clear: { format: 'kv.clear', clear: { prefix: 't', limit: 500 } },
  range: { range: { prefix: 't', limit: 1000, place: 0 } },
  tasks: { tasks: [taskOf('t00001')] },
  taskCancel: { taskCancel: [{ key: 't00001' }] },
  taskChange: { taskChange: { key: 't00001', change: 'pause' } },
  taskEnd: { taskEnd: [{ key: 't00001', version: 1, state: newTaskState(1), till: 1 }] },
  ack: { ack: [{ key: 'crowd', id: '1-0', lock: 2 }] },
  nack: { nack: [{ key: 'crowd', id: '1-0', lock: 2 }] },
  extend: { extend: [{ key: 'crowd', id: '1-0', lock: 2, durMs: 1000 }] },
  dequeue: take({ key: 'crowd', max: 10 }),
  enqueue: send(message(1, { key: 'crowd', group: 'g' }), message(2, { key: 'crowd' })),
  taskSetting: { taskSetting: { key: 'flow:f', change: 'flow.set', flow: { perMs: 1000, paused: false } } },
  queueChange: redrive('retry', { key: 'crowd', limit: 1 }),
  load: { format: 'account.import', load: [{ kind: 'sequence', key: 't00001', value: 7 }] },
  same: { same: [{ prefix: 't', rows: [], last: 't00001' }] },
  script: { format: 'script.put', script: { key: 't00001', source: 'x' } },
  answer: { format: 'script.call', ...once('t00001'), answer: { key: 't00001', members: '"Result":1,' } },
  audit: { audit: { action: 'test', subject: 't00001', who: 'ops', from: '::1' } },
  idempotency: { ...once('t00001'), set: [{ key: 't00001', value: '1' }] },
  // The last, because nothing else is served behind it.
  wipe: { format: 'account.delete', wipe: {} },
};

/** @param till of all that the account has */
function crowded(till: (now: number) => number): { core: CoreUnderTest; entries: CountedEntries } {
  const entries = new CountedEntries();
  const core = new CoreUnderTest({ entries });
  const free = encodeLockRecord({ mode: 'exclusive', limit: 1, holders: [], ended: [] });
  const values: Partial<Record<Kind, string>> = {
    [kinds.kv]: '1',
    [kinds.lock]: free,
    [kinds.limit]: '[0,0]',
    [kinds.idempotency]: '[2,"f",1,1,{"format":"batch"},{}]',
  };
  for (let i = 0; i < things; i += 1) {
    const key = `t${`${i}`.padStart(5, '0')}`;
    for (const kind of [kinds.kv, kinds.lock, kinds.idempotency, kinds.counter, kinds.sequence, kinds.limit]) {
      const value = values[kind];
      const ends = value === undefined ? 0 : till(core.now);
      entries.put(kind, acme, key, { rev: core.revisions.next(), till: ends, value: value ?? '1' });
    }
  }
  return { core, entries };
}

for (const [what, till, more] of [
  ['all that it has is live', () => 0, 0],
  ['the time of all that it has is over', (now: number) => now, endedPerTurn],
] as const) {
  test(`a command looks at no more entries than a page has, when ${what}`, () => {
    const asked = [
      ...Object.entries(commands).flatMap(([name, list]) => list.map((command) => ({ name, command }))),
      ...Object.entries(batches).map(([name, parts]) => ({ name, command: batch(parts) })),
    ];
    const { core, entries } = crowded(till);
    const over: string[] = [];
    for (const { name, command } of asked) {
      entries.looked = 0;
      core.ask(command);
      // Each end that is committed reads its entry, and deletes it.
      if (entries.looked > pageScanMax + slack + 3 * more) over.push(`${name}: ${entries.looked}`);
    }
    assert.deepEqual(over, []);
  });
}
