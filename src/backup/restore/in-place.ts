/**
 * Makes a data directory safe to serve that somebody has put back by hand: an old copy of its files, or an old image of
 * the disk. Its content is what it is; clients have been given more since. So it gets what a restored directory gets: a
 * new log that jumps ahead (new-log.ts).
 *
 *   checkpointed up to the end of its log ─► `journal.new` ─► mark ─► the store belongs to the new log ─► `journal` is set
 *     aside, `journal.new` takes its name ─► origin ─► mark removed
 *
 * A crash before the mark leaves a directory as it was, checkpointed further; the same command begins anew. A crash after
 * it leaves steps that the same command finishes; until then no server starts with the directory.
 */
import path from 'node:path';
import { FileJournalSource } from '../../journal/file/file-journal-source.ts';
import { JournalCorruption } from '../../journal/file/journal-corruption.ts';
import { recoverJournal, type RecoveredJournal } from '../../journal/file/recovery.ts';
import { bootKey } from '../../protocol/epochs.ts';
import { revision, serverAccount, shardId, type Revision } from '../../protocol/ids.ts';
import { decodeRecord, kinds } from '../../protocol/record.ts';
import { openShard, type OpenedShard } from '../../shard-worker/open-shard.ts';
import { realDisk } from '../../shared/disk.ts';
import { failpoint } from '../../shared/failpoints.ts';
import { defaultLimits } from '../../shared/limits.ts';
import { LocalCheckpointWriter } from '../../storage/checkpoint/checkpoint-link.ts';
import { LmdbStore, type Layout } from '../../storage/lmdb/lmdb-store.ts';
import { lineOf, readCatalog, type Catalog } from '../repository/catalog.ts';
import type { Repository } from '../repository/repository.ts';
import { writeNewLog } from './new-log.ts';
import {
  beginNewJournal,
  endRestore,
  markSwitch,
  NotRestored,
  readMark,
  switchJournal,
  syncDirectory,
  writeRestoredFrom,
  type InPlaceReport,
  type InPlaceSwitch,
} from './restore-marks.ts';
import { digestOfShards } from './restore-state.ts';
import { hourMs } from './recent-grants.ts';
import { addBeyond, GivenBefore, highestKnown } from './what-was-given.ts';

export interface InPlaceOptions {
  /** Of this directory's log. Absent: only what the directory itself knows is known. */
  readonly repository?: Repository | undefined;
  /** It is locked by the caller. */
  readonly dataDirectory: string;
  readonly adopt: boolean;
  readonly graceMs: number;
  readonly jump?: number | undefined;
  readonly skipSequences: number;
  readonly randomBytes: (count: number) => Uint8Array;
}

/** There is nothing to restore in place, or the repository is that of another log. Nothing was changed. */
export class NotInPlace extends Error {
  override name = 'NotInPlace';
}

const yieldTurn = async (): Promise<void> => {};

/** @throws NotInPlace, NotRestored, JournalCorruption, ObjectDamaged, StorageError */
export async function restoreInPlace(options: InPlaceOptions): Promise<InPlaceReport> {
  const { dataDirectory, repository } = options;
  const mark = readMark(dataDirectory);
  if (mark?.kind === 'restore') throw new NotRestored(dataDirectory);
  if (!LmdbStore.exists(dataDirectory))
    throw new NotInPlace(
      `There is no store in ${dataDirectory}; expected a data directory. Without --in-place, restore makes one of a backup.`,
    );
  if (mark?.kind === 'switch') return finish(dataDirectory, mark.rest);
  if (!realDisk.list(dataDirectory).includes('journal'))
    throw new NotInPlace(`There is no journal in ${dataDirectory}; expected the whole data directory.`);
  const store = new LmdbStore(dataDirectory);
  let rest: InPlaceSwitch;
  try {
    const layout = store.layout();
    if (layout === undefined) throw new NotInPlace(`The store in ${dataDirectory} is empty; there is nothing to keep.`);
    const known = repository && (await knownOf(repository, layout.logId));
    const state = await checkpointed(options, store, layout);
    failpoint('restore.replayed');
    rest = await prepare(options, { state, known });
    markSwitch(dataDirectory, rest);
    failpoint('restore.journal');
  } finally {
    await store.close();
  }
  return finish(dataDirectory, rest);
}

interface Known {
  readonly repository: Repository;
  readonly catalog: Catalog;
  /** Of this log, ascending. */
  readonly writers: readonly number[];
}

async function knownOf(repository: Repository, logId: string): Promise<Known> {
  const catalog = await readCatalog(repository);
  const writers = [...catalog.writers].filter(([, claim]) => claim.logId === logId).map(([writer]) => writer);
  if (writers.length === 0)
    throw new NotInPlace(
      `${repository.storage.name} has no backups of the log ${logId} that the directory has; ` +
        'expected the repository of this server, or none.',
    );
  return { repository, catalog, writers };
}

