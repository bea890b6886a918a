import { revision } from '../../src/protocol/ids.ts';
import type { CheckpointSchedule } from '../../src/shard-worker/shard-actor.ts';

/** For actors whose tests are about something else: none is ever made, and there is always room. */
export const noCheckpoints: CheckpointSchedule = {
  journalled: () => {},
  afterTurn: () => {},
  finish: async () => {},
  full: () => undefined,
  stats: () => ({ memtableEntries: 0, memtableBytes: 0, checkpoints: 0, watermark: revision(0) }),
};
