import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startCell } from '../../src/cluster/start-cell.ts';
import { takeJump } from '../../src/cluster/take-cell.ts';
import { FileJournalSource } from '../../src/journal/file/file-journal-source.ts';
import { revision, type Revision } from '../../src/protocol/ids.ts';
import { get, lock, next, remove, set, unlock } from '../support/commands.ts';
import { AskedClient } from '../support/router-under-test.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { acme, CellUnderTest, NodeDisk, optionsOf, rest } from './cell-under-test.ts';
import { ScriptedEngine, take } from './scripted-engine.ts';

const mirrorDirectory = '/data/cell-0';

/** Writes of all kinds, some at once, and some of which fail. */
async function work(cell: CellUnderTest, seed: number, rounds: number): Promise<void> {
  const random = seededRandom(seed);
  const below = (n: number): number => Math.floor(random.next() * n);
  for (let round = 0; round < rounds; round += 1) {
    for (let client = below(4); client >= 0; client -= 1) {
      const key = `key-${below(10)}`;
      const all = [
        () => set(key, 'x'.repeat(below(3000))),
        () => set(key, round, { version: below(3) }),
        () => remove(key),
        () => next(key, 1 + below(3)),
        () => lock(key),
        () => unlock(key),
      ];
      cell.send(all[below(all.length)]!());
    }
    await rest();
  }
}

function mirrorOf({ files }: NodeDisk, after: Revision, end: Revision): Buffer {
  const source = FileJournalSource.ofMirror(files, mirrorDirectory);
  const tail = source.frames(after);
  const parts: Buffer[] = [];
  for (let read = tail.read(end, 1e9); read.kind === 'frames'; read = tail.read(end, 1e9))
    parts.push(read.frames.bytes);
  return Buffer.concat(parts);
}

test('what is acknowledged is in the engine, and the mirror has the same frames', async () => {
  const engine = new ScriptedEngine();
  const disk = new NodeDisk();
  const cell = await CellUnderTest.start(engine, 1, disk);
  await work(cell, 1, 40);
  const frames = engine.frames();
  const end = frames.at(-1)!.last;
  assert.ok(frames.length > 30);
  assert.equal(cell.cell.revisions.durable(), end);
  assert.equal(cell.cell.revisions.current(), end);
  assert.deepEqual(mirrorOf(disk, revision(0), end), Buffer.concat(frames.map(({ bytes }) => bytes)));
});

test('nothing is answered before the engine has it, and what is committed meanwhile shares a frame', async () => {
  const engine = new ScriptedEngine();
  const cell = await CellUnderTest.start(engine, 1);
  engine.isStandbyAway = true;
  const first = cell.send(set('a', 1));
  await rest();
  const others = ['b', 'c', 'd'].map((key) => cell.send(set(key, 1)));
  await rest();
  const read = cell.send(get('a'));
  await rest();
  assert.ok([first, read, ...others].every((client) => client.waits));
  engine.isStandbyAway = false;
  engine.waits.shift()!();
  await rest();
  assert.ok([first, read, ...others].every((client) => client.status === 200));
  const [, one, three] = engine.frames();
  assert.equal(one!.last, one!.first);
  assert.equal(three!.last, three!.first + 2);
  assert.equal(cell.cell.journal.backlogBytes, 0);
});

test('a frame whose answer was lost is in the log once, and its clients are answered', async () => {
  const engine = new ScriptedEngine();
  const cell = await CellUnderTest.start(engine, 1);
  engine.fault('append', 'answer-lost', 'request-lost', undefined, 'nothing');
  const clients = [await cell.ask(set('a', 1)), await cell.ask(set('a', 2))];
  assert.deepEqual(
    clients.map(({ status }) => status),
    [200, 200],
  );
  assert.equal(engine.frames().length, 3);
});

test('an owner that was replaced answers nothing more, and says so once', async () => {
  const engine = new ScriptedEngine();
  const cell = await CellUnderTest.start(engine, 1);
  const before = await cell.ask(set('a', 1));
  await take(engine, 2);
  const [one, two] = [await cell.ask(set('a', 2)), await cell.ask(set('b', 2))];
  assert.equal(before.status, 200);
  assert.ok(one.waits && two.waits);
  assert.deepEqual(cell.losses, [{ kind: 'deposed' }]);
  assert.equal(engine.frames().length, 2);
});

