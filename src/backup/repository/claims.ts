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
 * An object that is damaged proves nothing. Then the last one before it that is whole does, and the next writer ships again
 * what the damaged one had, if the journal still has it; else there is a gap.
 *
 * A storage without conditional puts does not tell who was first. There each claimant puts a ticket of its own for the
 * number, and looks at all tickets: who sees another of the same number takes the next. So at most one claims it.
 *
 * `adopt` claims in all of these cases but `rolled_back`, and makes a copy. It is for people only: two servers that claim
 * back by themselves would do so for ever.
 */
import { ObjectDamaged, type ObjectHeader, type OpenedObject } from '../format/backup-object.ts';
import type { ContinuedWriter, FramesHeader, WriterHeader } from '../format/headers.ts';
import { frameObjectOf, ticketKey, ticketOf, writerKey, writerOf, type FrameObjectName } from '../format/names.ts';
import { isDamage, type Repository } from './repository.ts';

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
  /** 16 hex digits, others each time. */
  readonly randomName: () => string;
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
      /** Sentences about objects that could not be read, and were passed over. */
      readonly damaged: readonly string[];
    }
  | { readonly kind: 'refused'; readonly why: ClaimRefusal; readonly message: string };

interface LastShipped {
  readonly writer: number;
  readonly logId: string;
  /** The highest revision that it has shipped, by the names of its objects. */
  readonly highest: number;
  /** The last object that can be read; absent: none can. */
  readonly object: { readonly key: string; readonly header: FramesHeader; readonly sha256: string } | undefined;
  /** Without an object: what the writer went on with. */
  readonly continued?: ContinuedWriter | undefined;
}

interface Found {
  /** Of all writers that have claimed, ascending. */
  readonly numbers: readonly number[];
  readonly last: LastShipped | undefined;
  /** What could not be read on the way. */
  readonly damaged: readonly string[];
}

/** @throws StorageError, ObjectDamaged (nothing at all can be read), NewerFormat */
export async function claimWriter(repository: Repository, us: Claimant, adopt = false): Promise<ClaimResult> {
  const { numbers, last, damaged } = await lastShipped(repository, adopt);
  const standing = standingOf(last, us, adopt);
  if (standing.kind === 'refused') return standing;
  const { by, continues } = standing;
  for (let writer = (numbers.at(-1) ?? 0) + 1; ; writer += 1) {
    const { logId, boot, at } = us;
    const claim = { kind: 'writer', writer, logId, boot, at, ...(continues !== undefined && { continues }), by };
    const others =
      repository.fencing === 'list' ? await otherTickets(repository, ticketKey(writer, us.randomName()), claim) : 0;
    if (others > 0) {
      // Those who met here would meet again at the next number.
      writer += Number.parseInt(us.randomName().slice(-6), 16) % (others + 1);
      continue;
    }
    const sealed = repository.sealHeader(claim);
    if ((await repository.storage.put(writerKey(writer), sealed.bytes)) === 'created')
      return { kind: 'claimed', writer, by, continues, atBefore: last?.object?.header.atLast ?? 0, damaged };
    // Somebody was faster, or the answer to an earlier try was lost, which leaves a claim without objects.
  }
}

/**
 * Puts a ticket, then looks: of two who try for a number, the one who looks later sees both. Both may.
 * @returns how many others have tried for the number
 */
async function otherTickets(repository: Repository, own: string, claim: { readonly kind: string }): Promise<number> {
  const writer = ticketOf(own);
  await repository.storage.put(own, repository.sealHeader(claim).bytes);
  const stored = await repository.storage.list('writers/');
  return stored.filter(({ key }) => key !== own && (writerOf(key) === writer || ticketOf(key) === writer)).length;
}

/** Whether a later writer has claimed: then this one is superseded. @throws StorageError */
export async function isSuperseded(repository: Repository, writer: number): Promise<boolean> {
  if (repository.fencing === 'put') return (await repository.storage.head(writerKey(writer + 1))) !== undefined;
  // A number that two have tried for is nobody's.
  const claims = await repository.storage.list('writers/');
  return claims.some(({ key }) => (writerOf(key) ?? 0) > writer);
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
  const { writer, logId, highest, object, continued } = last;
  if (logId !== us.logId) {
    if (restored !== undefined && (restored.adopted || adopt))
      return { kind: 'ok', by: 'restore', continues: { writer: restored.writer, revision: restored.revision } };
    if (restored !== undefined) return refusedAs('unadopted', unadopted);
    if (adopt) return { kind: 'ok', by: 'adopted', continues: undefined };
    const whose = `the log ${logId}, and this server has the log ${us.logId}`;
    return refusedAs('foreign', `The repository has backups of ${whose}; expected a place of its own for each server.`);
  }
  if (highest > us.durable) return refusedAs('rolled_back', rolledBack(highest, us.durable));
  if (object === undefined) return { kind: 'ok', by: 'gap', continues: continued };
  const { header } = object;
  const continues = { writer, revision: header.last, object: object.key, sha256: object.sha256 };
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

/** The last writer that has shipped, and its last object that can be read. Claims without objects are passed over. */
async function lastShipped(repository: Repository, adopt: boolean): Promise<Found> {
  const claims = await repository.storage.list('writers/');
  const numbers = claims.flatMap(({ key }) => writerOf(key) ?? []).toSorted((a, b) => a - b);
  const damaged: string[] = [];
  const read = async <Header extends ObjectHeader>(
    key: string,
    kind: Header['kind'],
  ): Promise<OpenedObject<Header> | undefined> => {
    try {
      return await repository.readHeader<Header>(key, kind);
    } catch (error) {
      if (!isDamage(error)) throw error;
      damaged.push(error.message);
      return undefined;
    }
  };
  let unread: LastShipped | undefined;
  for (const writer of numbers.toReversed()) {
    const objects = await objectsOfWriter(repository, writer);
    if (objects.length === 0) continue;
    const highest = objects[0]!.last;
    for (const { key, kind } of objects) {
      const opened = await read<FramesHeader>(key, kind);
      if (opened === undefined) continue;
      const { header, sha256 } = opened;
      const last = { writer, logId: header.logId, highest, object: { key, header, sha256 } };
      if (unread === undefined) return { numbers, damaged, last };
      return { numbers, damaged, last: unread.logId === last.logId ? { ...last, highest: unread.highest } : unread };
    }
    const claim = await read<WriterHeader>(writerKey(writer), 'writer');
    if (claim === undefined) continue;
    const { logId, continues: continued } = claim.header;
    unread ??= { writer, logId, highest, object: undefined, continued };
  }
  if (unread !== undefined) return { numbers, damaged, last: unread };
  // Whose it is cannot be said. Only people may decide.
  if (damaged.length > 0 && !adopt) throw new NothingReadable(damaged);
  return { numbers, damaged, last: undefined };
}

/** From the last one back; of two with the same end, the smaller one first. */
async function objectsOfWriter({ storage }: Repository, writer: number): Promise<FrameObjectName[]> {
  const folder = String(writer).padStart(6, '0');
  const [tails, logs] = await Promise.all([storage.list(`tail/${folder}/`), storage.list(`log/${folder}/`)]);
  const objects = [...tails, ...logs].flatMap(({ key }) => frameObjectOf(key) ?? []);
  return objects.toSorted((a, b) => b.last - a.last || (a.kind < b.kind ? 1 : -1));
}

export class NothingReadable extends ObjectDamaged {
  override name = 'NothingReadable';

  constructor(damaged: readonly string[]) {
    super('writers/', `nothing there can be read (${damaged[0]}); move what is damaged away, then run backup adopt`);
  }
}
