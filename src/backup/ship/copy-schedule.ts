/**
 * When a copy is made, and the one that is being made. A copy is due: when the repository has none that leads to the latest
 * state, after `copy_hours` if something has changed, when the log since the last one would make a restore long, and when
 * somebody asks for one. It runs beside shipping, one at a time.
 */
import type { Revision } from '../../protocol/ids.ts';
import type { After } from '../../shared/clock.ts';
import type { BackupCells } from '../backup-cells.ts';
import type { BackupSettings } from '../backup-settings.ts';
import { copiesOn, lineOf, newestWriter, readCatalog } from '../repository/catalog.ts';
import { ObjectTaken, type Repository } from '../repository/repository.ts';
import { StorageError } from '../storage/storage.ts';
import { Backoff } from './backoff.ts';
import { makeCopy, type RowSource } from './copier.ts';

export interface CopyScheduleOptions {
  readonly settings: BackupSettings;
  readonly rows: RowSource;
  readonly logId: string;
  readonly durable: () => Revision;
  readonly cells: BackupCells;
  readonly wall: () => number;
  readonly elapsedMs: () => number;
  readonly after: After;
  readonly random: () => number;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, details?: object) => void;
}

/** Who makes the copies at the moment. */
export interface CopyingWriter {
  readonly repository: Repository;
  readonly writer: number;
  readonly shipped: () => Revision;
  /** Bytes of the log that it has put into the storage. */
  readonly bytesShipped: () => number;
  /** Somebody else writes as this writer. */
  readonly onTaken: () => void;
}

const hourMs = 60 * 60 * 1000;
/** A copy is due when the log since the last is larger than this, and than half of the copy: it bounds a restore. */
const logBytesMin = 512 * 1024 * 1024;
const jitter = 0.1;

class Stopped extends Error {}

export class CopySchedule {
  readonly #options: CopyScheduleOptions;
  #writer: CopyingWriter | undefined;
  #running: Promise<void> | undefined;
  #dueAt = 0;
  #logBytesAtCopy = 0;
  #copyBytes = 0;
  #isNeeded = false;
  #attempts = 0;
  #waitingForShipped: { readonly revision: Revision; readonly resolve: () => void }[] = [];
  readonly #pauses = new Set<() => void>();

  constructor(options: CopyScheduleOptions) {
    this.#options = options;
    // The thread before may have ended in the middle of one.
    options.cells.copyEnds();
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  /** @param isNeeded nothing in the repository leads to the latest state. @throws StorageError */
  async begin(writer: CopyingWriter, isNeeded: boolean): Promise<void> {
    this.#writer = writer;
    if (isNeeded) this.#isNeeded = true;
    else await this.#readLast(writer.repository);
  }

  /** The log has a hole. */
  need(): void {
    this.#isNeeded = true;
  }

  startIfDue(): void {
    const { cells, elapsedMs, durable, log } = this.#options;
    const writer = this.#writer;
    if (this.#running !== undefined || writer === undefined) return;
    const asked = cells.get('askedForCopies');
    const logBytes = writer.bytesShipped() - this.#logBytesAtCopy;
    const isDue = elapsedMs() >= this.#dueAt || logBytes > Math.max(logBytesMin, this.#copyBytes / 2);
    const isNew = durable() > cells.get('copyRevision');
    if (!this.#isNeeded && asked === cells.get('takenCopies') && !(isDue && isNew)) return;
    this.#isNeeded = false;
    this.#running = this.#make(writer, asked)
      .catch((error: unknown) => {
        if (error instanceof Stopped) return;
        if (error instanceof ObjectTaken) return writer.onTaken();
        this.#isNeeded = true;
        log('warn', 'A copy was given up; the next one begins soon', { err: error });
      })
      .finally(() => {
        cells.copyEnds();
        this.#running = undefined;
      });
  }

  shippedTo(shipped: Revision): void {
    const due = this.#waitingForShipped.filter(({ revision }) => revision <= shipped);
    this.#waitingForShipped = this.#waitingForShipped.filter(({ revision }) => revision > shipped);
    for (const { resolve } of due) resolve();
  }

  /** Gives up the copy that is being made. Resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#writer = undefined;
    for (const { resolve } of this.#waitingForShipped) resolve();
    for (const wake of this.#pauses) wake();
    await this.#running;
  }

  async #make(writer: CopyingWriter, asked: number): Promise<void> {
    const { settings, rows, logId, durable, cells, wall, elapsedMs, log } = this.#options;
    const started = elapsedMs();
    cells.copyBegins();
    this.#attempts += 1;
    const done = await makeCopy(
      {
        repository: writer.repository,
        writer: writer.writer,
        logId,
        source: rows,
        durable,
        now: () => Math.round(wall()),
        whenShipped: (upTo) => this.#whenShipped(writer, upTo),
        retrying: (call) => this.#retrying(writer, call),
        onRows: (read) => cells.set('copyingRows', read),
        pace: async (bytes) => {
          const most = settings.bytes_per_second_max;
          await this.#pause(most === 0 ? 0 : (bytes / most) * 1000);
          this.#assertGoesOn(writer);
        },
      },
      this.#attempts,
    );
    cells.set('copyRevision', done.consistent);
    cells.set('copyAt', wall());
    cells.copyEnds(asked);
    cells.add('copies', 1);
    this.#dueAt = elapsedMs() + this.#everyMs();
    this.#logBytesAtCopy = writer.bytesShipped();
    this.#copyBytes = done.bytes;
    const ms = Math.round(elapsedMs() - started);
    log('info', `A copy is done: ${done.rows} rows as of revision ${done.consistent}`, { ...done, ms });
  }

  async #readLast(repository: Repository): Promise<void> {
    const { wall, elapsedMs, cells } = this.#options;
    const catalog = await readCatalog(repository);
    const newest = newestWriter(catalog);
    const last = newest === undefined ? undefined : copiesOn(catalog, lineOf(catalog, newest)).at(-1);
    if (last === undefined) {
      this.#isNeeded = true;
      return;
    }
    const now = repository.storage.now() ?? wall();
    this.#dueAt = elapsedMs() + Math.max(0, this.#everyMs() - (now - last.madeAt));
    this.#copyBytes = last.manifest.raw;
    cells.set('copyRevision', last.manifest.consistent);
    cells.set('copyAt', last.manifest.at);
  }

  /** Servers that were started together do not all copy at once. */
  #everyMs(): number {
    return this.#options.settings.copy_hours * hourMs * (1 - jitter + this.#options.random() * 2 * jitter);
  }

  async #whenShipped(writer: CopyingWriter, upTo: Revision): Promise<void> {
    if (writer.shipped() < upTo) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waitingForShipped.push({ revision: upTo, resolve });
      await promise;
    }
    this.#assertGoesOn(writer);
  }

  async #retrying<T>(writer: CopyingWriter, call: () => Promise<T>): Promise<T> {
    const backoff = new Backoff(this.#options.random);
    for (;;) {
      this.#assertGoesOn(writer);
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof StorageError)) throw error;
        this.#options.cells.failed(error.fault);
        await this.#pause(backoff.failed());
      }
    }
  }

  #assertGoesOn(writer: CopyingWriter): void {
    if (this.#writer !== writer) throw new Stopped('the copy is not wanted any more');
  }

  #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = (): void => {
      this.#pauses.delete(wake);
      cancel();
      resolve();
    };
    const cancel = this.#options.after(ms, wake);
    this.#pauses.add(wake);
    return promise;
  }
}
