/** The real disk, a real thread. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test, type TestContext } from 'node:test';
import { MessageChannel } from 'node:worker_threads';
import { revision, shardId } from '../../src/protocol/ids.ts';
import { SharedRevisions } from '../../src/protocol/wire/revisions.ts';
import { allocateClock } from '../../src/shared/clock.ts';
import { realDisk } from '../../src/shared/disk.ts';
import { ThreadJournal } from '../../src/journal/journal-link.ts';
import {
  allocateSpace,
  type DurableMessage,
  type JournalFromMain,
  type JournalThreadData,
  type JournalToMain,
} from '../../src/journal/journal-wire.ts';
import { workerUrls } from '../../src/main/worker-urls.ts';
import { WorkerLink } from '../../src/shared/worker-link.ts';
import { chunkOf, open, range, readAll, recover, revisionsOf, settle, write } from './file/journal-fixture.ts';

const segmentBytes = 1024 * 1024;

function startJournal(
  data: JournalThreadData,
  onFatal: (error: unknown) => void,
): WorkerLink<JournalFromMain, JournalToMain> {
  const ports = [...data.shardPorts, ...data.routerPorts];
  return new WorkerLink({ url: workerUrls.journal, name: 'journal', workerData: data, ports, onFatal });
}

function temporary(t: TestContext): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'dragonlock-journal-'));
  t.after(() => fs.rmSync(directory, { recursive: true }));
  return path.join(directory, 'journal');
}

test('real disk: a log is written over several segments, recovered, and goes on', async (t) => {
  const directory = temporary(t);
  const options = { path: directory, segmentBytes, frameBytesMax: 256 * 1024, keepBytes: Infinity };
  for (const start of [0, 600]) {
    const journal = await open(realDisk, options);
    assert.equal(journal.recovered.last, start);
    for (let group = 0; group < 60; group += 1) {
      write(journal, 10, 't'.repeat(4000));
      await settle();
    }
    await journal.writer.close();
  }
  assert.ok((await recover(realDisk, options)).segments.length >= 4);
  assert.deepEqual(revisionsOf(readAll(realDisk, 0, directory)), range(1, 1200));
});

test('journal thread: two shards append, routers that wait are told each time and shards when they have asked, and all of it is in the log', async (t) => {
  const directory = temporary(t);
  const recovered = await recover(realDisk, { path: directory, segmentBytes });
  const memory = SharedRevisions.allocate(recovered.last, 1);
  const space = allocateSpace();
  const channels = [new MessageChannel(), new MessageChannel()];
  const router = new MessageChannel();
  const thread = startJournal(
    {
      directory,
      recovered,
      settings: { shards: 2, segmentBytes },
      clock: allocateClock(),
      revisions: memory,
      space,
      shardPorts: channels.map((channel) => channel.port2),
      routerPorts: [router.port2],
    },
    (error) => assert.fail(String(error)),
  );
  const revisions = new SharedRevisions(memory);
  revisions.setAwaits(0, true);
  const shards = channels.map((channel) => new ThreadJournal(channel.port1, space));
  const total = 4000;
  const told = Promise.withResolvers<void>();
  let highest = 0;
  router.port1.on('message', ({ durable }: DurableMessage) => {
    assert.ok(durable > highest);
    assert.ok(revisions.durable() >= durable);
    highest = durable;
    if (durable === total) told.resolve();
  });
  // Revisions to wait for: before there is any record, in the middle, and already durable.
  const reached: number[] = [];
  const waitFor = (shard: ThreadJournal, rev: number): Promise<void> => {
    return new Promise((resolve) => {
      shard.whenDurable(revision(rev), () => {
        assert.ok(revisions.durable() >= rev);
        reached.push(rev);
        resolve();
      });
    });
  };
  const heard = shards.flatMap((shard) => [waitFor(shard, total), waitFor(shard, 5), waitFor(shard, total / 2)]);
  for (let at = 0; at < total; at += 8) {
    const taken = range(1, 8).map(() => ({ rev: revisions.next(), text: 'x'.repeat(100) }));
    for (const [index, shard] of shards.entries()) {
      assert.equal(shard.space(), 'open');
      shard.append(chunkOf(taken.filter((_, place) => place % 2 === index)));
    }
    if (at % 80 === 0) await settle();
  }
  await Promise.all([told.promise, ...heard]);
  await Promise.all(shards.map((shard) => waitFor(shard, 1)));
  assert.deepEqual(
    reached.toSorted((a, b) => a - b),
    [1, 1, 5, 5, total / 2, total / 2, total, total],
    'once each',
  );
  for (const [index, shard] of shards.entries()) shard.checkpointed(shardId(index), revision(total));
  const answer = await thread.ask('journal-stats');
  assert.ok(answer.kind === 'journal-stats');
  const { stats } = answer;
  assert.equal(stats.groupRecords.sum, total);
  assert.ok(stats.groupRecords.count < total / 8, 'groups were committed together');
  await thread.stop({ kind: 'close' });
  for (const { port1 } of [...channels, router]) port1.close();
  assert.deepEqual(revisionsOf(readAll(realDisk, 0, directory)), range(1, total));
});

test('journal thread: an error in it reaches the main thread', async (t) => {
  const directory = temporary(t);
  const recovered = await recover(realDisk, { path: directory, segmentBytes });
  const channel = new MessageChannel();
  const failed = Promise.withResolvers<unknown>();
  const space = allocateSpace();
  const thread = startJournal(
    {
      directory,
      recovered,
      settings: { shards: 1, segmentBytes },
      clock: allocateClock(),
      revisions: SharedRevisions.allocate(recovered.last, 1),
      space,
      shardPorts: [channel.port2],
      routerPorts: [],
    },
    failed.resolve,
  );
  const shard = new ThreadJournal(channel.port1, space);
  shard.append(chunkOf([{ rev: 1, text: 'a' }]));
  shard.append(chunkOf([{ rev: 1, text: 'a' }]));
  assert.match(String(await failed.promise), /journalled once/);
  channel.port1.close();
  await thread.terminate();
});
