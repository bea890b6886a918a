/**
 * The checkpoint thread of a simulation: for each shard one queue of commits in and one queue of answers out. So a
 * process can die before a checkpoint is durable, or after that and before its shard learns of it. Sometimes there is
 * no space.
 */
import type { MakeQueue } from '../support/in-process.ts';
import type { ShardId } from '../../src/protocol/ids.ts';
import { NoSpaceError, type CheckpointTarget } from '../../src/storage/checkpoint-store.ts';
import type { CheckpointWriter } from '../../src/storage/checkpoint/checkpointer.ts';

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
            if (!hasRoom()) return answers(() => reject(new NoSpaceError('no space left for the checkpoint')));
            targets[shard]!.apply(gathered, watermark);
            applied();
            answers(resolve);
          });
        }),
    };
  };
}
