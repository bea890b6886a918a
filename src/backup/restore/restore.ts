/**
 * Makes a data directory of what a repository has: the state of the latest commit, of a revision or of a moment.
 *
 *   mark ─► rows of a copy ─► frames after it ─► checkpointed ─► a new log with one record ─► origin ─► mark removed
 *
 * A crash anywhere leaves the mark: no server starts with the directory, and the same restore begins anew.
 *
 * Clients live through a restore, with what the lost time has given them. So the new log begins with one record that
 * makes all numbers jump (journal/file/leap.ts), ahead of the highest revision that any writer is known to have reached,
 * and that says what is lost (protocol/restored.ts). It has an id of its own.
 */
import { serverAccount } from '../../protocol/ids.ts';
import { kinds } from '../../protocol/record.ts';
import { realDisk, joinPath } from '../../shared/disk.ts';
import { failpoint } from '../../shared/failpoints.ts';
import { LmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import { readCatalog, type Catalog, type CatalogCopy } from '../repository/catalog.ts';
import { isDamage, type Repository } from '../repository/repository.ts';
import { loadState } from './load-state.ts';
import { beginRestore, clearStore, endRestore, freeBytes, writeRestoredFrom } from './restore-marks.ts';
import { writeNewLog, type NewLog } from './new-log.ts';
import { isOfCopy, NoSuchMoment, planRestore, type RestoreGoal, type RestorePlan } from './restore-plan.ts';
import type { RestoreState } from './restore-state.ts';
import { RecentGrants } from './recent-grants.ts';
import { addFromLog, GivenBefore, highestKnown } from './what-was-given.ts';

export interface RestoreOptions {
  readonly repository: Repository;
  readonly goal: RestoreGoal;
  /** It exists, and is locked by the caller. */
  readonly dataDirectory: string;
  /** The server takes the place of the one that the backup is of. */
  readonly adopt: boolean;
  /** How long no lock is granted anew after the start; 0: every client was stopped. */
  readonly graceMs: number;
  /** Ahead of the highest known revision; absent: a billion. */
  readonly jump?: number;
  /** By how much all sequences are moved ahead; absent: they go back. */
  readonly skipSequences?: number;
  readonly randomBytes: (count: number) => Uint8Array;
  readonly onProgress?: (done: number, total: number) => void;
  readonly onNote?: (note: string) => void;
}

export interface RestoreReport extends NewLog {
  readonly revision: number;
  /** Milliseconds since the Unix epoch; 0: unknown. */
  readonly at: number;
  readonly copy: string;
  readonly rows: number;
  readonly highestKnown: number;
  /** Sequences that changed in the last hour before the moment, as account/name. */
  readonly sequences: readonly string[];
  readonly adopted: boolean;
  readonly digest: string;
  /** Nothing newer is known. */
  readonly isLatest: boolean;
}

/** A store has pages that are not full, and rows for deadlines. */
const spaceFactor = 2.5;

/** There is too little space for the restored data. */
export class NoSpaceToRestore extends Error {
  override name = 'NoSpaceToRestore';
}

export async function planOf(
  repository: Repository,
  goal: RestoreGoal,
): Promise<{ readonly catalog: Catalog; readonly plan: RestorePlan }> {
  const catalog = await readCatalog(repository);
  return { catalog, plan: await planRestore(repository, catalog, goal) };
}

/** @throws NoSuchMoment, NotEmpty, ObjectDamaged, ObjectMissing, NoIdentity, StorageError, NoSpaceToRestore */
export async function restore(options: RestoreOptions): Promise<RestoreReport> {
  const { repository, dataDirectory } = options;
  const { catalog, plan } = await planOf(repository, options.goal);
  const needed = plan.copies[0]!.manifest.raw * spaceFactor;
  const free = freeBytes(dataDirectory);
  if (needed > free)
    throw new NoSpaceToRestore(
      `The restored data may take ${Math.ceil(needed / 1e6)} MB, and ${dataDirectory} has ${Math.floor(free / 1e6)} MB free.`,
    );
  beginRestore(dataDirectory);
  const { skipSequences = 0 } = options;
  const given = new GivenBefore(Math.max(highestKnown(catalog), plan.revision), skipSequences > 0);
  const { state, store, copy, recent } = await firstThatLoads(options, { catalog, plan }, given);
  let digest: string;
  let log: NewLog;
  try {
    digest = state.digest((key, value) => given.addEntry(key, value));
    given.addRecent(recent);
    await addFromLog(given, repository, { catalog, plan, from: copy.manifest.from });
    const journalDirectory = joinPath(dataDirectory, 'journal');
    realDisk.mkdir(journalDirectory);
    realDisk.syncDirectory(dataDirectory);
    const { graceMs, jump, randomBytes } = options;
    log = await writeNewLog({
      journalDirectory,
      after: plan.revision,
      given,
      get: (key) => state.get(kinds.boot, serverAccount, key),
      graceMs,
      jump,
      skipSequences,
      randomBytes,
    });
  } finally {
    await store.close();
  }
  await takeLog(dataDirectory, log.logId);
  failpoint('restore.journal');
  writeRestoredFrom(dataDirectory, {
    repository: repository.id,
    writer: plan.writer,
    revision: plan.revision,
    logId: log.logId,
    adopted: options.adopt,
  });
  endRestore(dataDirectory);
  return {
    ...log,
    revision: plan.revision,
    at: given.at,
    copy: copy.name.folder,
    rows: copy.manifest.rows,
    highestKnown: given.highest,
    sequences: [...given.sequences],
    adopted: options.adopt,
    digest,
    isLatest: plan.isLatest,
  };
}

/** The store belongs to the log from now on, and all that was written before is durable. */
async function takeLog(dataDirectory: string, logId: string): Promise<void> {
  const store = new LmdbStore(dataDirectory);
  try {
    store.writeLayout({ ...store.layout()!, logId });
  } finally {
    await store.close();
  }
}

interface Loaded {
  readonly state: RestoreState;
  readonly store: LmdbStore;
  readonly copy: CatalogCopy;
  readonly recent: RecentGrants;
}

/**
 * Takes an older copy where a newer one is damaged, and the objects of single intervals where one of ten minutes is: all of
 * them lead to the same state.
 */
async function firstThatLoads(
  options: RestoreOptions,
  found: { readonly catalog: Catalog; readonly plan: RestorePlan },
  given: GivenBefore,
): Promise<Loaded> {
  const { dataDirectory, onNote } = options;
  let { catalog, plan } = found;
  let copies = [...plan.copies];
  for (;;) {
    const copy = copies[0]!;
    try {
      return await load(options, plan, { copy, given });
    } catch (error) {
      if (!isDamage(error)) throw error;
      if (isOfCopy(error, copy)) {
        copies.shift();
        if (copies.length === 0) throw error;
        onNote?.(`${error.message} An older copy is used instead.`);
      } else {
        ({ catalog, plan } = await planWithout(options.repository, { catalog, plan }, error));
        copies = plan.copies.filter(({ name }) => copies.some((one) => one.name.folder === name.folder));
        if (copies.length === 0) throw error;
        onNote?.(`${error.message} Others that have the same are used instead.`);
      }
      clearStore(dataDirectory);
    }
  }
}

/** @throws `error`, if nothing else has what the damaged object had */
async function planWithout(
  repository: Repository,
  { catalog, plan }: { readonly catalog: Catalog; readonly plan: RestorePlan },
  error: Error & { readonly key: string },
): Promise<{ readonly catalog: Catalog; readonly plan: RestorePlan }> {
  if (!plan.objects.some(({ key }) => key === error.key)) throw error;
  const objects = new Map(
    [...catalog.objects].map(([writer, own]) => [writer, own.filter(({ key }) => key !== error.key)]),
  );
  const less = { ...catalog, objects };
  try {
    const other = await planRestore(repository, less, { kind: 'revision', revision: plan.revision });
    return { catalog: less, plan: { ...other, isLatest: plan.isLatest } };
  } catch (refused) {
    throw refused instanceof NoSuchMoment ? error : refused;
  }
}

async function load(
  { repository, dataDirectory, onProgress }: RestoreOptions,
  plan: RestorePlan,
  { copy, given }: { readonly copy: CatalogCopy; readonly given: GivenBefore },
): Promise<Loaded> {
  // The mark is there until all is done, so no step has to be durable before the last.
  const store = new LmdbStore(dataDirectory, { noSync: true });
  const recent = new RecentGrants();
  try {
    given.at = copy.manifest.from === plan.revision ? copy.manifest.startedAt : 0;
    const state = await loadState({
      repository,
      copy,
      objects: plan.objects,
      upTo: plan.revision,
      store,
      seen: (record, at) => {
        given.at = Math.max(given.at, at);
        recent.add(record, at);
      },
      ...(onProgress && { onProgress }),
    });
    return { state, store, copy, recent };
  } catch (error) {
    await store.close();
    throw error;
  }
}
