/**
 * A shard at start: the checkpoint, and what the journal has beyond it. Effects are whole values, so that replay needs
 * neither the commands nor a clock. When the memtable fills up during replay, the shard makes a checkpoint, and one at
 * the end when more than half of the memtable is full, or when the stored content has no counts yet.
 */
import { bootKey, epochEffect, nextEpoch } from '../protocol/epochs.ts';
import { ownerOf } from '../protocol/partition.ts';
import { type AccountId, type Revision, type ShardId, serverAccount } from '../protocol/ids.ts';
import type { Journal, JournalSource, Revisions } from '../protocol/journal.ts';
import { decodeRecord, kinds, RecordWriter, type RecordChunk } from '../protocol/record.ts';
import { parseRestored, restoredEffect, restoredKey, type RestoredState } from '../protocol/restored.ts';
import type { Limits } from '../shared/limits.ts';
import { applyRecord, type Boot } from './core/state/state.ts';
import { Checkpointer, type CheckpointWriter } from '../storage/checkpoint/checkpointer.ts';
import type { CheckpointStore } from '../storage/checkpoint-store.ts';
import type { AccountUsages } from '../storage/account-usage.ts';
import { ShardStore } from '../storage/shard-store.ts';

export interface OpenShardOptions {
  readonly shard: ShardId;
  readonly shards: number;
  readonly limits: Limits;
  /** See `ShardStoreOptions`. */
  readonly usages?: AccountUsages;
  readonly checkpoint: CheckpointStore;
  readonly writer: CheckpointWriter;
  readonly source: JournalSource;
  /** The last revision of the recovered journal. */
  readonly last: Revision;
  readonly yieldTurn: () => Promise<void>;
  readonly log?: (level: 'info', message: string, details: object) => void;
}

export interface OpenedShard {
  readonly store: ShardStore;
  readonly checkpointer: Checkpointer;
  readonly owns: (account: AccountId, key: string) => boolean;
  readonly replayed: number;
}

export async function openShard(options: OpenShardOptions): Promise<OpenedShard> {
  const { shard, shards, limits, checkpoint, writer, source, last, yieldTurn, log } = options;
  const onCounted = (entries: number): void =>
    log?.('info', `Counting the entries of shard ${shard} once: ${entries} so far`, { shard, entries });
  const store = new ShardStore(checkpoint, { onCounted, ...(options.usages && { usages: options.usages }) });
  const watermark = checkpoint.watermark();
  const memtableBytesMax = limits.memtable_bytes_max;
  const checkpointer = new Checkpointer({ shard, store, writer, memtableBytesMax, watermark, yieldTurn });
  const owns = (account: AccountId, key: string): boolean => ownerOf(account, key, shards) === shard;
  let replayed = 0;
  for (const { buffer, at, rev } of source.replay(watermark, last)) {
    applyRecord({ entries: store, owns }, decodeRecord(buffer, at));
    replayed += 1;
    // Clients do not write during replay, so the memtable may grow to its full size: fewer, larger checkpoints.
    if (store.activeBytes > memtableBytesMax && store.frozen === undefined) await checkpointer.start(rev);
  }
  // While it makes a checkpoint, a shard that serves needs the other half: without it the first writes were refused.
  const isDue = store.activeBytes > memtableBytesMax / 2 || store.countsUnstored;
  if (isDue && store.frozen === undefined) await checkpointer.start(last);
  return { store, checkpointer, owns, replayed };
}

/** The shard that counts the epochs. */
export function bootShard(shards: number): ShardId {
  return ownerOf(serverAccount, bootKey, shards);
}

/** Takes the epoch of this start: the one commit before the first request. Durable when it resolves. */
export async function commitBoot(
  store: ShardStore,
  journal: Journal,
  revisions: Revisions,
  now: number,
): Promise<Boot> {
  const rev = revisions.next();
  const durable = new Promise<void>((resolve) => journal.whenDurable(rev, resolve));
  const { boot, chunk } = takeFirstEpoch(store, rev, now);
  journal.append(chunk);
  await durable;
  return boot;
}

/** Puts the epoch of this start into the store. @returns its record, which the caller makes durable */
export function takeFirstEpoch(
  store: ShardStore,
  rev: Revision,
  now: number,
): { readonly boot: Boot; readonly chunk: RecordChunk } {
  const before = store.get(kinds.boot, serverAccount, bootKey);
  const epoch = nextEpoch(Number(before?.value ?? 0));
  const restored = restoredAt(store, now);
  const records = new RecordWriter();
  const effects = [epochEffect(epoch)];
  // The first start after a restore notes its time: grace counts from there, over further starts too.
  if (restored?.isFirst === true) effects.push(restoredEffect(restored.state));
  records.append({ rev, account: serverAccount, effects });
  for (const { kind, key, till, value } of effects) store.put(kind, serverAccount, key, { rev, till, value: value! });
  const boot = { epoch, rev, at: now, ...(restored !== undefined && { restored: restored.state }) };
  return { boot, chunk: records.take() };
}

function restoredAt(store: ShardStore, now: number): { state: RestoredState; isFirst: boolean } | undefined {
  const state = parseRestored(store.get(kinds.boot, serverAccount, restoredKey)?.value);
  if (state === undefined) return undefined;
  return state.since === undefined ? { state: { ...state, since: now }, isFirst: true } : { state, isFirst: false };
}
