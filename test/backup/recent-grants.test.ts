/** What the last hour before a restored moment has granted counts, whether a copy lies before it or after; older grants do not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RecentGrants } from '../../src/backup/restore/recent-grants.ts';
import { accountId } from '../../src/protocol/ids.ts';
import { kinds, type Effect } from '../../src/protocol/record.ts';
import { BackedUpStore, contentIn, restoreFrom } from '../support/backed-up-store.ts';
import { MemoryStorage } from '../support/memory-storage.ts';

const account = accountId('a');
const minuteMs = 60_000;

function leased(key: string, durMs: number): Effect {
  return { kind: kinds.lock, key, till: 0, value: `[3,"x",1,1,7,1000,${durMs},"me",0]` };
}

function freed(key: string): Effect {
  return { kind: kinds.lock, key, till: 0, value: '[3,"x",1,0]' };
}

test('recent grants: the longest lease of the hour counts, also where a later one is shorter', () => {
  const recent = new RecentGrants();
  const steps = [
    [0, 900_000],
    [10, 300_000],
    [20, 400_000],
    [30, 200_000],
  ] as const;
  for (const [minute, durMs] of steps)
    recent.add({ account, effects: [leased('l', durMs), freed('other')] }, minute * minuteMs);
  const longest = (from: number): number[] => recent.leasesSince(from * minuteMs).map(({ durMs }) => durMs);
  assert.deepEqual([0, 1, 20, 21, 31].map(longest), [[900_000], [400_000], [400_000], [200_000], []]);
});

test('recent grants: a log of millions of locks is not kept for longer than an hour', () => {
  const recent = new RecentGrants();
  for (let at = 0; at < 150_000; at += 1) {
    recent.add({ account, effects: [leased(`${at}`, 1000), sequence(`${at}`)] }, at * 100);
  }
  const kept = recent.leasesSince(0).length;
  assert.ok(kept >= 36_000 && kept < 100_000, `kept ${kept}`);
  assert.equal(recent.sequencesSince(0).length, kept);
});

function sequence(key: string): Effect {
  return { kind: kinds.sequence, key, till: 0, value: '1' };
}

for (const copied of ['before', 'within', 'after'] as const) {
  test(`a restore whose copy lies ${copied} the hour knows its leases and sequences, and no older ones`, async (t) => {
    const storage = new MemoryStorage();
    const server = await BackedUpStore.open(t, { storage, settings: { copy_hours: 1000 } });
    const copy = async (): Promise<void> => {
      await server.checkpointAll();
      server.cells.add('askedForCopies', 1);
      await server.settle();
    };
    await server.agent.look();
    server.commit(account, [leased('old', 400_000), sequence('old')]);
    server.commit(account, [freed('old')]);
    await server.settle();
    if (copied === 'before') await copy();
    server.advance(90 * minuteMs);
    server.commit(account, [leased('early', 500_000), sequence('early')]);
    server.commit(account, [freed('early')]);
    await server.settle();
    if (copied === 'within') await copy();
    server.advance(30 * minuteMs);
    server.commit(account, [leased('late', 600_000), sequence('late')]);
    server.commit(account, [freed('late')]);
    await server.settle();
    if (copied === 'after') await copy();
    const { report, directory } = await restoreFrom(t, storage, { kind: 'latest' });
    assert.equal(
      report.copy,
      storage
        .keys('copy/')
        .findLast((key) => key.endsWith('manifest.json'))
        ?.replace('manifest.json', ''),
    );
    assert.deepEqual(report.sequences.toSorted(), ['a/early', 'a/late']);
    assert.equal(report.locksWithLongerGrace, 2);
    assert.deepEqual((await contentIn(directory)).content, server.contentAt(server.last));
  });
}
