import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startInProcess, type InProcess } from './in-process.ts';
import type { Reply } from '../../src/protocol/replies.ts';
import type { ReplySink } from '../../src/router/dispatcher.ts';
import { systemAfter, systemClock } from '../../src/shared/clock.ts';
import { defaultLimits } from '../../src/shared/limits.ts';
import { MemoryCheckpointStore } from './memory-checkpoint-store.ts';
import { acme, set } from './commands.ts';
import { FaultDisk } from './fault-disk.ts';
import type { ReplyBody } from './reply-body.ts';
import { replyStatus } from './reply-status.ts';

function start(disk: FaultDisk, routers: number): Promise<InProcess> {
  return startInProcess({
    shards: 1,
    routers,
    limits: defaultLimits,
    disk,
    journalDirectory: '/journal',
    segmentBytes: 16 * 1024,
    journal: { retryMs: 5, reserveBytes: 64, fullBytes: 32 },
    checkpoints: [new MemoryCheckpointStore()],
    clock: systemClock(),
    defer: setImmediate,
    after: systemAfter,
    randomBytes: (count) => Buffer.alloc(count, 1),
    log: () => {},
  });
}

function reply(ask: (client: ReplySink) => void): Promise<Reply> {
  return new Promise((resolve) => ask({ disconnected: false, deliver: resolve }));
}

test('one shard: a watcher of one front end hears of a write through another', async () => {
  const server = await start(new FaultDisk(1), 2);
  const [one, other] = server.routers;
  const seen = reply((client) =>
    other!.watchPrefix({ account: acme, prefix: '', after: server.boot.rev, waitMs: 5000, limit: 10 }, client),
  );
  await reply((client) => one!.request(set('a', 1), client));
  const body = JSON.parse((await seen).body) as ReplyBody;
  assert.deepEqual(
    body.Events.map(({ Key }) => Key),
    ['a'],
  );
  await server.stop();
});

test('one shard: a reply that waited for disk space leaves when space is free, without further traffic', async () => {
  const disk = new FaultDisk(1);
  const server = await start(disk, 1);
  disk.freeBytes = 0;
  const replies: (number | undefined)[] = [];
  for (let i = 0; !replies.includes(undefined) && i < 100; i += 1) {
    // The journal asks for a second spare when the first is used, and the last record of the second does not fit.
    const asked = reply((client) => server.router.request(set(`k${i}`, 'x'.repeat(700)), client));
    const first = await Promise.race([asked, new Promise<undefined>((resolve) => setTimeout(resolve, 50, undefined))]);
    if (first !== undefined) {
      replies.push(replyStatus(first));
      continue;
    }
    disk.freeBytes = Infinity;
    replies.push(replyStatus(await asked), undefined);
  }
  assert.deepEqual(replies.slice(-2), [200, undefined], 'one request has waited, and was answered');
  await server.stop();
});