interface CheckpointedState {
  readonly directory: string;
  readonly recovered: RecoveredJournal;
  readonly source: FileJournalSource;
  readonly store: LmdbStore;
  readonly shards: readonly OpenedShard[];
}

async function checkpointed(
  { dataDirectory, randomBytes }: InPlaceOptions,
  store: LmdbStore,
  layout: Layout,
): Promise<CheckpointedState> {
  const directory = path.join(dataDirectory, 'journal');
  const ids = Array.from({ length: layout.shards }, (_, index) => shardId(index));
  const recovered = await recoverJournal(realDisk, directory, {
    from: revision(Math.min(...ids.map((id) => store.shard(id).watermark()))),
    // Only an empty journal gets a segment, and an id.
    segmentBytes: 1024 * 1024,
    randomBytes,
    log: () => undefined,
  });
  if (recovered.logId.toString(16).padStart(16, '0') !== layout.logId)
    throw new NotInPlace(
      `The store belongs to the journal ${layout.logId}, and the directory has another: parts of two were mixed.`,
    );
  const source = new FileJournalSource(realDisk, directory);
  const shards: OpenedShard[] = [];
  for (const shard of ids) {
    const opened = await openShard({
      shard,
      shards: layout.shards,
      limits: defaultLimits,
      checkpoint: store.shard(shard),
      writer: new LocalCheckpointWriter((id) => store.shard(id)),
      source,
      last: recovered.last,
      yieldTurn,
    });
    if ((await opened.checkpointer.start(recovered.last)) === 'no-space')
      throw new NotInPlace('There is no disk space for a checkpoint; free some, and run the same command again.');
    shards.push(opened);
  }
  return { directory, recovered, source, store, shards };
}

async function prepare(
  options: InPlaceOptions,
  { state, known }: { readonly state: CheckpointedState; readonly known: Known | undefined },
): Promise<InPlaceSwitch> {
  const { dataDirectory, adopt, graceMs, jump, skipSequences, randomBytes } = options;
  const { recovered, store, shards } = state;
  const { last } = recovered;
  const given = new GivenBefore(
    Math.max(last, known === undefined ? 0 : highestKnown(known.catalog)),
    skipSequences > 0,
  );
  given.at = recovered.at;
  const digest = digestOfShards(
    shards.map((_, index) => store.shard(shardId(index))),
    (key, value) => given.addEntry(key, value),
  );
  addFromJournal(given, state);
  const writer = known === undefined ? 0 : writerAt(known, last);
  if (known !== undefined) {
    const { catalog, repository } = known;
    const line = lineOf(catalog, writer, last);
    await addBeyond(given, repository, { catalog, line, revision: last, own: new Set() });
  }
  const journalDirectory = beginNewJournal(dataDirectory);
  const owner = shards.find(({ owns }) => owns(serverAccount, bootKey));
  const get = (key: string): string | undefined => owner?.store.get(kinds.boot, serverAccount, key)?.value;
  const common = { journalDirectory, after: last, given, get, graceMs, jump, skipSequences, randomBytes };
  const log = await writeNewLog(common);
  syncDirectory(dataDirectory);
  const report: InPlaceReport = {
    ...log,
    revision: last,
    at: given.at,
    highestKnown: given.highest,
    sequences: [...given.sequences],
    adopted: adopt,
    digest,
    logBefore: `journal.before-${log.logId}`,
    knowsRepository: known !== undefined,
  };
  const repository = known?.repository.id ?? '';
  return { report, origin: { repository, writer, revision: last, logId: log.logId, adopted: adopt } };
}

/** The last hour of the directory's own log, as far as it can be read. */
function addFromJournal(given: GivenBefore, { recovered, source }: CheckpointedState): void {
  const { last, at: end, oldest, from } = recovered;
  const read = (after: Revision): void => {
    for (const { buffer, at, committedAt } of source.replay(after, last)) {
      if (committedAt >= end - hourMs) given.add(decodeRecord(buffer, at), committedAt, true);
    }
  };
  try {
    read(revision(oldest - 1));
  } catch (error) {
    if (!(error instanceof JournalCorruption)) throw error;
    // Damage in history that no start needs: what follows is whole.
    read(from);
  }
}

/** The writer that has shipped the end of the directory's log, or was about to. */
function writerAt({ catalog, writers }: Known, last: Revision): number {
  const began = (writer: number): number => catalog.objects.get(writer)?.[0]?.first ?? Infinity;
  return writers.findLast((writer) => began(writer) <= last) ?? writers[0]!;
}

async function finish(dataDirectory: string, { report, origin }: InPlaceSwitch): Promise<InPlaceReport> {
  const store = new LmdbStore(dataDirectory);
  try {
    store.writeLayout({ ...store.layout()!, logId: report.logId });
  } finally {
    await store.close();
  }
  failpoint('restore.switched');
  switchJournal(dataDirectory, report.logBefore);
  writeRestoredFrom(dataDirectory, origin);
  endRestore(dataDirectory);
  return report;
}
