import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId } from '../../../src/protocol/ids.ts';
import { HistoryTurns } from '../../../src/router/watch/history-turns.ts';

const [a, b] = [accountId('a'), accountId('b')];

interface Reader {
  readonly account: typeof a;
  readonly name: string;
}

function turns(places: number) {
  const deferred: (() => void)[] = [];
  const started: string[] = [];
  const history = new HistoryTurns<Reader>(places, {
    start: ({ name }) => started.push(name),
    defer: (run) => deferred.push(run),
  });
  const settle = (): void => {
    for (let run = deferred.shift(); run !== undefined; run = deferred.shift()) run();
  };
  return { history, started, settle };
}

test('so many read at a time, one place is left for another account, and accounts take turns', () => {
  const { history, started, settle } = turns(3);
  const [a1, a2, a3, a4] = [1, 2, 3, 4].map((n) => ({ account: a, name: `a${n}` })) as [Reader, Reader, Reader, Reader];
  const [b1, b2] = [1, 2].map((n) => ({ account: b, name: `b${n}` })) as [Reader, Reader];
  for (const reader of [a1, a2, a3, a4]) history.enter(reader);
  assert.deepEqual(started, ['a1', 'a2']);
  history.enter(b1);
  history.enter(b2);
  assert.deepEqual(started, ['a1', 'a2', 'b1']);
  history.leave(a1);
  assert.equal(started.length, 3, 'not within the call');
  settle();
  history.leave(a2);
  settle();
  assert.deepEqual(started.slice(3).toSorted(), ['a3', 'b2'], 'each account has its turn');
  history.leave(a4);
  history.leave(b1);
  settle();
  assert.equal(started.length, 5, 'one that has left is not started');
});
