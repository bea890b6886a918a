/** A started cell as a shard: the actor of `shard-worker`, with one shard whose journal is the engine's log. */
import { newShardState } from '../shard-worker/core/state/state.ts';
import { ShardCheckpoints } from '../shard-worker/checkpoint-schedule.ts';
import type { WritePressure } from '../shard-worker/held-writes.ts';
import { ShardActor, type ActorOptions } from '../shard-worker/shard-actor.ts';
import { shardId } from '../protocol/ids.ts';
import type { Limits } from '../shared/limits.ts';
import { backlogBytesMax } from './engine-journal.ts';
import type { StartedCell } from './start-cell.ts';

export interface ServeCellOptions extends Pick<ActorOptions, 'clock' | 'send' | 'congestion' | 'meter' | 'wake'> {
  readonly limits: Limits;
  /** See `recordBytesMax` in shared/limits.ts. */
  readonly recordBytesMax: number;
  /** Bytes of the store on disk. */
  readonly storeBytes: () => number;
  readonly routers: number;
  /** Whether a router waits to hear what is durable. */
  readonly awaits: (router: number) => boolean;
}

export function serveCell(cell: StartedCell, options: ServeCellOptions): ShardActor {
  const { journal, revisions, store, checkpointer, boot } = cell;
  const { limits, recordBytesMax, clock, storeBytes, routers, awaits, send, congestion, meter, wake } = options;
  const shard = shardId(0);
  const state = newShardState({
    shard,
    limits,
    entries: store,
    revisions,
    owns: () => true,
    recordBytesMax,
    boot,
  });
  const actor: ShardActor = new ShardActor({
    state,
    clock,
    journal,
    checkpoints: new CellCheckpoints(
      { state, store, checkpointer, journal, storeBytes, now: () => clock.now() },
      () => journal.backlogBytes,
    ),
    send,
    congestion,
    meter,
    wake,
    askForEpoch: () => actor.epochs.take((epoch) => actor.epochs.add(epoch)),
    announce: { routers, awaits, onDurable: (listener) => journal.onDurable(listener) },
  });
  return actor;
}

/** Writes wait for the engine as they wait for a checkpoint: what is committed and not durable has a bound. */
class CellCheckpoints extends ShardCheckpoints {
  readonly #backlogBytes: () => number;

  constructor(options: ConstructorParameters<typeof ShardCheckpoints>[0], backlogBytes: () => number) {
    super(options);
    this.#backlogBytes = backlogBytes;
  }

  override pressure(): WritePressure {
    return this.#backlogBytes() > backlogBytesMax ? 'all' : super.pressure();
  }
}
