/**
 * What clients may hold that the restored state does not know: the highest revision and the latest time that the
 * repository has any trace of, and how long leases of each lock were. A lease that was granted in the lost time is most
 * likely as long as those before it.
 */
import type { AccountId } from '../../protocol/ids.ts';
import { decodeRecord, kinds, type CommitRecord } from '../../protocol/record.ts';
import { lockDurMsMax } from '../../shared/limits.ts';
import { entryHeaderBytes } from '../../storage/entry-codec.ts';
import { parseStorageKey } from '../../storage/storage-key.ts';
import type { FramesHeader } from '../format/headers.ts';
import type { FrameObjectName } from '../format/names.ts';
import { framesIn } from '../format/shipped-frames.ts';
import { objectsOf, type Catalog, type LinePart } from '../repository/catalog.ts';
import { isDamage, type Repository } from '../repository/repository.ts';
import { fetchedAhead } from './load-state.ts';
import { hourMs, leasesIn, type RecentGrants, type SeenLease } from './recent-grants.ts';
import type { RestorePlan } from './restore-plan.ts';

/** Of the effects that are looked at; others are passed over undecoded. */
const grants = new Uint8Array(256);
for (const kind of [kinds.lock, kinds.share, kinds.sequence]) grants[kind] = 1;

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
      this.#addLeases(leasesIn(account, { kind, key, value: bytes.toString('utf8', entryHeaderBytes) }));
    if (kind === kinds.sequence && this.#keepsSequences)
      this.sequenceValues.push({ account, name: key, value: Number(bytes.toString('utf8', entryHeaderBytes)) });
  }

  /** A record of the restored state's past, or of what comes after it. */
  add({ account, effects }: CommitRecord, at: number, isPast: boolean): void {
    if (isPast) this.at = Math.max(this.at, at);
    this.latestAt = Math.max(this.latestAt, at);
    for (const effect of effects) {
      this.#addLeases(leasesIn(account, effect));
      if (effect.kind === kinds.sequence && isPast) this.sequences.add(`${account}/${effect.key}`);
    }
  }

  /** What the restored log has granted in its last hour. */
  addRecent(recent: RecentGrants): void {
    this.latestAt = Math.max(this.latestAt, this.at);
    this.#addLeases(recent.leasesSince(this.at - hourMs));
    for (const name of recent.sequencesSince(this.at - hourMs)) this.sequences.add(name);
  }

  #addLeases(leases: readonly SeenLease[]): void {
    for (const { account, id, durMs } of leases) {
      const name = `${account}\0${id}`;
      const before = this.#leases.get(name)?.[2] ?? 0;
      if (durMs > before) this.#leases.set(name, [account, id, durMs]);
    }
  }
}

/** The highest revision of all writers, by the names of their objects. */
export function highestKnown({ objects, copies }: Catalog): number {
  const ends = [...objects.values()].flatMap((own) => own.map(({ last }) => last));
  return Math.max(0, ...ends, ...copies.map(({ manifest }) => manifest.consistent));
}

/**
 * Reads what a restore has not applied: the last hour of the log as far as it lies before its copy, and what is known
 * beyond the restored revision, as far as a lease from there may still run. What is damaged is passed over.
 * @param from the copy has everything up to it; what came after was applied, and is in `given`
 */
export async function addFromLog(
  given: GivenBefore,
  repository: Repository,
  { catalog, plan, from }: { readonly catalog: Catalog; readonly plan: RestorePlan; readonly from: number },
): Promise<void> {
  const { revision } = plan;
  const own = new Set(plan.objects.map(({ key }) => key));
  await readBack(
    repository,
    plan.objects.filter(({ first }) => first <= from),
    (header) => header.atLast >= given.at - hourMs,
    (record, at, last) => {
      if (record.rev <= Math.min(last, from, revision) && at >= given.at - hourMs) given.add(record, at, true);
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
  const reads = fetchedAhead(objects.toReversed(), async ({ key, kind, last }) => {
    try {
      return { key, last, ...(await repository.read<FramesHeader>(key, kind)) };
    } catch (error) {
      if (!isDamage(error)) throw error;
      return undefined;
    }
  });
  for await (const read of reads) {
    if (read === undefined) continue;
    const { key, header, raw, last } = read;
    if (!wanted(header)) return;
    try {
      for (const { frame, start } of framesIn(key, header, raw)) {
        for (let at = start + frame.headerBytes, end = start + frame.length; at < end; at += raw.readUInt32LE(at))
          seen(decodeRecord(raw, at, grants), frame.at, last);
      }
    } catch (error) {
      if (!isDamage(error)) throw error;
    }
  }
}
