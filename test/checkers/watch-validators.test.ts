/** Each promise of a watch has a stream that keeps it, and one that breaks it and is named. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  checkWatches,
  watchValidators,
  type Commit,
  type WatchEvent,
  type WatchStream,
} from '../support/checkers/watch-validators.ts';

const event = (Key: string, Rev: number, Value: unknown = Rev): WatchEvent => ({ Key, Version: Rev, Value, Rev });
const gone = (Key: string, Rev: number): WatchEvent => ({ Key, Version: 0, Deleted: true, Expired: true, Rev });

const history: readonly Commit[] = [
  { rev: 2, events: [event('a/1', 2)] },
  { rev: 3, events: [event('b', 3)] },
  { rev: 5, events: [event('a/1', 5), event('a/2', 5), event('b', 5)] },
  { rev: 6, events: [gone('a/2', 6)] },
  { rev: 9, events: [event('a/3', 9)] },
];

function stream(after: number, responses: readonly (readonly WatchEvent[] | number)[], id = 'w'): WatchStream {
  return {
    id,
    prefix: 'a/',
    after,
    responses: responses.map((told) => (typeof told === 'number' ? { events: [], rev: told } : { events: told })),
  };
}

const two = [event('a/1', 2)];
const five = [event('a/1', 5), event('a/2', 5)];
const six = [gone('a/2', 6)];
const nine = [event('a/3', 9)];

test('streams that keep all promises pass: whole, resumed, in one piece or many, with bookmarks, empty', () => {
  const good = [
    stream(0, [two, five, six, nine]),
    stream(0, [[...two, ...five], 5, [...six, ...nine], 9]),
    stream(2, [4, five, six]),
    stream(5, [six, 8, nine, 12]),
    stream(9, []),
    stream(0, []),
  ];
  assert.deepEqual(checkWatches(good, history), []);
});

const bad: Readonly<Record<keyof typeof watchValidators, readonly [WatchStream, RegExp][]>> = {
  ordered: [[stream(0, [two, six, five, nine]), /"Rev":5.* after .*"Rev":6/]],
  unique: [[stream(0, [two, five, five, six]), /twice of .*"Rev":5/]],
  counter: [
    [stream(0, [two, [five[0]!], [five[1]!], six]), /revision 5 in response 1, and again in response 2/],
    [stream(2, [[five[0]!]]), /a part of revision 5: .*"a\/2"/],
  ],
  reliable: [
    [stream(0, [two, six]), /revision 6, and not of .*"a\/1".*"Rev":5/],
    [stream(0, [two, [event('a/9', 4)]]), /"a\/9".*which nobody committed/],
    [stream(0, [[event('a/1', 2, 'other')]]), /"other".*, which is .*"Value":2/],
  ],
  resumable: [
    [stream(5, [nine]), /cursor 5 and began with .*"Rev":9.* instead of .*"Rev":6/],
    [stream(5, [five, six]), /"Rev":5.*, which is not after its cursor 5/],
  ],
  bookmarkable: [
    [stream(0, [two, 5, six]), /the bookmark 5 without .*"Rev":5/],
    [stream(0, [two, 6, five, six]), /"Rev":5.* after the bookmark 6/],
    [stream(0, [two, five, 5, 4]), /the bookmark 4 after 5/],
  ],
};

for (const [name, cases] of Object.entries(bad)) {
  test(`${name}: what breaks it is caught and named`, () => {
    for (const [streams, message] of cases) {
      const found = watchValidators[name as keyof typeof watchValidators]([streams], history);
      assert.match(found.map((violation) => violation.message).join('\n'), message);
      assert.deepEqual(found[0]!.operations, ['w']);
    }
  });
}

test('any event that is left out before the last, doubled, moved or changed is caught', () => {
  const whole = [...two, ...five, ...six, ...nine];
  assert.deepEqual(checkWatches([stream(0, [whole])], history), []);
  for (let i = 0; i < whole.length - 1; i++) {
    const swapped = whole.with(i, whole[i + 1]!).with(i + 1, whole[i]!);
    const doubled = whole.toSpliced(i, 0, whole[i]!);
    const changed = whole.with(i, { ...whole[i]!, Version: whole[i]!.Version + 1 });
    // The changes of one commit have no order.
    const faults = [whole.toSpliced(i, 1), doubled, changed, ...(whole[i]!.Rev === whole[i + 1]!.Rev ? [] : [swapped])];
    for (const events of faults) {
      assert.notEqual(checkWatches([stream(0, [events])], history).length, 0, JSON.stringify(events));
    }
  }
});
