/** A small journal for tests: segments of 16 KiB, on any disk. */
import type { Disk } from '../../../src/shared/disk.ts';
import { accountId, revision, type Revision } from '../../../src/protocol/ids.ts';
import { decodeRecord, RecordWriter, type RecordChunk } from '../../../src/protocol/record.ts';
import { LocalRevisions } from '../../support/local-revisions.ts';
import type { JournalOptions } from '../../../src/journal/file/journal-options.ts';
import { readRecords } from '../../../src/journal/file/journal-reader.ts';
import { JournalWriter } from '../../../src/journal/file/journal-writer.ts';
import { recoverJournal, type RecoveredJournal } from '../../../src/journal/file/recovery.ts';
import { listSegments } from '../../../src/journal/file/segment.ts';

export const directory = '/data/journal';
export const segmentBytes = 16 * 1024;

export interface OpenJournal {
  readonly recovered: RecoveredJournal;
  readonly revisions: LocalRevisions;
  readonly writer: JournalWriter;
  /** Runs once what was scheduled for later. */
  readonly tick: () => void;
  readonly logged: string[];
}

export interface OpenOptions extends Partial<JournalOptions> {
  readonly from?: number;
  readonly createAfter?: number;
  readonly path?: string;
}

export function recover(disk: Disk, options: OpenOptions = {}): Promise<RecoveredJournal> {
  return recoverJournal(disk, options.path ?? directory, {
    from: revision(options.from ?? 0),
    ...(options.createAfter !== undefined && { createAfter: revision(options.createAfter) }),
    segmentBytes: options.segmentBytes ?? segmentBytes,
    randomBytes: (count) => Buffer.alloc(count, 7),
    log: options.log ?? (() => undefined),
  });
}

export async function open(disk: Disk, options: OpenOptions = {}): Promise<OpenJournal> {
  const recovered = await recover(disk, options);
  const revisions = new LocalRevisions(recovered.last);
  const logged: string[] = [];
  const scheduled: (() => void)[] = [];
  const writer = new JournalWriter(disk, options.path ?? directory, {
    recovered,
    revisions,
    shards: 1,
    segmentBytes,
    frameBytesMax: 4 * 1024,
    fullBytes: 1024,
    keepBytes: 2 * segmentBytes,
    log: (_level, message) => logged.push(message),
    schedule: (run) => scheduled.push(run),
    elapsedMs: () => 0,
    clock: { now: () => 1_700_000_000_000 },
    ...options,
  });
  const tick = (): void => {
    for (const run of scheduled.splice(0)) run();
  };
  return { recovered, revisions, writer, tick, logged };
}

export interface Written {
  readonly rev: number;
  readonly text: string;
}

export function chunkOf(records: readonly Written[]): RecordChunk {
  const writer = new RecordWriter();
  for (const { rev, text } of records) {
    const effects = [{ kind: 0x6b, key: 'k', value: JSON.stringify(text), till: 0 } as const];
    writer.append({ rev: revision(rev), account: accountId('acme'), effects });
  }
  return writer.take();
}

/** Takes the next revisions and hands their records over without a flush. */
export function enqueue(journal: OpenJournal, count: number, text = 'x'): void {
  journal.writer.enqueue(chunkOf(Array.from({ length: count }, () => ({ rev: journal.revisions.next(), text }))));
}

export function write(journal: OpenJournal, count: number, text = 'x'): void {
  enqueue(journal, count, text);
  while (journal.writer.flush());
}

export function decode(buffer: Buffer, at: number): Written {
  const record = decodeRecord(buffer, at);
  const value: unknown = JSON.parse(record.effects[0]?.value ?? 'null');
  return { rev: record.rev, text: String(value) };
}

export function readAll(disk: Disk, from = 0, path = directory): Written[] {
  return Array.from(readRecords(disk, path, revision(from)), ({ buffer, at }) => decode(buffer, at));
}

export function revisionsOf(records: readonly Written[]): number[] {
  return records.map((record) => record.rev);
}

export function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** Lets asynchronous work that is ready run. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export function pathOf(disk: Disk, index: number): string {
  const name = listSegments(disk, directory).at(index)?.name;
  if (name === undefined) throw new Error(`there is no segment ${index}`);
  return `${directory}/${name}`;
}

export function rev(value: number): Revision {
  return revision(value);
}
