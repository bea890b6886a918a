import assert from 'node:assert/strict';
import { test } from 'node:test';
import { JournalActor } from '../../src/journal/journal-actor.ts';
import type { JournalFromShard } from '../../src/journal/journal-wire.ts';
import { LocalJournal } from '../../src/journal/local-journal.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { chunkOf, open, range, readAll, rev, revisionsOf, type OpenJournal } from './file/journal-fixture.ts';

/** The actor of a journal with one shard, whose turns come when the test says so. */
async function actorOn(
  disk: FaultDisk,
): Promise<{ actor: JournalActor; port: JournalFromShard[]; told: number[]; turn: () => void }> {
  const { writer, revisions } = await open(disk);
  const port: JournalFromShard[] = [];
  const told: number[] = [];
  const turns: (() => void)[] = [];
  const actor = new JournalActor({
    writer,
    receive: [() => port.shift()],
    durable: () => revisions.durable(),
    tellRouters: () => {},
    tellShard: (_shard, durable) => told.push(durable),
    defer: (run) => turns.push(run),
  });
  return { actor, port, told, turn: () => turns.splice(0).forEach((run) => run()) };
}

function append(...revs: readonly number[]): JournalFromShard {
  const { first, last, count, bytes } = chunkOf(revs.map((at) => ({ rev: at, text: 'x' })));
  return { kind: 'append', first, last, count, bytes: new Uint8Array(bytes) };
}

test('journal actor: a shard that waits for a revision is told when it is durable, at once if it is already', async () => {
  const { actor, told, turn } = await actorOn(new FaultDisk(1));
  actor.take(0, { kind: 'await', rev: rev(2) });
  actor.take(0, append(1, 2));
  assert.deepEqual(told, []);
  turn();
  assert.deepEqual(told, [2]);
  actor.take(0, { kind: 'await', rev: rev(2) });
  assert.deepEqual(told, [2, 2], 'no other commit may come for long');
});

test('journal actor: at its end it writes what has arrived, on the port too', async () => {
  const disk = new FaultDisk(1);
  const { actor, port } = await actorOn(disk);
  actor.take(0, append(1));
  port.push(append(2), append(3, 4));
  actor.close();
  assert.deepEqual(revisionsOf(readAll(disk.powerCut(1))), range(1, 4));
});

test('local journal: more than one frame holds is durable too when append returns', async () => {
  const disk = new FaultDisk(1);
  const { writer, revisions }: OpenJournal = await open(disk);
  const text = 'x'.repeat(900);
  new LocalJournal(writer).append(chunkOf(range(1, 12).map(() => ({ rev: revisions.next(), text }))));
  assert.equal(revisions.durable(), 12);
  assert.ok(writer.stats().groupRecords.count > 1, 'it took several frames');
});