test('without room in the engine the frame waits, writes are refused, reads are served', async () => {
  const engine = new ScriptedEngine();
  let goOn: (() => void) | undefined;
  const cell = await CellUnderTest.start(engine, 1, new NodeDisk(), {
    pause: () => new Promise((resolve) => (goOn = resolve)),
  });
  engine.fault('append', 'full');
  const waiting = await cell.ask(set('a', 1));
  const refused = await cell.ask(set('b', 1));
  const read = await cell.ask(get('z'));
  assert.ok(waiting.waits && read.waits);
  assert.ok(refused.waits || refused.code === 'disk_full');
  assert.equal(cell.cell.journal.space(), 'full');
  goOn!();
  await rest();
  assert.equal(waiting.status, 200);
  assert.equal(read.status, 200);
  assert.equal(refused.code, 'disk_full');
  assert.equal((await cell.ask(set('b', 1))).status, 200);
});

test('a cell opens the same from the engine alone, from mirror and tail, and from a checkpoint', async () => {
  const engine = new ScriptedEngine();
  const disk = new NodeDisk();
  const first = await CellUnderTest.start(engine, 1, disk);
  await work(first, 2, 40);
  first.kill();
  // Another node, which knows nothing.
  const second = await CellUnderTest.start(engine, 2);
  assert.equal(second.digest(), first.digest());
  await work(second, 3, 40);
  second.kill();
  // The first one again: its mirror ends before the frames of the second.
  const reads = engine.calls.length;
  const third = await CellUnderTest.start(engine, 3, disk);
  assert.equal(third.digest(), second.digest());
  assert.ok(engine.calls.slice(reads).filter((call) => call === 'read').length > 1);
  await third.cell.checkpointer.start(third.cell.revisions.durable());
  await work(third, 4, 10);
  third.kill();
  const fourth = await CellUnderTest.start(engine, 4, disk);
  assert.equal(fourth.digest(), third.digest());
  assert.ok(fourth.cell.replayed < 60, `${fourth.cell.replayed} records`);
  const tokens = engine.frames().map(({ first: slot }) => slot);
  assert.deepEqual(
    tokens,
    tokens.toSorted((a, b) => a - b),
  );
});

test('a checkpoint whose mirror is gone reads on from the frame that holds its end', async () => {
  const engine = new ScriptedEngine();
  const disk = new NodeDisk();
  const cell = await CellUnderTest.start(engine, 1, disk);
  await work(cell, 5, 10);
  engine.isStandbyAway = true;
  cell.send(set('a', 1));
  await rest();
  for (const key of ['b', 'c', 'd']) cell.send(set(key, 1));
  await rest();
  engine.isStandbyAway = false;
  engine.waits.shift()!();
  await rest();
  const { first, last } = engine.frames().at(-1)!;
  assert.equal(last, first + 2);
  await cell.cell.checkpointer.start(revision(first + 1));
  await work(cell, 6, 5);
  cell.kill();
  for (const [seed, damage] of [
    [1, (name: string) => disk.files.damage(name, (bytes) => bytes.fill(0))],
    [2, (name: string) => disk.files.unlink(name)],
  ] as const) {
    for (const name of disk.files.list(mirrorDirectory)) damage(`${mirrorDirectory}/${name}`);
    const again = await CellUnderTest.start(engine, 1 + seed, disk);
    assert.equal(again.digest(), cell.digest());
    again.kill();
  }
});

test('power cuts take any part of a mirror, and nothing of the cell', async () => {
  const engine = new ScriptedEngine();
  const disk = new NodeDisk();
  for (let seed = 1; seed <= 8; seed += 1) {
    const cell = await CellUnderTest.start(engine, seed, disk);
    await work(cell, seed, 6);
    if (seed % 3 === 0) await cell.cell.checkpointer.start(cell.cell.revisions.durable());
    const digest = cell.digest();
    cell.kill();
    disk.files = disk.files.powerCut(seed);
    const again = await CellUnderTest.start(engine, 100 + seed, disk);
    assert.equal(again.digest(), digest, `seed ${seed}`);
    await again.ask(set('later', seed));
    again.kill();
    disk.files = disk.files.restart();
  }
});

