/** Watches over a log that cannot be read: the reader gets an answer, and nothing is thrown. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId, revision } from '../../../src/protocol/ids.ts';
import type { JournalSource, TailRead } from '../../../src/protocol/journal.ts';
import type { Reply } from '../../../src/protocol/replies.ts';
import { RouterCounts } from '../../../src/router/router-counts.ts';
import { PrefixWatches } from '../../../src/router/watch/prefix-watches.ts';
import { defaultLimits } from '../../../src/shared/limits.ts';

interface Watches {
  readonly watches: PrefixWatches;
  readonly counts: RouterCounts;
  /** Runs what is due now. */
  readonly turn: () => void;
  readonly timers: { readonly ms: number; readonly run: () => void }[];
  readonly poll: (after: number) => { reply?: Reply };
}

/** @param read what the tail of the n-th reader returns next */
function watchesOver(read: (reader: number) => TailRead, restoredTo?: number): Watches {
  const due: (() => void)[] = [];
  const timers: { ms: number; run: () => void }[] = [];
  const counts = new RouterCounts(RouterCounts.allocate(1), 1);
  let readers = 0;
  const source: JournalSource = {
    replay: () => [],
    tail: (after) => {
      const reader = readers++;
      return { position: after, read: () => read(reader), close: () => {} };
    },
  };
  const watches = new PrefixWatches({
    source,
    counts,
    ...(restoredTo !== undefined && { restoredTo: revision(restoredTo) }),
    durable: () => revision(20),
    limits: defaultLimits,
    defer: (run) => due.push(run),
    after: (ms, run) => {
      timers.push({ ms, run });
      return () => {};
    },
  });
  const poll = (after: number): { reply?: Reply } => {
    const got: { reply?: Reply } = {};
    const sink = { disconnected: false, deliver: (reply: Reply) => void (got.reply = reply) };
    const watch = { account: accountId('acme'), prefix: '', after: revision(after), waitMs: 30_000, limit: 10 };
    watches.watch(watch, sink);
    return got;
  };
  return { watches, counts, timers, poll, turn: () => due.splice(0).forEach((run) => run()) };
}

test('history that is damaged: the reader is told to list again, and where it can go on; others go on', () => {
  const steps: TailRead[] = [{ kind: 'damaged', oldest: revision(12) }, { kind: 'idle' }];
  const { counts, poll, turn } = watchesOver((reader) => steps[reader]!);
  const damaged = poll(5);
  const other = poll(20);
  turn();
  assert.equal(damaged.reply?.outcome, 'compacted');
  assert.partialDeepStrictEqual(JSON.parse(damaged.reply?.body ?? ''), { Code: 'compacted', Oldest: 11 });
  assert.equal(other.reply, undefined, 'it waits');
  assert.equal(counts.historyDamage.stats().refused, 1);
  assert.equal(counts.prefixWatches.value, 1);
});

test('too many open files: who catches up is told to try again, who is up to date only waits', () => {
  let busy = false;
  const { watches, counts, poll, timers, turn } = watchesOver(() => (busy ? { kind: 'busy' } : { kind: 'idle' }));
  const live = poll(20);
  turn();
  busy = true;
  const late = poll(5);
  assert.equal(late.reply?.outcome, 'overloaded');
  watches.advance();
  turn();
  assert.equal(live.reply, undefined);
  busy = false;
  const retry = timers.find(({ ms }) => ms === 100);
  assert.ok(retry !== undefined, 'the live tail is read again a moment later');
  watches.advance();
  retry.run();
  assert.equal(counts.prefixWatches.value, 1);
  assert.equal(counts.historyDamage.stats().refused, 0);
});

test('a damaged place is told of once over all front ends, and lines in the log are bounded', () => {
  const memory = RouterCounts.allocate(3);
  const [one, two] = [new RouterCounts(memory, 3).historyDamage, new RouterCounts(memory, 3).historyDamage];
  const place = {
    file: 'journal-0000000000000001.log',
    offset: 512,
    reason: 'why',
    first: revision(7),
    last: revision(9),
  };
  assert.deepEqual([one.found(place), two.found(place), one.found(place)], [true, false, false]);
  assert.deepEqual(two.stats(), { places: 1, refused: 0, firstRevision: 7, lastRevision: 9 });
  let told = 0;
  for (let offset = 1000; offset < 2000; offset += 1) {
    if (two.found({ ...place, offset, first: revision(3), last: revision(offset) })) told += 1;
  }
  assert.equal(told, 63);
  assert.partialDeepStrictEqual(one.stats(), { firstRevision: 3, lastRevision: 1999 });
});

test('a cursor from before a restore is told so; one from after it, whose history is gone, is not', () => {
  const { poll, turn } = watchesOver(() => ({ kind: 'compacted', oldest: revision(12) }), 8);
  const [before, after] = [poll(7), poll(8)];
  turn();
  assert.partialDeepStrictEqual(JSON.parse(before.reply?.body ?? ''), { Code: 'compacted', Oldest: 11, Reset: true });
  assert.equal((JSON.parse(after.reply?.body ?? '') as { Reset?: true }).Reset, undefined);
});
