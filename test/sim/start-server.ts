/** Starts the real server on a simulated disk, clock, queues, timers and checkpoints. */
import { startInProcess, type InProcess, type MakeQueue } from '../support/in-process.ts';
import { decodeToShard, type ToShardWire } from '../../src/protocol/wire/shard-wire.ts';
import { defaultLimits } from '../../src/shared/limits.ts';
import type { MemoryCheckpointStore } from '../support/memory-checkpoint-store.ts';
import { journalDirectory } from './log-on-disk.ts';
import type { Scheduler } from './scheduler.ts';
import { checkpointThread } from './sim-checkpoints.ts';
import { SimDisk } from './sim-disk.ts';
import type { World } from './world.ts';

export interface ServerSettings {
  readonly segmentBytes: number;
  readonly keepBytes: number;
  readonly memtableBytes: number;
  readonly scheduler: Scheduler;
  readonly checkpoints: readonly MemoryCheckpointStore[];
  readonly hasCheckpointRoom: () => boolean;
}

const isToShard = /^router \d+ > shard \d+$/;

/** Rejects with the error of recovery or of the disk. */
export function startServer(world: World, settings: ServerSettings): Promise<InProcess> {
  const { segmentBytes, keepBytes, memtableBytes, scheduler, checkpoints, hasCheckpointRoom } = settings;
  const { shards, routers, timeline, counts, trace, random } = world;
  const queue: MakeQueue = (name, deliver) =>
    scheduler.queue(name, (message) => {
      if (isToShard.test(name)) world.clients.waitOrder.arrived(decodeToShard(message as ToShardWire));
      deliver(message);
    });
  // With one shard the journal is in the shard's thread, and only front ends go on while it waits for the disk.
  const isOtherThread = (name: string): boolean =>
    /(^|> )router \d$/.test(name) || (shards > 1 && /(^|> |turns of )shard \d$/.test(name));
  const disk = new SimDisk(
    world.disk,
    queue<() => void>('disk', (run) => run()),
    {
      written: (records) => timeline.written(records),
      synced: (last) => timeline.onMedium(last),
      meanwhile: () => scheduler.meanwhile(isOtherThread, (error) => world.failed(error)),
      removed: (file) => {
        if (file.endsWith('.log') && file.includes('journal-')) counts.add('segment removed');
      },
    },
  );
  return startInProcess({
    shards,
    routers,
    limits: { ...defaultLimits, memtable_bytes_max: memtableBytes },
    disk,
    journalDirectory,
    segmentBytes,
    keepBytes,
    journal: { frameBytesMax: 3000, reserveBytes: segmentBytes / 4, fullBytes: segmentBytes / 8, retryMs: 100 },
    checkpoints,
    checkpointWriter: checkpointThread(queue, checkpoints, hasCheckpointRoom, () => counts.add('checkpoint')),
    clock: { now: () => Math.floor(world.now) },
    defer: queue<() => void>('main', (run) => run()),
    queue,
    after: scheduler.after,
    randomBytes: (count) => Buffer.alloc(count, 1 + random.below(255)),
    log: (level, message) => {
      trace.note(`log ${level}: ${message}`);
      if (message.startsWith('Dropped')) counts.add('torn frame');
      if (message.startsWith('No room for another file')) counts.add('start on a full disk');
    },
    onFailure: (error) => world.failed(error),
  });
}
