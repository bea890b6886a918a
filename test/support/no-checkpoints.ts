import { revision } from '../../src/protocol/ids.ts';
import type { CheckpointSchedule } from '../../src/shard-worker/shard-actor.ts';

/** Never makes a checkpoint and always has space, for tests of actors that are about something else. */
export const noCheckpoints: CheckpointSchedule = {
  journalled: () => {},
  afterTurn: () => {},
  finish: async () => {},
  full: () => undefined,
  pressure: () => 'none',
  stats: () => ({
    memtableEntries: 0,
    memtableBytes: 0,
    stored: { bytes: 0, entries: 0, messages: 0, tasks: 0 },
    checkpoints: 0,
    checkpointSeconds: { bounds: [], counts: [0], sum: 0, count: 0 },
    watermark: revision(0),
  }),
};
