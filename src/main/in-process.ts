/**
 * Everything behind the HTTP edge in one thread: the same router, actors and journal code as in production, joined by
 * plain calls instead of MessagePorts. For tests, simulation and stepping through a request in a debugger.
 *
 * The disk, the clock and when deferred work runs are the caller's. A crash is simulated by forgetting the returned
 * object and starting again on the same disk and checkpoints.
 */
import { LocalCheckpointWriter } from '../checkpoint/checkpoint-link.ts';
import { JournalDirectory } from '../journal/journal-directory.ts';
import type { JournalLog } from '../journal/journal-options.ts';
import { JournalWriter } from '../journal/journal-writer.ts';
import { LocalJournal } from '../journal/local-journal.ts';
import { recoverJournal } from '../journal/recovery.ts';
import { revision, shardId, type ShardId } from '../protocol/ids.ts';
import { LocalRevisions } from '../protocol/revisions.ts';
import { PrefixWatches } from '../router/prefix-watches.ts';
import { Router } from '../router/router.ts';
import { LocalShardLink } from '../router/shard-link.ts';
import type { Clock } from '../shared/clock.ts';
import type { Disk } from '../shared/disk.ts';
import type { Limits } from '../shared/limits.ts';
import { newShardState, type Boot, type ShardState } from '../shard-worker/core/state.ts';
import { bootShard, commitBoot, openShard } from '../shard-worker/open-shard.ts';
import { ShardActor } from '../shard-worker/shard-actor.ts';
import { afterJournal, ShardCheckpoints } from '../shard-worker/shard-checkpoints.ts';
import type { CheckpointStore, CheckpointTarget } from '../shard-worker/store/checkpoint-store.ts';

export interface InProcessOptions {
  readonly shards: number;
  readonly limits: Limits;
  readonly disk: Disk;
  readonly journalDirectory: string;
  readonly segmentBytes?: number;
  readonly keepBytes?: number;
  /** One a shard. Kept by the caller over a simulated crash. */
  readonly checkpoints: readonly (CheckpointStore & CheckpointTarget)[];
  readonly clock: Clock;
  /** Runs something after the current call has returned: `setImmediate`, or a simulator's choice. */
  readonly defer: (run: () => void) => void;
  /** Calls after so many milliseconds; returns how to take that back. `setTimeout`, or a simulator's clock. */
  readonly after: (delayMs: number, run: () => void) => () => void;
  readonly randomBytes: (count: number) => Uint8Array;
  readonly log: JournalLog;
}

export interface InProcess {
  readonly router: Router;
  readonly states: readonly ShardState[];
  readonly boot: Boot;
  /** Drains, checkpoints, closes the files: a clean stop. */
  stop(): Promise<void>;
}

/** @throws JournalCorruption, and what the disk says. */
export async function startInProcess(options: InProcessOptions): Promise<InProcess> {
  const { shards, limits, disk, journalDirectory, checkpoints, clock, defer, after, randomBytes, log } = options;
  const segments = options.segmentBytes === undefined ? {} : { segmentBytes: options.segmentBytes };
  const kept = options.keepBytes === undefined ? {} : { keepBytes: options.keepBytes };
  const from = revision(Math.min(...checkpoints.map((checkpoint) => checkpoint.watermark())));
  const recovered = await recoverJournal(disk, journalDirectory, { from, randomBytes, log, ...segments });
  const revisions = new LocalRevisions(recovered.last);
  const writer = new JournalWriter(disk, journalDirectory, recovered, revisions, {
    shards,
    log,
    schedule: (run, ms) => void after(ms, run),
    elapsedMs: () => clock.now(),
    ...segments,
    ...kept,
  });
  const journal = new LocalJournal(writer);
  const yieldTurn = (): Promise<void> => new Promise((resolve) => defer(resolve));
  const shardIds = checkpoints.map((_, index) => shardId(index));
  const targetOf = (shard: ShardId): CheckpointTarget => checkpoints[shard]!;
  const opened = await Promise.all(
    shardIds.map((shard) =>
      openShard({
        shard,
        shards,
        limits,
        checkpoint: checkpoints[shard]!,
        writer: afterJournal(new LocalCheckpointWriter(targetOf), journal, revisions),
        disk,
        journalDirectory,
        last: recovered.last,
        yieldTurn,
      }),
    ),
  );
  const boot = await commitBoot(opened[bootShard(shards)]!.store, journal, revisions, clock.now());

  const cancels: (() => void)[] = [];
  const links: LocalShardLink[] = [];
  const states = shardIds.map((shard) => {
    const { store, checkpointer, owns } = opened[shard]!;
    const state = newShardState({ shard, limits, entries: store, revisions, owns, boot });
    const actor: ShardActor = new ShardActor({
      state,
      clock,
      journal,
      checkpoints: new ShardCheckpoints({ state, store, checkpointer, journal, storeBytes: () => 0 }),
      send: (_router, message) => links[shard]!.deliver(message),
      wake: (delayMs) => {
        cancels[shard]?.();
        cancels[shard] = after(delayMs, () => actor.turn());
      },
    });
    links.push(new LocalShardLink(actor, 0, defer));
    return state;
  });
  const prefixWatches = new PrefixWatches({
    directory: new JournalDirectory(disk, journalDirectory),
    durable: () => revisions.durable(),
    limits,
    defer,
  });
  const router = new Router({
    index: 0,
    links,
    durable: revisions.durable(),
    limits,
    prefixWatches,
    journalStats: async () => writer.stats(),
    defer,
  });
  journal.onDurable((durable) => defer(() => router.advance(durable)));
  return {
    router,
    states,
    boot,
    async stop() {
      await router.drain();
      await router.close();
      for (const cancel of cancels) cancel();
      await writer.close();
    },
  };
}
