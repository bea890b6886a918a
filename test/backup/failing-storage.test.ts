/** Whatever the storage does: nothing is lost, nothing is written twice, and what is lost is said. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BackupCells, JournalHold } from '../../src/backup/backup-cells.ts';
import { payloadCodec } from '../../src/backup/format/payload.ts';
import { Repository } from '../../src/backup/repository/repository.ts';
import { NoSuchMoment } from '../../src/backup/restore/restore-plan.ts';
import { HoldGuard } from '../../src/backup/ship/hold-guard.ts';
import { storageFaults } from '../../src/backup/storage/storage.ts';
import { verify } from '../../src/backup/verify/verify.ts';
import { accountId } from '../../src/protocol/ids.ts';
import { kinds, type Effect } from '../../src/protocol/record.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { BackedUpStore, contentIn, restoreFrom } from '../support/backed-up-store.ts';
import { MemoryStorage } from '../support/memory-storage.ts';

const account = accountId('acc');
const set = (key: string, value: string): Effect => ({ kind: kinds.kv, key, till: 0, value: JSON.stringify(value) });

async function verified(storage: MemoryStorage) {
  const repository = await Repository.open(storage, await payloadCodec({}));
  return verify(repository, { read: true, random: Math.random });
}

test('calls that fail before or after they were done leave no hole and nothing twice', async (t) => {
  const random = seededRandom(7);
  const storage = new MemoryStorage();
  const rounds = Number(process.env['DRAGONLOCK_BACKUP_ROUNDS'] ?? 120);
  const failed = new Map<string, number>();
  storage.plan = () => {
    if (random.below(2) === 0) return undefined;
    const planned = {
      kind: random.below(2) === 0 ? 'before' : 'after',
      fault: storageFaults[random.below(storageFaults.length)]!,
    } as const;
    const name = `${planned.fault} ${planned.kind}`;
    failed.set(name, (failed.get(name) ?? 0) + 1);
    return planned;
  };
  const server = await BackedUpStore.open(t, { storage });
  await server.agent.look();
  for (let round = 0; round < rounds; round += 1) {
    server.commit(account, [set(`k${random.below(20)}`, 'x'.repeat(random.below(500)))]);
    server.advance(5000);
    if (random.below(10) === 0) await server.checkpoint(random.below(2));
    await server.agent.step();
  }
  storage.plan = () => undefined;
  await server.settle();
  // Each kind of fault took effect.
  assert.equal(failed.size, 2 * storageFaults.length, [...failed].join());
  if (rounds > 120) t.diagnostic([...failed].join(' '));
  assert.equal(server.cells.get('gaps'), 0);
  const { problems, gaps } = await verified(storage);
  assert.deepEqual([problems, gaps], [[], []]);
  const { directory, report } = await restoreFrom(t, storage, { kind: 'latest' });
  assert.equal(report.revision, server.last);
  assert.deepEqual((await contentIn(directory)).content, server.contentAt(server.last));
});

test('an outage: the journal is held up to its limit, then there is one gap, and a new copy', async (t) => {
  const storage = new MemoryStorage();
  const limit = 512 * 1024;
  const server = await BackedUpStore.open(t, {
    storage,
    settings: { hold_bytes_max: limit },
    keepBytes: 64 * 1024,
  });
  await server.agent.look();
  server.commit(account, [set('before', 'x')]);
  await server.settle();
  const before = server.last;
  server.advance(60_000);

  storage.plan = () => ({ kind: 'before', fault: 'unreachable' });
  const big = 'x'.repeat(8000);
  let droppedAt = 0;
  for (let round = 0; round < 200; round += 1) {
    server.commit(account, [set(`k${round % 7}`, big)]);
    server.advance(1000);
    if (round % 10 === 9) await server.checkpointAll();
    await server.agent.step();
    if (droppedAt === 0 && server.cells.get('holdDropped') === 1) droppedAt = round;
    assert.ok(server.cells.get('heldBytes') <= limit + 64 * 1024, 'the limit is kept');
  }
  assert.ok(droppedAt > 40, `the journal was held for ${droppedAt} commits`);
  assert.equal(server.cells.state, 'failing');

  storage.plan = () => undefined;
  await server.settle();
  await server.settle();
  assert.equal(server.cells.get('gaps'), 1);
  assert.equal(server.cells.state, 'shipping');
  const { problems, gaps } = await verified(storage);
  assert.deepEqual(problems, [], 'a gap that was noted is no damage');
  assert.equal(gaps.length, 1);
  // The object that was under way when the storage went is there.
  const [{ after, to } = { after: 0, to: 0 }] = gaps;
  assert.ok(after >= before && to > after + 50, `the gap has revisions ${after + 1} to ${to}`);
  const { directory } = await restoreFrom(t, storage, { kind: 'latest' });
  assert.deepEqual((await contentIn(directory)).content, server.contentAt(server.last));
  const old = await restoreFrom(t, storage, { kind: 'revision', revision: after });
  assert.deepEqual((await contentIn(old.directory)).content, server.contentAt(after));
  await assert.rejects(
    restoreFrom(t, storage, { kind: 'revision', revision: after + 10 }),
    (error: Error) => error instanceof NoSuchMoment && error.message.includes(`The nearest are ${after} and`),
  );
  const { at } = server.commits.find(({ rev }) => rev === after + 10)!;
  await assert.rejects(restoreFrom(t, storage, { kind: 'moment', at }), /is in a gap/);
});

test('the journal keeps what is not shipped, and lets go of it when it is', async (t) => {
  const storage = new MemoryStorage();
  const server = await BackedUpStore.open(t, { storage, keepBytes: 0 });
  await server.agent.look();
  const write = async (): Promise<void> => {
    for (let round = 0; round < 30; round += 1) server.commit(account, [set('k', 'x'.repeat(8000))]);
    await server.checkpointAll();
  };
  await server.settle();
  storage.plan = () => ({ kind: 'before', fault: 'slow_down' });
  await write();
  await server.agent.step();
  const held = server.cells.get('heldBytes');
  assert.ok(held >= 3 * 64 * 1024, `${held} bytes are held`);
  storage.plan = () => undefined;
  await server.settle();
  await write();
  await server.settle();
  await server.checkpointAll();
  assert.ok(server.cells.get('heldBytes') <= 2 * 64 * 1024, 'what was shipped is not held');
  assert.equal(server.cells.get('gaps'), 0);
});

test('a truncated answer is damage that is named, and an older copy is used', async (t) => {
  const storage = new MemoryStorage();
  const server = await BackedUpStore.open(t, { storage });
  await server.agent.look();
  for (let round = 0; round < 3; round += 1) {
    server.commit(account, [set(`k${round}`, 'value')]);
    await server.checkpointAll();
    server.cells.add('askedForCopies', 1);
    await server.settle();
  }
  const blocks = storage.keys('copy/').filter((key) => /\/\d+$/.test(key));
  assert.ok(blocks.length >= 2);
  const newest = blocks.at(-1)!;
  storage.plan = (call, key) => (call === 'get' && key === newest ? { kind: 'truncated' } : undefined);
  const { problems } = await verified(storage);
  assert.equal(problems.length, 1);
  assert.match(problems[0]!, new RegExp(`${newest} is damaged`));
  const notes: string[] = [];
  const { directory, report } = await restoreFrom(
    t,
    storage,
    { kind: 'latest' },
    { onNote: (note) => void notes.push(note) },
  );
  assert.match(notes[0]!, /An older copy is used/);
  assert.ok(!newest.startsWith(report.copy));
  assert.deepEqual((await contentIn(directory)).content, server.contentAt(server.last));
});

test('a storage that hangs: the call is given up, no other is begun, and the journal is let go of at its limit', async (t) => {
  const storage = new MemoryStorage();
  const timers: { ms: number; run: () => void; done: boolean }[] = [];
  const after = (ms: number, run: () => void): (() => void) => {
    const timer = { ms, run, done: false };
    timers.push(timer);
    return () => void (timer.done = true);
  };
  const ring = (fits: (ms: number) => boolean): void => {
    for (const timer of timers.filter(({ ms, done }) => !done && fits(ms))) {
      timer.done = true;
      timer.run();
    }
  };
  const limit = 1024 * 1024;
  const server = await BackedUpStore.open(t, { storage, after, keepBytes: 0, settings: { hold_bytes_max: limit } });
  await server.agent.look();
  server.commit(account, [set('k', 'x')]);
  const hang = Promise.withResolvers<void>();
  let begun = 0;
  storage.delay = async (call) => {
    if (call === 'put') begun += 1;
    if (call === 'put') await hang.promise;
  };
  const step = server.agent.step();
  while (begun === 0) await new Promise((resolve) => void setImmediate(resolve));
  for (let round = 0; round < 150; round += 1) server.commit(account, [set('k', 'x'.repeat(8000))]);
  ring((ms) => ms === 1000);
  assert.equal(server.cells.get('holdDropped'), 1, 'the limit holds while the call hangs');
  ring((ms) => ms === 90_000);
  await step;
  assert.equal(server.cells.state, 'failing');
  assert.ok(server.logged.some((line) => line.includes('no answer within 90 seconds')));
  for (let steps = 0; steps < 3; steps += 1) await server.agent.step();
  assert.equal(begun, 1, 'nothing is begun beside a call that hangs');
  storage.delay = undefined;
  hang.resolve();
  for (let steps = 0; steps < 20; steps += 1) {
    await new Promise((resolve) => void setImmediate(resolve));
    await server.agent.step();
    ring((ms) => ms === 0);
  }
  assert.equal(server.cells.state, 'shipping');
  assert.equal(server.cells.get('shipped'), server.last);
});

test('where deletes are denied, shipping goes on, and what prune has begun can be restored', async (t) => {
  const storage = new MemoryStorage();
  const server = await BackedUpStore.open(t, { storage, settings: { keep_moments_days: 0, keep_copies_days: 0 } });
  await server.agent.look();
  storage.plan = (call) => (call === 'delete' ? { kind: 'before', fault: 'denied' } : undefined);
  for (let round = 0; round < 4; round += 1) {
    server.commit(account, [set(`k${round}`, 'value')]);
    await server.checkpointAll();
    server.cells.add('askedForCopies', 1);
    await server.settle();
    server.advance(25 * 60 * 60 * 1000);
    storage.time = server.now;
    await server.agent.step();
  }
  assert.ok(server.cells.failures('denied') > 0, 'prune was tried');
  await server.settle();
  assert.equal(server.cells.state, 'shipping');
  const { directory } = await restoreFrom(t, storage, { kind: 'latest' });
  assert.deepEqual((await contentIn(directory)).content, server.contentAt(server.last));
});

test('a journal that lacks space is let go of at once, whatever the limit', () => {
  let space = true;
  const cells = new BackupCells(BackupCells.allocate());
  const memory = new SharedArrayBuffer(8);
  const hold = new JournalHold(memory);
  const guard = new HoldGuard({
    settings: { hold_bytes_max: 2 ** 40 },
    journal: { bytesAfter: () => 1000, hasSpace: () => space },
    cells,
    hold,
    log: () => undefined,
  });
  guard.shipped(7);
  guard.check(7);
  assert.deepEqual([cells.get('holdDropped'), new BigInt64Array(memory)[0]], [0, 7n]);
  space = false;
  guard.check(7);
  assert.deepEqual([cells.get('holdDropped'), new BigInt64Array(memory)[0]], [1, BigInt(Number.MAX_SAFE_INTEGER)]);
  guard.shipped(9);
  assert.deepEqual([cells.get('holdDropped'), new BigInt64Array(memory)[0]], [0, 9n]);
});
