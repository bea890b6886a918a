/**
 * Who may write: each start of a server that ships claims a writer number and has folders of its own, so no two servers
 * ever write the same object. A claim has to prove that it goes on with what the repository has:
 *
 *   nothing there                         first
 *   our log, and the journal has the      frames: the next object follows the last one
 *     frame that the last object ends with
 *   our log, but that frame has been      gap: what lies between is lost, and a copy is due
 *     trimmed, or a salvage has left it
 *   our log, but ahead of the journal     refused, `rolled_back`: an old image of the disk was put back, or a clone runs
 *   our log, but another frame there      refused, `foreign`: two servers went on with one log
 *   another log, and this directory was   restore, if it was adopted; else refused, `unadopted`
 *     restored from the repository
 *   another log                           refused, `foreign`
 *
 * `adopt` claims in all of these cases but `rolled_back`, and makes a copy. It is for people only: two servers that claim
 * back by themselves would do so for ever.
 */
import type { ContinuedWriter, FramesHeader, WriterHeader } from '../format/headers.ts';
import { frameObjectOf, writerKey, writerOf, type FrameObjectName } from '../format/names.ts';
import type { Repository } from './repository.ts';

export interface Claimant {
  /** 16 hex digits. */
  readonly logId: string;
  readonly boot: string;
  readonly at: number;
  /** The last durable revision of the journal. */
  readonly durable: number;
  /** The checksum of the journal's frame that ends with a revision. */
  readonly checksumAt: (revision: number) => number | undefined;
  /** The lowest revision that can be read from the journal, less one. */
  readonly oldestAfter: () => number;
  /** How this directory came from the repository, if it was restored. */
  readonly restored: { readonly writer: number; readonly revision: number; readonly adopted: boolean } | undefined;
}

export type ClaimRefusal = 'foreign' | 'rolled_back' | 'unadopted';

export type ClaimResult =
  | {
      readonly kind: 'claimed';
      readonly writer: number;
      readonly by: WriterHeader['by'];
      /** The last object of the writer that is continued. */
      readonly continues: ContinuedWriter | undefined;
      /** The moment of the last frame that was shipped before; 0: unknown. */
      readonly atBefore: number;
    }
  | { readonly kind: 'refused'; readonly why: ClaimRefusal; readonly message: string };

interface LastShipped {
  readonly claim: WriterHeader;
  readonly object: FrameObjectName | undefined;
  readonly header: FramesHeader | undefined;
  readonly sha256: string | undefined;
}

/** @throws StorageError, ObjectDamaged, NewerFormat */
export async function claimWriter(repository: Repository, us: Claimant, adopt = false): Promise<ClaimResult> {
  const numbers = await writerNumbers(repository);
  const last = await lastShipped(repository, numbers);
  const standing = standingOf(last, us, adopt);
  if (standing.kind === 'refused') return standing;
  const { by, continues } = standing;
  for (let writer = (numbers.at(-1) ?? 0) + 1; ; writer += 1) {
    const { logId, boot, at } = us;
    const sealed = repository.sealHeader({
      kind: 'writer',
      writer,
      logId,
      boot,
      at,
      ...(continues !== undefined && { continues }),
      by,
    });
    if ((await repository.storage.put(writerKey(writer), sealed.bytes)) === 'created')
      return { kind: 'claimed', writer, by, continues, atBefore: last?.header?.atLast ?? 0 };
    // Somebody was faster, or the answer to an earlier try was lost, which leaves a claim without objects.
  }
}

/** Whether a later writer has claimed: then this one is superseded. @throws StorageError */
export async function isSuperseded(repository: Repository, writer: number): Promise<boolean> {
  return (await repository.storage.head(writerKey(writer + 1))) !== undefined;
}

type Standing =
  | { readonly kind: 'ok'; readonly by: WriterHeader['by']; readonly continues: ContinuedWriter | undefined }
  | Extract<ClaimResult, { kind: 'refused' }>;

function standingOf(last: LastShipped | undefined, us: Claimant, adopt: boolean): Standing {
  const { restored } = us;
  if (last === undefined) {
    if (restored !== undefined && !restored.adopted && !adopt) return refusedAs('unadopted', unadopted);
    return { kind: 'ok', by: 'first', continues: undefined };
  }
  const { claim, object, header, sha256 } = last;
  const continues: ContinuedWriter = {
    writer: claim.writer,
    revision: header?.last ?? 0,
    ...(object !== undefined && sha256 !== undefined && { object: object.key, sha256 }),
  };
  if (claim.logId !== us.logId) {
    if (restored !== undefined && (restored.adopted || adopt))
      return { kind: 'ok', by: 'restore', continues: { writer: restored.writer, revision: restored.revision } };
    if (restored !== undefined) return refusedAs('unadopted', unadopted);
    if (adopt) return { kind: 'ok', by: 'adopted', continues: undefined };
    const whose = `the log ${claim.logId}, and this server has the log ${us.logId}`;
    return refusedAs('foreign', `The repository has backups of ${whose}; expected a place of its own for each server.`);
  }
  if (header === undefined || object === undefined) return { kind: 'ok', by: 'gap', continues };
  if (header.last > us.durable) return refusedAs('rolled_back', rolledBack(header.last, us.durable));
  const checksum = us.checksumAt(header.last);
  if (checksum === header.crc) return { kind: 'ok', by: 'frames', continues };
  if (checksum === undefined && header.last <= us.oldestAfter()) return { kind: 'ok', by: 'gap', continues };
  if (adopt) return { kind: 'ok', by: 'adopted', continues: undefined };
  // A salvage gives up revisions that were shipped, and goes on a billion later: they are not in the journal.
  if (checksum === undefined) return { kind: 'ok', by: 'gap', continues };
  const message = `The repository has another commit ${header.last} of this log: two servers went on with copies of one data directory.`;
  return refusedAs('foreign', message);
}

const unadopted =
  'This data directory was restored from the repository, and ships nothing until it is adopted (dragonlock backup adopt), so that a copy of a server does not take the place of the server.';

function rolledBack(shipped: number, durable: number): string {
  return (
    `The data directory is older than its own backup: it ends with revision ${durable}, and the backup has ${shipped}. ` +
    'Either an old image of the disk was put back, or another server goes on with a copy of this directory. ' +
    'Restore from the backup (dragonlock restore), or stop the other server.'
  );
}

function refusedAs(why: ClaimRefusal, message: string): Standing {
  return { kind: 'refused', why, message };
}

async function writerNumbers({ storage }: Repository): Promise<number[]> {
  const claims = await storage.list('writers/');
  return claims.flatMap(({ key }) => writerOf(key) ?? []).toSorted((a, b) => a - b);
}

/** The last writer that has shipped, and the object with its last frame. Claims without objects are passed over. */
async function lastShipped(repository: Repository, numbers: readonly number[]): Promise<LastShipped | undefined> {
  for (const writer of numbers.toReversed()) {
    const folder = String(writer).padStart(6, '0');
    const [tails, logs] = await Promise.all([
      repository.storage.list(`tail/${folder}/`),
      repository.storage.list(`log/${folder}/`),
    ]);
    const objects = [...tails, ...logs].flatMap(({ key }) => frameObjectOf(key) ?? []);
    const object = objects.toSorted((a, b) => a.last - b.last || (a.kind < b.kind ? -1 : 1)).at(-1);
    if (object === undefined) continue;
    const { header: claim } = await repository.readHeader<WriterHeader>(writerKey(writer), 'writer');
    const { header, sha256 } = await repository.readHeader<FramesHeader>(object.key, object.kind);
    return { claim, object, header, sha256 };
  }
  return undefined;
}
