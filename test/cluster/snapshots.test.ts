import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Snapshot } from '../../src/cluster/engine.ts';
import { openCell } from '../../src/cluster/open-cell.ts';
import { isSnapshotDue, placeBehindTake, readSnapshot, trimLog, writeSnapshot } from '../../src/cluster/snapshots.ts';
import { takeCell } from '../../src/cluster/take-cell.ts';
import { revision } from '../../src/protocol/ids.ts';
import { anchor } from './model-engine.ts';
import { frameBehind, lengthen, pause, ScriptedEngine, take } from './scripted-engine.ts';

const parts = [Buffer.from('one'), Buffer.from('two')];

function collector(): {
  readonly reader: { begin: () => void; part: (bytes: Buffer) => void };
  readonly got: string[];
} {
  const got: string[] = [];
  return {
    got,
    reader: { begin: () => void got.splice(0), part: (bytes) => void got.push(bytes.toString()) },
  };
}

/** A cell of five frames, with a snapshot behind the third. */
async function withSnapshot() {
  const engine = new ScriptedEngine();
  const owner = await take(engine, 1);
  const frames = await lengthen(engine, owner, 5);
  const dependencies = { engine: engine.engine, pause };
  const written = await writeSnapshot({ owner, place: frames[2]!, parts }, dependencies);
  assert.ok(written.kind === 'published');
  return { engine, owner, frames, dependencies, snapshot: written.snapshot };
}

test('a snapshot is published behind all its parts', async () => {
  const engine = new ScriptedEngine();
  const owner = await take(engine, 1);
  const [end] = await lengthen(engine, owner, 1);
  engine.fault('putPart', 'answer-lost', undefined, 'request-lost', 'full');
  const dependencies = { engine: engine.engine, pause };
  assert.deepEqual(await writeSnapshot({ owner, place: end!, parts }, dependencies), { kind: 'full' });
  const row = await engine.engine.look(0);
  assert.equal(row.kind === 'done' && row.result.snapshot, undefined);
  assert.equal(engine.calls.includes('publish'), false);
  assert.equal((await writeSnapshot({ owner, place: end!, parts }, dependencies)).kind, 'published');
  await take(engine, 2);
  assert.deepEqual(await writeSnapshot({ owner, place: end!, parts }, dependencies), { kind: 'refused' });
});

test('a cell whose log is trimmed opens from the snapshot and the frames behind it', async () => {
  const { engine, owner, frames, dependencies, snapshot } = await withSnapshot();
  assert.equal(await trimLog({ owner, snapshot, upTo: revision(99) }, dependencies), 'trimmed');
  assert.deepEqual(engine.frames(), frames.slice(3), 'no further than the snapshot');
  const { reader, got } = collector();
  const opened = await openCell(
    {
      seen: { cell: 0, epoch: 1, session: 1, trimmed: revision(0) },
      session: 2,
      handedOver: false,
      from: (row) => placeBehindTake({ row, local: anchor, reader }, dependencies),
      remembered: undefined,
      apply: ({ first }) => void got.push(`${first}`),
      endAt: () => 0,
      now: () => 0,
      bootFrame: (first, previous, epoch) => frameBehind(previous, epoch, first),
    },
    dependencies,
  );
  assert.ok(opened.kind === 'open');
  assert.deepEqual(got.slice(0, 4), ['one', 'two', '4', '5']);
  // Whoever has the frames already needs no snapshot.
  const { result } = (await engine.engine.look(0)) as { result: Parameters<typeof placeBehindTake>[0]['row'] };
  assert.deepEqual(await placeBehindTake({ row: result, local: frames[3]!, reader }, dependencies), frames[3]);
});

test('a cell without the snapshot that it needs stays closed', async () => {
  const { dependencies, snapshot } = await withSnapshot();
  const row = { cell: 0, epoch: 1, session: 1, trimmed: revision(3), snapshot };
  const { reader } = collector();
  const place = (changes: Partial<typeof row>): Promise<unknown> =>
    placeBehindTake({ row: { ...row, ...changes }, local: anchor, reader }, dependencies);
  assert.match(String(await place({ snapshot: { ...snapshot, parts: 3 } })), /a part of the snapshot at 3 is missing/);
  assert.match(String(await place({ trimmed: revision(4) })), /trimmed up to 4, and no snapshot reaches so far/);
  const without = { row: { ...row, snapshot: undefined }, local: anchor, reader };
  const reason: unknown = await placeBehindTake(without, dependencies);
  assert.match(String(reason), /no snapshot reaches so far/);
});

test('who finds its session in a row asks again behind the barrier: the log may have been trimmed since', async () => {
  const { owner, dependencies, snapshot } = await withSnapshot();
  const seen = { cell: 0, epoch: 1, session: 1, trimmed: revision(0) };
  await trimLog({ owner, snapshot, upTo: revision(2) }, dependencies);
  const taken = await takeCell({ cell: 0, seen, session: 1 }, dependencies);
  assert.deepEqual([taken?.row.trimmed, taken?.row.snapshot], [2, snapshot]);
});

test('a trim goes on until nothing is left; one of an owner that was replaced removes nothing', async () => {
  const { engine, owner, frames, dependencies, snapshot } = await withSnapshot();
  // An engine removes some at a time.
  const trim: typeof engine.engine.trim = (of, upTo) => engine.engine.trim(of, upTo);
  let asked = 0;
  const slow = Object.assign(Object.create(engine.engine) as typeof engine.engine, {
    trim: ((of, upTo) => {
      asked += 1;
      return trim(of, revision(Math.min(asked, upTo)));
    }) satisfies typeof trim,
  });
  assert.equal(await trimLog({ owner, snapshot, upTo: revision(2) }, { engine: slow, pause }), 'trimmed');
  assert.deepEqual(engine.frames(), frames.slice(2));
  await take(engine, 2);
  assert.equal(await trimLog({ owner, snapshot, upTo: revision(3) }, dependencies), 'refused');
  assert.deepEqual(engine.frames(), frames.slice(2));
});

test('a part that goes while it is read is told, not passed over', async () => {
  const { engine, owner, frames, dependencies, snapshot } = await withSnapshot();
  const { reader } = collector();
  const replace = (): Promise<unknown> => writeSnapshot({ owner, place: frames[4]!, parts: [] }, dependencies);
  const read = { cell: 0, snapshot, reader };
  assert.equal(await readSnapshot(read, dependencies), true);
  engine.before('readPart', replace);
  assert.equal(await readSnapshot(read, dependencies), false);
  const older: Snapshot = { ...snapshot, epoch: 1 };
  assert.deepEqual(await engine.engine.publish(owner, older), { kind: 'refused' });
});

test('a snapshot is due when the log behind it is larger than it, and than 64 MiB', () => {
  const mib = 1024 * 1024;
  assert.deepEqual(
    [isSnapshotDue(64 * mib, 0), isSnapshotDue(65 * mib, 0), isSnapshotDue(65 * mib, 66 * mib)],
    [false, true, false],
  );
});
