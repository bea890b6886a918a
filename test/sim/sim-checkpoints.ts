/**
 * The checkpoint thread of a simulation: one line of commits in, one line of answers out for each shard, so that a
 * process can die before a checkpoint is durable, or behind it and before its shard was told. Sometimes there is no room.
 */
import type { MakeQueue } from '../support/in-process.ts';
import type { ShardId } from '../../src/protocol/ids.ts';
import { NoSpaceError } from '../../src/storage/checkpoint-store.ts';
import type { CheckpointWriter } from '../../src/storage/checkpoint/checkpointer.ts';
import type { CheckpointTarget } from '../../src/storage/checkpoint-store.ts';

export function checkpointThread(
  queue: MakeQueue,
  targets: readonly CheckpointTarget[],
  hasRoom: () => boolean,
  applied: () => void,
): (shard: ShardId) => CheckpointWriter {
  return (shard) => {
    let slices: Uint8Array[] = [];
    const answers = queue<() => void>(`checkpoint > shard ${shard}`, (answer) => answer());
    const commits = queue<() => void>(`shard ${shard} > checkpoint`, (commit) => commit());
    return {
      begin: () => {
        slices = [];
      },
      slice: (bytes) => void slices.push(bytes),
      commit: (watermark) =>
        new Promise((resolve, reject) => {
          const gathered = slices;
          slices = [];
          commits(() => {
            if (!hasRoom()) return answers(() => reject(new NoSpaceError('there is no room for the checkpoint')));
            targets[shard]!.apply(gathered, watermark);
            applied();
            answers(resolve);
          });
        }),
    };
  };
}
