import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Comparison, type Said } from '../../support/compare-with-model.ts';
import { CoreUnderTest, startOfTime, type Asked } from '../../support/core-under-test.ts';
import { NaiveServer } from '../../support/naive-server.ts';
import { historyOf, seeded, stepsOf, type History } from '../../support/random-commands.ts';

/** What a run has to have seen at least once: every kind of command, succeeding and, where it can, failing. */
export const outcomes = [
  'lock:ok try:busy not_locked wait:ran-out owner:took-over extend:ok extend:lock_lost unlock:ok unlock:lock_lost',
  'guard:ok guard:lock_lost check:ok check:version_mismatch set:ok set:version_mismatch delete:ok delete:version_mismatch',
  'counter:ok counter:precondition_failed counter:overflow sequence:ok sequence:overflow get:ok',
  'idempotency:ok replay duplicate_request idempotency_mismatch request_in_progress',
  'kv.get:ok kv.get:not_found kv.set:ok kv.delete:ok counter.get:ok counter.get:not_found counter.add:ok counter.reset:ok',
  'sequence.get:ok sequence.get:not_found sequence.next:ok sequence.reset:ok lock.acquire:ok lock.release:ok',
  'mutex.lock:ok mutex.unlock:ok mutex.unlock:lock_lost kv.list:ok lock.list:ok inspect:ok inspect:lock_lost',
  'watch:registered watch:answered',
].flatMap((line) => line.split(' '));

test('the core answers every random history as the contract says', () => {
  const covered = new Set<string>();
  fc.assert(
    fc.property(historyOf(150), (history) => {
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

function runHistory(history: History): Set<string> {
  const core = new CoreUnderTest();
  const model = new NaiveServer(startOfTime);
  const comparison = new Comparison(model);
  const open = new Map<number, Asked>();
  let events = 0;

  const compare = (): void => {
    const said: Said[] = [];
    for (const [ref, asked] of open) {
      if (asked.reply === undefined) continue;
      open.delete(ref);
      said.push({ ref, reply: asked.reply });
    }
    comparison.step(said);
    const told = core.events.slice(events).map(({ event }) => event);
    events = core.events.length;
    assert.deepEqual(told.map(({ key }) => key).toSorted(), model.events.map(({ key }) => key).toSorted());
    for (const expected of model.events) {
      const { Rev, ...body } = JSON.parse(told.find(({ key }) => key === expected.key)!.body) as { Rev: number };
      assert.deepEqual(body, expected.body());
      if (expected.commit !== undefined) assert.equal(Rev, expected.commit.rev);
    }
    model.events = [];
  };

  let ref = 0;
  for (const step of stepsOf(history, model, false)) {
    ref += 1;
    switch (step.kind) {
      case 'command':
        open.set(ref, core.ask(step.command));
        model.submit(ref, step.command);
        compare();
        break;
      case 'advance': {
        const end = core.now + step.ms;
        for (let at = model.nextEnd(); at <= end; at = model.nextEnd()) {
          core.advance(at - core.now);
          model.passTo(at);
          compare();
        }
        core.advance(end - core.now);
        model.passTo(end);
        compare();
        break;
      }
      case 'cancel': {
        const waiting = model.waiting();
        const gone = waiting[step.pick % waiting.length];
        if (gone === undefined) break;
        core.cancel(open.get(gone)!);
        open.delete(gone);
        model.cancel(gone);
        compare();
        break;
      }
      case 'restart':
        break;
    }
  }
  return comparison.covered;
}
