/** The audit log: written in the commit of what it tells, bounded, read from its end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kinds } from '../../../src/protocol/record.ts';
import type { AuditOperation } from '../../../src/protocol/operations/audit.ts';
import { auditEntriesMax, auditMs } from '../../../src/shared/limits.ts';
import { acme, batch, lock, unlock } from '../../support/commands.ts';
import { CoreUnderTest, startOfTime } from '../../support/core-under-test.ts';

function noted(subject: string, more: Partial<AuditOperation> = {}): AuditOperation {
  return { action: 'lock.force', subject, who: 'ops', from: '10.0.0.1', ...more };
}

interface Row {
  readonly ID: number;
  readonly Subject: string;
  readonly [member: string]: unknown;
}

function page(core: CoreUnderTest, ask: { after?: number; action?: string; limit?: number } = {}) {
  const body = core.ok({ kind: 'audit.list', account: acme, limit: 100, ...ask });
  return { rows: body['Audit'] as Row[], after: body['After'] };
}

test('a force and its entry are one commit; the loser is told the reason, over a restart of its lock too', () => {
  const core = new CoreUnderTest();
  const held = core.ok(lock('l', { owner: 'me' }));
  const before = core.records.length;
  const { Rev } = core.ok({ ...unlock('l'), audit: noted('l', { reason: 'stuck "ü"' }) });
  assert.equal(core.records.length, before + 1);
  const written = core.records.at(-1)!.effects.map(({ kind }) => kind);
  assert.deepEqual(written, [kinds.lock, kinds.audit, kinds.audit]);
  const [row] = page(core).rows;
  assert.deepEqual(row, {
    ID: 1,
    Rev,
    At: startOfTime,
    Who: 'ops',
    From: '10.0.0.1',
    Action: 'lock.force',
    Account: 'acme',
    Subject: 'l',
    Reason: 'stuck "ü"',
  });
  for (const how of [{ fence: held.Lock }, { owner: 'me' }]) {
    const lost = core.ask(unlock('l', how));
    assert.deepEqual([lost.code, lost.body.Why, lost.body['Reason']], ['lock_lost', 'forced', 'stuck "ü"']);
  }
  core.ok(lock('l', { owner: 'other' }));
  core.ok({ ...unlock('l'), audit: noted('l') });
  assert.equal(core.ask(unlock('l', { owner: 'other' })).body['Reason'], undefined);
  assert.equal(core.ask(unlock('l', { owner: 'me' })).body['Reason'], 'stuck "ü"');
});

test('a batch that fails leaves no entry', () => {
  const core = new CoreUnderTest();
  const before = core.digest();
  assert.equal(core.ask(batch({ unlock: { id: 'l', fence: 7 }, audit: noted('l') })).code, 'lock_lost');
  assert.equal(core.digest(), before);
});

test('the newest entries come first, in pages, and an action can be asked for', () => {
  const core = new CoreUnderTest();
  for (let i = 1; i <= 5; i += 1)
    core.ok(batch({ audit: noted(`l${i}`, { action: i % 2 === 0 ? 'queue.purge' : 'lock.force' }) }));
  const first = page(core, { limit: 2 });
  assert.deepEqual([first.rows.map(({ Subject }) => Subject), first.after], [['l5', 'l4'], 4]);
  const second = page(core, { limit: 2, after: 4 });
  assert.deepEqual([second.rows.map(({ Subject }) => Subject), second.after], [['l3', 'l2'], 2]);
  const last = page(core, { limit: 2, after: 2 });
  assert.deepEqual([last.rows.map(({ Subject }) => Subject), last.after], [['l1'], undefined]);
  const purges = page(core, { action: 'queue.purge' });
  assert.deepEqual(
    purges.rows.map(({ ID }) => ID),
    [4, 2],
  );
  assert.deepEqual(page(core, { action: 'queue' }).rows, [], 'a part of a name is another name');
});

test('the log of an account does not grow beyond its limit', () => {
  const core = new CoreUnderTest();
  core.entries.put(kinds.audit, acme, '\0h', { rev: 1 as never, till: 0, value: String(auditEntriesMax + 1) });
  for (const number of [1, 2])
    core.entries.put(kinds.audit, acme, `\0e${String(number).padStart(12, '0')}`, {
      rev: 1 as never,
      till: 0,
      value: '{"Action":"lock.force"}',
    });
  const before = [...core.entries.range(kinds.audit, acme, '\0e')].length;
  core.ok(batch({ audit: noted('l') }));
  const left = [...core.entries.range(kinds.audit, acme, '\0e')];
  assert.equal(left.length, before, 'one has come, one has gone');
  assert.equal(left[0]!.key, `\0e${'2'.padStart(12, '0')}`, 'the oldest');
});

test('entries end after their time, and the numbers go on', () => {
  const core = new CoreUnderTest();
  core.ok(batch({ audit: noted('old') }));
  core.advance(auditMs + 1);
  assert.deepEqual(page(core).rows, []);
  core.ok(batch({ audit: noted('new') }));
  assert.deepEqual(
    page(core).rows.map(({ ID }) => ID),
    [2],
  );
});

test('a force is noted while the disk has only its reserve', () => {
  const core = new CoreUnderTest();
  core.ok(lock('l', { owner: 'me' }));
  core.state.outOfSpace = { space: 'reserve', failure: { code: 'disk_full', message: 'full' } };
  core.ok({ ...unlock('l'), audit: noted('l') });
  assert.equal(page(core).rows.length, 1);
});
