/** Restores from the two newest copies to the same revision, into scratch directories, and compares. */
import type { Repository } from '../repository/repository.ts';
import { LmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import { readCatalog } from '../repository/catalog.ts';
import { checkKey } from '../format/names.ts';
import { loadState } from '../restore/load-state.ts';
import { planRestore } from '../restore/restore-plan.ts';

export interface DrillReport {
  readonly revision: number;
  readonly digests: readonly string[];
  readonly copies: readonly string[];
  readonly ok: boolean;
}

/**
 * @param scratch makes an empty directory, and removes it afterwards
 * @throws NoSuchMoment, ObjectDamaged, ObjectMissing, NoIdentity, StorageError
 */
export async function drill(
  repository: Repository,
  scratch: <T>(use: (directory: string) => Promise<T>) => Promise<T>,
  onProgress?: (done: number, total: number) => void,
): Promise<DrillReport> {
  const catalog = await readCatalog(repository);
  const plan = await planRestore(repository, catalog, { kind: 'latest' });
  const copies = plan.copies.slice(0, 2);
  const digests: string[] = [];
  for (const copy of copies) {
    const digest = await scratch(async (directory) => {
      const store = new LmdbStore(directory, { noSync: true });
      try {
        const state = await loadState({
          repository,
          copy,
          objects: plan.objects,
          upTo: plan.revision,
          store,
          ...(onProgress && { onProgress }),
        });
        return state.digest();
      } finally {
        await store.close();
      }
    });
    digests.push(digest);
  }
  return {
    revision: plan.revision,
    digests,
    copies: copies.map(({ name }) => name.folder),
    ok: new Set(digests).size === 1,
  };
}

export interface CheckFound {
  readonly what: 'lists' | 'read' | 'drill';
  readonly ok: boolean;
  readonly problems: readonly string[];
  readonly revision?: number;
  readonly digest?: string;
}

/** Notes in the repository what a check has found. @throws StorageError */
export async function noteCheck(repository: Repository, at: number, found: CheckFound): Promise<void> {
  const problems = found.problems.slice(0, 100);
  const sealed = repository.sealHeader({ kind: 'check', at, ...found, problems });
  await repository.create(checkKey(at), sealed);
}
