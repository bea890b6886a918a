/**
 * A store that LMDB cannot read. LMDB maps its file, and checks little of it: what is no store at all ends the process with
 * SIGSEGV, and a file that was cut off with SIGBUS. So its two meta pages are read before it is opened. Of a 64-bit LMDB:
 *
 *   page 0 and page 1, each: header of 24 bytes (u16 flags at 18), then
 *     0 magic   4 version   24 page size   64 root of the free pages   112 root of the tree   128 number of the commit
 *
 * Other damage is met when somebody reads it: LMDB has no checksums.
 */
import fs from 'node:fs';
import path from 'node:path';

export class DamagedStore extends Error {
  override name = 'DamagedStore';

  constructor(directory: string, why: string) {
    super(
      `The store in ${directory} is damaged: ${why}. Nothing was changed. Restore a backup, or ask what a salvage would ` +
        'keep: npm run salvage -- --data-dir DIR --dry-run (docs/operations.md, A damaged journal).',
    );
  }
}

const headerBytes = 24;
const metaBytes = headerBytes + 136;
const metaFlag = 0x08;
const magic = 0xbeefc0de;
const dataVersion = 2;
const noPage = 2n ** 64n - 1n;

/** Another thread, or process, may be committing: what it has half written is whole at the next look. */
const looksMax = 3;

/** @param directory with `data.mdb`, if there is a store. @throws DamagedStore, errors of the operating system */
export function refuseDamagedStore(directory: string): void {
  const file = path.join(directory, 'data.mdb');
  // LMDB makes a store of an empty file.
  if ((fs.statSync(file, { throwIfNoEntry: false })?.size ?? 0) === 0) return;
  const fd = fs.openSync(file, 'r');
  try {
    let why: string | undefined;
    for (let looks = 0; looks < looksMax; looks += 1) {
      why = damageOf(fd);
      if (why === undefined) return;
    }
    throw new DamagedStore(directory, why!);
  } finally {
    fs.closeSync(fd);
  }
}

function damageOf(fd: number): string | undefined {
  const first = metaAt(fd, 0);
  const pageBytes = first?.pageBytes ?? 0;
  const isSize = pageBytes >= 256 && pageBytes <= 65_536 && (pageBytes & (pageBytes - 1)) === 0;
  const second = isSize ? metaAt(fd, pageBytes) : undefined;
  if (first === undefined || second === undefined) return 'its head is not that of a store';
  // A commit writes its pages before the meta page that has their roots: the file is as long as that needs by now.
  const { size } = fs.fstatSync(fd);
  const { roots } = first.commit > second.commit ? first : second;
  const isCut = roots.some((page) => page !== noPage && (page + 1n) * BigInt(pageBytes) > BigInt(size));
  return isCut ? `it was cut off at ${size} bytes` : undefined;
}

interface Meta {
  readonly pageBytes: number;
  readonly roots: readonly bigint[];
  readonly commit: bigint;
}

/** @returns undefined: there is no meta page */
function metaAt(fd: number, position: number): Meta | undefined {
  const page = Buffer.alloc(metaBytes);
  if (fs.readSync(fd, page, 0, metaBytes, position) < metaBytes) return undefined;
  const meta = page.subarray(headerBytes);
  const isMeta = (page.readUInt16LE(18) & metaFlag) !== 0;
  if (!isMeta || meta.readUInt32LE(0) !== magic || meta.readUInt16LE(4) !== dataVersion) return undefined;
  const roots = [meta.readBigUInt64LE(64), meta.readBigUInt64LE(112)];
  return { pageBytes: meta.readUInt32LE(24), roots, commit: meta.readBigUInt64LE(128) };
}

/** MDB_PAGE_NOTFOUND, MDB_CORRUPTED, MDB_PANIC, MDB_VERSION_MISMATCH, MDB_INVALID. */
const lmdbDamage: ReadonlySet<unknown> = new Set([-30_797, -30_796, -30_795, -30_794, -30_793]);

/** Whether LMDB has met a page that is not what it should be. */
export function isLmdbDamage(error: Error): boolean {
  return 'code' in error && lmdbDamage.has(error.code);
}
