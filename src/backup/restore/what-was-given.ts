/**
 * What clients may hold that the restored state does not know: the highest revision and the latest time that the
 * repository has any trace of, and how long leases of each lock were. A lease that was granted in the lost time is most
 * likely as long as those before it.
 */
import type { AccountId } from '../../protocol/ids.ts';
import { decodeRecord, kinds, type CommitRecord, type Kind } from '../../protocol/record.ts';
import { decodeLockRecord } from '../../shard-worker/core/state/lock-record.ts';
import { decodeLease, partOfShare } from '../../shard-worker/core/state/shared-lease.ts';
import { lockDurMsMax } from '../../shared/limits.ts';
import { entryHeaderBytes } from '../../storage/entry-codec.ts';
import { parseStorageKey } from '../../storage/storage-key.ts';
import type { FramesHeader } from '../format/headers.ts';
import type { FrameObjectName } from '../format/names.ts';
import { framesIn } from '../format/shipped-frames.ts';
import { objectsOf, type Catalog, type LinePart } from '../repository/catalog.ts';
import { isDamage, type Repository } from '../repository/repository.ts';
import type { RestorePlan } from './restore-plan.ts';

const hourMs = 60 * 60 * 1000;

export interface RestoredSequence {
  readonly account: AccountId;
  readonly name: string;
  readonly value: number;
}

export class GivenBefore {
  /** By account and id: the longest lease that was seen. */
  readonly #leases = new Map<string, readonly [account: string, id: string, durMs: number]>();
  /** Sequences that changed in the last hour before the restored moment: account and name. */
  readonly sequences = new Set<string>();
  highest: number;
  latestAt = 0;
  /** The moment of the restored state. */
  at = 0;

  /** All sequences of the restored state, if they are to be moved ahead. */
  readonly sequenceValues: RestoredSequence[] = [];
  readonly #keepsSequences: boolean;

  /** @param keepsSequences they are to be moved ahead */
  constructor(highest: number, keepsSequences = false) {
    this.highest = highest;
    this.#keepsSequences = keepsSequences;
  }

  get leases(): Iterable<readonly [account: string, id: string, durMs: number]> {
    return this.#leases.values();
  }

  /** An entry of the restored state. */
  addEntry(storageKey: string, bytes: Buffer): void {
    const { kind, account, key } = parseStorageKey(storageKey);
    if (kind === kinds.lock || kind === kinds.share)
      this.addLock(kind, account, key, bytes.toString('utf8', entryHeaderBytes));
    if (kind === kinds.sequence && this.#keepsSequences)
      this.sequenceValues.push({ account, name: key, value: Number(bytes.toString('utf8', entryHeaderBytes)) });
  }

  /** A record of the restored state's past, or of what comes after it. */
  add({ account, effects }: CommitRecord, at: number, isPast: boolean): void {
    if (isPast) this.at = Math.max(this.at, at);
    this.latestAt = Math.max(this.latestAt, at);
    for (const { kind, key, value } of effects) {
      if (value !== undefined) this.addLock(kind, account, key, value);
      if (kind === kinds.sequence && isPast) this.sequences.add(`${account}/${key}`);
    }
  }

  /** Takes note of an entry that has a lease, or had one; of any other nothing. */
  addLock(kind: Kind, account: string, key: string, value: string): void {
    if (kind === kinds.lock) {
      const record = decodeLockRecord(value);
      if (record.mode === 'exclusive') for (const { durMs } of record.holders) this.#addLease(account, key, durMs);
    }
    if (kind !== kinds.share) return;
    const { id, fence } = partOfShare(key);
    if (fence !== undefined) this.#addLease(account, id, decodeLease(fence, value).lease.durMs);
  }

  #addLease(account: string, id: string, durMs: number): void {
    const name = `${account}\0${id}`;
    const before = this.#leases.get(name)?.[2] ?? 0;
    if (durMs > before) this.#leases.set(name, [account, id, durMs]);
  }
}

/** The highest revision of all writers, by the names of their objects. */
export function highestKnown({ objects, copies }: Catalog): number {
  const ends = [...objects.values()].flatMap((own) => own.map(({ last }) => last));
  return Math.max(0, ...ends, ...copies.map(({ manifest }) => manifest.consistent));
}

/**
 * Reads the last hour of the log before the restored revision, and what is known beyond it, as far as a lease from there
 * may still run. What is damaged is passed over.
 */
export async function addFromLog(
  given: GivenBefore,
  repository: Repository,
  { catalog, plan }: { readonly catalog: Catalog; readonly plan: RestorePlan },
): Promise<void> {
  const { revision } = plan;
  const own = new Set(plan.objects.map(({ key }) => key));
  await readBack(
    repository,
    plan.objects,
    (header) => header.atLast >= given.at - hourMs,
    (record, at, last) => {
      if (record.rev <= Math.min(last, revision) && at >= given.at - hourMs) given.add(record, at, true);
    },
  );
  await addBeyond(given, repository, { catalog, line: plan.line, revision, own });
}

export interface Beyond {
  readonly catalog: Catalog;
  readonly line: readonly LinePart[];
  readonly revision: number;
  /** Objects that have been looked at. */
  readonly own: ReadonlySet<string>;
}

/** What is known beyond the restored revision, on its line and on others. */
export async function addBeyond(
  given: GivenBefore,
  repository: Repository,
  { catalog, line, revision, own }: Beyond,
): Promise<void> {
  for (const writer of catalog.objects.keys()) {
    const part = line.find((one) => one.writer === writer);
    const known = part === undefined ? 0 : Math.min(part.upTo, revision);
    const all = objectsOf(catalog, [{ writer, upTo: Infinity }]);
    const beyond = all.filter(({ key, last }) => !own.has(key) || last > known);
    await readBack(
      repository,
      beyond,
      (header) => header.atLast >= given.latestAt - lockDurMsMax,
      (record, at) => {
        if (record.rev > known) given.add(record, at, false);
      },
    );
  }
}

/**
 * Reads objects from the last one back, as long as `wanted` says so.
 * @param seen is given a record, its time, and where the line leaves the object
 */
async function readBack(
  repository: Repository,
  objects: readonly FrameObjectName[],
  wanted: (header: FramesHeader) => boolean,
  seen: (record: CommitRecord, at: number, last: number) => void,
): Promise<void> {
  for (const { key, kind, last } of objects.toReversed()) {
    try {
      const { header, raw } = await repository.read<FramesHeader>(key, kind);
      if (!wanted(header)) return;
      for (const { frame, start } of framesIn(key, header, raw)) {
        for (let at = start + frame.headerBytes, end = start + frame.length; at < end; at += raw.readUInt32LE(at))
          seen(decodeRecord(raw, at), frame.at, last);
      }
    } catch (error) {
      if (!isDamage(error)) throw error;
    }
  }
}