test('a node refuses a cell whose log is behind it, was cut off, or is damaged', async () => {
  const engine = new ScriptedEngine();
  const disk = new NodeDisk();
  const cell = await CellUnderTest.start(engine, 1, disk);
  await work(cell, 7, 10);
  cell.kill();
  engine.model.failOver(2);
  engine.model.start();
  const behind = await startCell(await optionsOf(engine, 2, disk));
  assert.ok(behind.kind === 'gone-back' && /which this node has/.test(behind.reason), JSON.stringify(behind));
  // Another one may open it, as far as it knows; then it is another log.
  const other = await CellUnderTest.start(engine, 3, new NodeDisk(), { handedOver: true });
  await work(other, 8, 10);
  other.kill();
  const another = await startCell(await optionsOf(engine, 4, disk));
  assert.ok(another.kind === 'gone-back' && /is another one than this node has/.test(another.reason));
  engine.frames().at(-2)!.bytes[60]! ^= 1;
  const damaged = await startCell(await optionsOf(engine, 5, new NodeDisk()));
  assert.ok(damaged.kind === 'gone-back' && /is damaged/.test(damaged.reason), JSON.stringify(damaged));
});

test('what the engine has removed from the log is not taken for nothing', async () => {
  const engine = new ScriptedEngine();
  const disk = new NodeDisk();
  const cell = await CellUnderTest.start(engine, 1, disk);
  await work(cell, 9, 10);
  const { log, revisions } = cell.cell;
  await engine.engine.trim(log.owner, revisions.durable());
  cell.kill();
  const nothing = await startCell(await optionsOf(engine, 2, new NodeDisk()));
  assert.ok(nothing.kind === 'gone-back' && /needs a snapshot/.test(nothing.reason), JSON.stringify(nothing));
  const again = await CellUnderTest.start(engine, 3, disk);
  assert.equal(again.digest(), cell.digest());
  // Its last segment is gone, and with it the end of the mirror, but not the checkpoint.
  await again.cell.checkpointer.start(again.cell.revisions.durable());
  await engine.engine.trim(again.cell.log.owner, again.cell.revisions.durable());
  again.kill();
  disk.files.unlink(`${mirrorDirectory}/${disk.files.list(mirrorDirectory).at(-1)}`);
  assert.equal((await CellUnderTest.start(engine, 4, disk)).digest(), again.digest());
});

test('a take moves the revisions on by the time since the last frame, which a mirror knows too', async () => {
  const engine = new ScriptedEngine();
  const disk = new NodeDisk();
  let now = Date.UTC(2026, 5, 1);
  const clock = { now: () => now };
  const cell = await CellUnderTest.start(engine, 1, disk, { clock });
  const end = cell.cell.revisions.durable();
  cell.kill();
  now += 1000;
  const again = await CellUnderTest.start(engine, 2, disk, { clock });
  assert.equal(again.cell.revisions.durable(), end + 1 + takeJump + 1000 * 64);
});

test('a watch that resumes at the next owner sees each change once, over the jump between them', async () => {
  const engine = new ScriptedEngine();
  const first = await CellUnderTest.start(engine, 1);
  for (const key of ['a', 'b', 'c']) await first.ask(set(key, 1));
  const after = revision(first.cell.revisions.durable() - 2);
  first.kill();
  const second = await CellUnderTest.start(engine, 2);
  await second.ask(set('d', 1));
  const sink = new AskedClient(() => 0);
  second.router.watchPrefix({ account: acme, prefix: '', after, waitMs: 0, limit: 10 }, sink);
  await rest();
  const { Events } = JSON.parse(sink.reply!.body) as { Events: { Key: string }[] };
  assert.deepEqual(
    Events.map(({ Key }) => Key),
    ['b', 'c', 'd'],
  );
});
