/**
 * Ends the process at every single disk call of a life of the journal (start, append, rotate, trim), cuts the power, and
 * ends the next start at every call too. The claim each time: every acknowledged record is there with its content; what
 * is there beyond these is whole, in order, and was handed over; the start is never refused.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shardId } from '../../../src/protocol/ids.ts';
import { recoverJournal } from '../../../src/journal/file/recovery.ts';
import { FaultDisk } from '../../support/fault-disk.ts';
import {
  directory,
  enqueue,
  open,
  range,
  readAll,
  recover,
  rev,
  segmentBytes,
  settle,
  write,
  type OpenJournal,
} from './journal-fixture.ts';

const keepBytes = segmentBytes;

interface Life {
  /** Revision → text, of everything acknowledged. */
  readonly acknowledged: Map<number, string>;
  /** The same, of everything handed over. */
  readonly handedOver: Map<number, string>;
  watermark: number;
}

function newLife(): Life {
  return { acknowledged: new Map(), handedOver: new Map(), watermark: 0 };
}

/** Starts, appends `groups` groups, and notes what was acknowledged. Returns when done or when the disk crashes. */
async function live(disk: FaultDisk, life: Life, groups: number, word: string): Promise<void> {
  try {
    const journal = await open(disk, { from: life.watermark, keepBytes, onFailure: () => undefined });
    journal.writer.onDurable((durable) => {
      for (const [at, text] of life.handedOver) if (at <= durable) life.acknowledged.set(at, text);
    });
    for (let group = 0; group < groups; group += 1) {
      const count = 1 + (group % 3);
      const text = `${word}/${group}/`.padEnd(900, 'p');
      for (let next = 1; next <= count; next += 1) life.handedOver.set(journal.revisions.current() + next, text);
      enqueue(journal, count, text);
      while (journal.writer.flush());
      if (group % 8 === 7) {
        life.watermark = journal.revisions.durable();
        journal.writer.checkpointed(shardId(0), rev(life.watermark));
      }
      if (group % 2 === 0) await settle();
    }
    await journal.writer.close();
  } catch (error) {
    if (!disk.crashed) throw error;
  }
  await settle();
}

function check(disk: FaultDisk, life: Life, what: string): void {
  const found = new Map(readAll(disk, life.watermark).map((record) => [record.rev, record.text]));
  let next = life.watermark + 1;
  for (const [at, text] of found) {
    assert.equal(at, next, `${what}: dense`);
    assert.equal(text, life.handedOver.get(at), `${what}: revision ${at} is what was handed over`);
    next += 1;
  }
  for (const [at, text] of life.acknowledged) {
    if (at > life.watermark) assert.equal(found.get(at), text, `${what}: revision ${at} was acknowledged`);
  }
}

/** After a crash only the records that are found count; the others may come again with other content. */
async function restarted(disk: FaultDisk, life: Life, what: string): Promise<void> {
  const { last } = await recover(disk, { from: life.watermark });
  check(disk, life, what);
  for (const at of life.handedOver.keys()) if (at > last) life.handedOver.delete(at);
}

function copyOf(life: Life): Life {
  return { acknowledged: new Map(life.acknowledged), handedOver: new Map(life.handedOver), watermark: life.watermark };
}

const groups = 40;

test('crash: at every disk call of a life, nothing acknowledged is lost and nothing is half there', async () => {
  const whole = new FaultDisk(1);
  await live(whole, newLife(), groups, 'a');
  let acknowledged = 0;
  for (let call = 1; call <= whole.calls; call += 1) {
    const disk = new FaultDisk(call);
    disk.crashAt = call;
    const life = newLife();
    await live(disk, life, groups, 'a');
    assert.ok(disk.crashed, `call ${call}`);
    acknowledged = Math.max(acknowledged, life.acknowledged.size);
    for (let seed = 1; seed <= 4; seed += 1) {
      const what = `crash at call ${call}, power cut ${seed}`;
      const after = copyOf(life);
      const next = seed === 1 ? disk.restart() : disk.powerCut(call * 1000 + seed);
      await restarted(next, after, what);
      await live(next, after, 3, 'b');
      // A process that has only died may have left names in the page cache, which its successor has to make durable.
      const cuts = seed === 1 ? [1, 2, 3, 4, 5, 6] : [seed];
      for (const cut of cuts)
        await restarted(next.powerCut(call * 100 + cut), copyOf(after), `${what}, and lived on, power cut ${cut}`);
    }
  }
  assert.ok(acknowledged > 50);
});

test('crash: at every disk call of a recovery, the next one finds the same', async () => {
  const first = new FaultDisk(5);
  await live(first, newLife(), groups, 'a');
  let crashes = 0;
  for (const call of [first.calls - 1, first.calls - 2, first.calls - 3, first.calls - 7, first.calls - 12]) {
    const disk = new FaultDisk(5);
    disk.crashAt = call;
    const life = newLife();
    await live(disk, life, groups, 'a');
    for (const full of [false, true]) {
      for (let step = 1; step < 200; step += 1) {
        const starting = disk.powerCut(call);
        if (full) starting.freeBytes = 100;
        starting.crashAt = step;
        const failed = await recoverJournal(starting, directory, {
          from: rev(life.watermark),
          segmentBytes,
          randomBytes: (count) => Buffer.alloc(count, 7),
          log: () => undefined,
        }).then(
          () => false,
          () => true,
        );
        if (!failed) break;
        assert.ok(starting.crashed, 'only the crash fails it');
        crashes += 1;
        for (let seed = 1; seed <= 3; seed += 1) {
          const next = starting.powerCut(seed);
          await restarted(next, copyOf(life), `recovery ends at call ${step}, power cut ${seed}`);
        }
      }
    }
  }
  assert.ok(crashes > 50);
});

async function filled(): Promise<{ disk: FaultDisk; journal: OpenJournal }> {
  const disk = new FaultDisk(1);
  const journal = await open(disk, { keepBytes: segmentBytes });
  for (let group = 0; group < 100; group += 1) {
    write(journal, 1, 'p'.repeat(900));
    await settle();
  }
  return { disk, journal };
}

test('crash: while many segments are trimmed at once, no gap is left between those that stay', async () => {
  const whole = await filled();
  const before = whole.disk.calls;
  const { segments } = whole.journal.writer.stats();
  whole.journal.writer.checkpointed(shardId(0), rev(100));
  const calls = whole.disk.calls - before;
  assert.ok(segments - whole.journal.writer.stats().segments >= 4, 'many segments go');
  for (let call = 1; call <= calls; call += 1) {
    for (let seed = 1; seed <= 10; seed += 1) {
      const { disk, journal } = await filled();
      disk.crashAt = disk.calls + call;
      assert.throws(() => journal.writer.checkpointed(shardId(0), rev(100)));
      const after = disk.powerCut(seed);
      // Read from the oldest segment on, as a watch would.
      const { oldest } = await recover(after, { from: 100 });
      const found = readAll(after, oldest - 1).map((record) => record.rev);
      assert.deepEqual(found, range(oldest, 100), `call ${call}, power cut ${seed}`);
    }
  }
});
