/**
 * One cell of a node: engine journal, mirror, shard actor and router of production, over the model engine. Its disk and its
 * checkpoint stay when the node ends.
 */
import { FileJournalSource } from '../../src/journal/file/file-journal-source.ts';
import type { CellRow } from '../../src/cluster/engine.ts';
import { logIdOf } from '../../src/cluster/cell-frames.ts';
import type { CellLoss } from '../../src/cluster/engine-journal.ts';
import { serveCell } from '../../src/cluster/serve-cell.ts';
import { startCell, type StartedCell, type StartCellOptions } from '../../src/cluster/start-cell.ts';
import { accountId } from '../../src/protocol/ids.ts';
import type { Command } from '../../src/protocol/operations/operations.ts';
import { kinds } from '../../src/protocol/record.ts';
import { decodeToShard, encodeFromShard } from '../../src/protocol/wire/shard-wire.ts';
import { PrefixWatches } from '../../src/router/watch/prefix-watches.ts';
import { RouterCounts } from '../../src/router/router-counts.ts';
import { Router } from '../../src/router/router.ts';
import { QueueShardLink } from '../../src/router/shard-link.ts';
import { systemAfter } from '../../src/shared/clock.ts';
import { defaultLimits } from '../../src/shared/limits.ts';
import type { ShardActor } from '../../src/shard-worker/shard-actor.ts';
import { LocalCheckpointWriter } from '../../src/storage/checkpoint/checkpoint-link.ts';
import { startOfTime } from '../support/core-under-test.ts';
import { FaultDisk } from '../support/fault-disk.ts';
import { LocalRevisions } from '../support/local-revisions.ts';
import { digestOf } from '../support/map-entries.ts';
import { MemoryCheckpointStore } from '../support/memory-checkpoint-store.ts';
import { AskedClient } from '../support/router-under-test.ts';
import { workMeter } from '../support/work-meter.ts';
import { pause, settle, type ScriptedEngine } from './scripted-engine.ts';

export const acme = accountId('acme');
const mirrorDirectory = '/data/cell-0';

export class NodeDisk {
  files = new FaultDisk(1);
  checkpoint = new MemoryCheckpointStore();
}

export class CellUnderTest {
  readonly cell: StartedCell;
  readonly router: Router;
  readonly actor: ShardActor;
  readonly losses: readonly CellLoss[];
  readonly #awaiting = new Set<number>();
  #replies = 0;

  private constructor(cell: StartedCell, disk: NodeDisk, losses: readonly CellLoss[]) {
    this.cell = cell;
    this.losses = losses;
    const { revisions, journal } = cell;
    this.actor = serveCell(cell, {
      limits: defaultLimits,
      recordBytesMax: 32 * 1024 * 1024,
      clock: { now: () => startOfTime },
      storeBytes: () => 0,
      routers: 1,
      awaits: (router) => this.#awaiting.has(router),
      send: (_, message) => setImmediate(() => link.deliver(encodeFromShard(message))),
      congestion: () => 'none',
      meter: workMeter(),
      wake: (delayMs) => {
        if (delayMs === 0) setImmediate(() => this.actor.turn());
      },
    });
    const link = new QueueShardLink((wire) =>
      setImmediate(() => {
        this.actor.receive(0, decodeToShard(wire));
        this.actor.turn();
      }),
    );
    const counts = new RouterCounts(RouterCounts.allocate(1), 1);
    const common = { limits: defaultLimits, counts, defer: setImmediate, after: systemAfter };
    this.router = new Router({
      ...common,
      index: 0,
      links: [link],
      durable: () => revisions.durable(),
      awaitDurable: (awaits) => void (awaits ? this.#awaiting.add(0) : this.#awaiting.delete(0)),
      prefixWatches: new PrefixWatches({
        ...common,
        source: FileJournalSource.ofMirror(disk.files, mirrorDirectory),
        durable: () => revisions.durable(),
      }),
      journalStats: async () => journal.stats(),
    });
  }

  /** Takes the cell from whoever has it. */
  static async start(
    engine: ScriptedEngine,
    session: number,
    disk = new NodeDisk(),
    more: Partial<StartCellOptions> = {},
  ): Promise<CellUnderTest> {
    const losses: CellLoss[] = [];
    const started = await startCell({
      ...(await optionsOf(engine, session, disk)),
      onLost: (loss) => losses.push(loss),
      ...more,
    });
    if (started.kind !== 'started') throw new Error(`the cell does not start: ${JSON.stringify(started)}`);
    return new CellUnderTest(started.cell, disk, losses);
  }

  send(command: Command): AskedClient {
    const client = new AskedClient(() => this.#replies++);
    client.pending = this.router.request(command, client);
    return client;
  }

  async ask(command: Command): Promise<AskedClient> {
    const client = this.send(command);
    await rest();
    return client;
  }

  /** Digests what the cell holds, without the entry that counts starts. */
  digest(): string {
    const { boot: _, ...content } = kinds;
    return digestOf(Object.values(content).flatMap((kind) => [...this.cell.store.range(kind, acme, '')]));
  }

  /** As a kill: nothing is written any more. */
  kill(): void {
    this.cell.journal.close();
  }
}

export async function optionsOf(engine: ScriptedEngine, session: number, disk: NodeDisk): Promise<StartCellOptions> {
  const row = await engine.engine.look(0);
  if (row.kind !== 'done') throw new Error(`expected a row, got ${row.kind}`);
  const seen: CellRow = row.result;
  return {
    engine: engine.engine,
    pause,
    seen,
    session,
    handedOver: false,
    logId: logIdOf('the cluster of a test', 0),
    limits: defaultLimits,
    disk: disk.files,
    mirrorDirectory,
    mirrorSegmentBytes: 64 * 1024,
    checkpoint: disk.checkpoint,
    writer: new LocalCheckpointWriter(() => disk.checkpoint),
    revisionsAt: (last) => new LocalRevisions(last),
    clock: { now: () => startOfTime },
    elapsedMs: () => 0,
    yieldTurn: settle,
    log: () => undefined,
    onLost: () => undefined,
  };
}

/** Lets everything go on that waits for nothing. */
export async function rest(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await settle();
}
