import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Comparison, type Said } from '../../support/contract/comparison.ts';
import type { Quota } from '../../support/contract/usage.ts';
import { difference } from '../../support/contract/expected.ts';
import { CoreUnderTest, startOfTime, type Asked } from '../../support/core-under-test.ts';
import { MapEntries } from '../../support/map-entries.ts';
import { Quotas } from '../../../src/protocol/quotas.ts';
import { historyOf, seeded, stepsOf, type History } from '../../support/generators/model-histories.ts';

/** Each run must see these at least once: every kind of command, with success and, where possible, failure. */
export const outcomes = [
  'lock:ok try:busy not_locked wait:ran-out owner:took-over extend:ok extend:lock_lost unlock:ok unlock:lock_lost',
  'read:ok permit:ok limit_mismatch no_upgrade',
  'guard:ok guard:lock_lost check:ok check:version_mismatch check:precondition_failed set:ok set:version_mismatch delete:ok delete:version_mismatch',
  'counter:ok counter:precondition_failed counter:overflow counter:out_of_bounds sequence:ok sequence:overflow get:ok ops:ok',
  'idempotency:ok replay duplicate_request idempotency_mismatch request_in_progress',
  'kv.get:ok kv.get:not_found kv.set:ok kv.delete:ok counter.get:ok counter.get:not_found counter.add:ok counter.add:out_of_bounds counter.reset:ok',
  'sequence.get:ok sequence.get:not_found sequence.next:ok sequence.reset:ok lock.acquire:ok lock.release:ok',
  'mutex.lock:ok mutex.unlock:ok mutex.unlock:lock_lost kv.list:ok lock.list:ok inspect:ok inspect:lock_lost',
  'enqueue:ok enqueue:quota_exceeded enqueue:invalid dequeue:ok ack:ok ack:receipt_expired nack:ok nack:receipt_expired extend:ok extend:receipt_expired',
  'queue.send:ok queue.ack:ok queue.ack:receipt_expired queue.nack:ok queue.nack:receipt_expired queue.extend:ok queue.policy:ok queue.delete:ok',
  'queue.pause:ok queue.resume:ok queue.purge:ok queue.redrive:ok queue.stat:ok queue.list:ok queue.peek:ok',
  'task.create:ok task.create:duplicate_task task.create:version_mismatch tasks:ok tasks:invalid task.cancel:ok task.cancel:version_mismatch',
  'task.pause:ok task.resume:ok task.run:ok task.run:not_found task.get:ok task.get:not_found task.list:ok',
  'watch:registered watch:answered',
  'limit:ok limit:limited limit:held limit:looked limit.take:limited limit.take:ok kv.clear:ok counter.list:ok range:ok account.usage:ok',
].flatMap((line) => line.split(' '));

test('the core answers every random history as the contract says', () => {
  const covered = new Set<string>();
  fc.assert(
    fc.property(historyOf(220), (history) => {
      for (const what of runHistory(history)) covered.add(what);
    }),
    seeded(400),
  );
  assert.deepEqual(
    outcomes.filter((what) => !covered.has(what)),
    [],
    'every outcome has been seen',
  );
});

/** What is refused over a quota, and what is served there. */
const overQuota = [
  'quota_exceeded limit.take:quota_exceeded',
  'kv.set:quota_exceeded counter.add:quota_exceeded sequence.next:quota_exceeded queue.send:quota_exceeded',
  'lock.acquire:quota_exceeded',
  'set:ok delete:ok unlock:ok dequeue:ok ack:ok nack:ok kv.delete:ok queue.ack:ok queue.purge:ok kv.clear:ok',
].flatMap((line) => line.split(' '));

test('over a quota of entries or messages the core refuses what adds, and nothing else', () => {
  const covered = new Set<string>();
  fc.assert(
    fc.property(
      historyOf(220),
      fc.integer({ min: 3, max: 16 }),
      fc.integer({ min: 0, max: 6 }),
      (history, entries, messages) => {
        for (const what of runHistory(history, { entries, messages })) covered.add(what);
      },
    ),
    seeded(100),
  );
  assert.deepEqual(
    overQuota.filter((what) => !covered.has(what)),
    [],
    'every outcome has been seen',
  );
});

function runHistory(history: History, quota: Quota = { entries: 0, messages: 0 }): Set<string> {
  const { entries, messages } = quota;
  const limits = {
    account_bytes_max: 0,
    account_entries_max: entries,
    account_messages_max: messages,
    account_tasks_max: 0,
  };
  const core = new CoreUnderTest({ entries: new MapEntries(new Quotas(limits)) });
  const comparison = new Comparison(startOfTime, 1, false, quota);
  const { model } = comparison;
  const open = new Map<number, Asked>();
  let events = 0;

  const compare = (happens: () => void): void => {
    const said: Said[] = [];
    for (const [ref, asked] of open) {
      if (asked.reply === undefined) continue;
      open.delete(ref);
      said.push({ ref, reply: asked.reply });
    }
    const expectedEvents = comparison.step(said, happens);
    const told = core.events.slice(events).map(({ event }) => event);
    events = core.events.length;
    assert.deepEqual(told.map(({ key }) => key).toSorted(), expectedEvents.map(({ key }) => key).toSorted());
    for (const expected of expectedEvents) {
      const { Rev, ...body } = JSON.parse(told.find(({ key }) => key === expected.key)!.body) as { Rev: number };
      assert.equal(difference(expected.body, body), undefined);
      if (expected.rev !== undefined) assert.equal(Rev, expected.rev);
    }
  };

  let ref = 0;
  for (const step of stepsOf(history, model.state, false)) {
    ref += 1;
    switch (step.kind) {
      case 'command':
        open.set(ref, core.ask(step.command));
        compare(() => model.submit(ref, step.command));
        break;
      case 'advance': {
        const end = core.now + step.ms;
        for (let at = model.nextEnd(); at <= end; at = model.nextEnd()) {
          core.advance(at - core.now);
          compare(() => model.passTo(at));
        }
        core.advance(end - core.now);
        compare(() => model.passTo(end));
        break;
      }
      case 'cancel': {
        const waiting = model.waiting();
        const gone = waiting[step.pick % waiting.length];
        if (gone === undefined) break;
        core.cancel(open.get(gone)!);
        open.delete(gone);
        compare(() => model.cancel(gone));
        break;
      }
      case 'restart':
        break;
    }
  }
  return comparison.covered;
}
