/**
 * Backs the server up, in a thread of its own (backup-thread.ts) or in a test.
 *
 *               claimed                     a later writer is there
 *   starting ────────────► shipping ──────────────────────────────► superseded ──adopt──► shipping
 *      │                     ▲   │ the storage fails
 *      │ refused             │   ▼
 *      ▼                     failing: tries again after 1 to 60 s, the journal is held
 *   unadopted, foreign, rolled_back ──adopt (not for rolled_back)──► shipping
 *
 * While it ships: one object with what became durable, each interval; log objects of ten minutes; a copy when one is due;
 * prune after a copy. The journal keeps what is not shipped, up to `hold_bytes_max` or until it lacks space itself. Then
 * the hold is dropped, and the hole in the log, if there is one, is a gap. A copy starts as soon as the storage answers.
 *
 * No client ever waits for any of this.
 */
import { revision, type Revision } from '../protocol/ids.ts';
import type { FrameSource } from '../protocol/journal.ts';
import type { After } from '../shared/clock.ts';
import type { BackupCells, JournalHold } from './backup-cells.ts';
import type { BackupSettings } from './backup-settings.ts';
import { payloadCodec } from './format/payload.ts';
import { readCatalog, copiesOn, lineOf, newestWriter } from './repository/catalog.ts';
import { claimWriter, isSuperseded, type Claimant, type ClaimResult } from './repository/claims.ts';
import { isDamage, isNewer, ObjectTaken, Repository } from './repository/repository.ts';
import { Backoff } from './ship/backoff.ts';
import { makeCopy, type RowSource } from './ship/copier.ts';
import { prune } from './ship/prune.ts';
import { Shipper, type Gap } from './ship/shipper.ts';
import { StorageError, type BackupStorage } from './storage/storage.ts';

export type BackupLog = (level: 'info' | 'warn' | 'error', message: string, details?: object) => void;

export interface BackupAgentOptions {
  readonly settings: BackupSettings;
  readonly openStorage: () => Promise<BackupStorage>;
  readonly source: FrameSource;
  readonly rows: RowSource;
  readonly durable: () => Revision;
  readonly journal: {
    /** Bytes of segments that hold something after a revision. */
    bytesAfter(revision: number): number;
    /** The lowest revision that can be read, less one. */
    oldestAfter(): number;
    /** It has space for all that clients write. */
    hasSpace(): boolean;
  };
  /** 16 hex digits. */
  readonly logId: string;
  readonly boot: string;
  /** How this directory came from a repository. */
  readonly restored: () => ({ readonly repository: string } & NonNullable<Claimant['restored']>) | undefined;
  /** Notes that this server takes its place from now on. */
  readonly adopted: () => void;
  readonly cells: BackupCells;
  readonly hold: JournalHold;
  /** Wall-clock milliseconds. */
  readonly wall: () => number;
  readonly elapsedMs: () => number;
  readonly after: After;
  readonly random: () => number;
  readonly randomBytes: (count: number) => Uint8Array;
  readonly log: BackupLog;
}

const supersededEveryMs = 30_000;
const objectsPerStep = 16;
const finishMsMax = 5_000;
const dayMs = 24 * 60 * 60 * 1000;
/** A copy is due when the log since the last is larger than this, and than half of the copy: it bounds a restore. */
const logBytesMin = 512 * 1024 * 1024;
const copyJitter = 0.1;

class Stopped extends Error {}

export class BackupAgent {
  readonly #options: BackupAgentOptions;
  readonly #backoff: Backoff;
  #storage: BackupStorage | undefined;
  #repository: Repository | undefined;
  #writer: number | undefined;
  #shipper: Shipper | undefined;
  #refusal: Extract<ClaimResult, { kind: 'refused' }> | undefined;
  #superseded = false;
  #holdDropped = false;
  #lookedAt = 0;
  #attempts = 0;
  #copying: Promise<void> | undefined;
  #copyDueAt = 0;
  #logBytesAtCopy = 0;
  #copyBytes = 0;
  #needsCopy = false;
  #pruneDueAt = 0;
  #waitingForShipped: { readonly revision: Revision; readonly resolve: () => void }[] = [];
  #stopped = false;
  #wake: (() => void) | undefined;
  #running: Promise<void> | undefined;
  #lastFault = '';

  constructor(options: BackupAgentOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.random);
    options.cells.state = 'starting';
    // Nothing may go before it is known what the repository has.
    options.hold.set(0);
  }

  /** Claims, if the storage can be reached. @returns why the server must not serve with this directory */
  async look(): Promise<string | undefined> {
    try {
      await this.#claim(false);
    } catch (error) {
      this.#failed(error);
    }
    return this.#refusal?.why === 'rolled_back' ? this.#refusal.message : undefined;
  }

  run(): void {
    this.#running ??= this.#loop();
  }

  /** Ships what is durable, for a few seconds at most. */
  async stop(): Promise<void> {
    const { cells, durable } = this.#options;
    this.#stopped = true;
    this.#wake?.();
    await this.#running;
    const end = this.#options.elapsedMs() + finishMsMax;
    try {
      if (this.#isShipping) while (this.#options.elapsedMs() < end && (await this.#shipper?.ship(durable())));
    } catch (error) {
      this.#failed(error);
    }
    await this.#copying;
    this.#shipper?.close();
    this.#storage?.close();
    cells.state = 'off';
  }

  /** One turn of the loop, for tests. @returns milliseconds until the next one */
  async step(): Promise<number> {
    const { settings } = this.#options;
    let wait = settings.interval_ms;
    try {
      const more = await this.#turn();
      this.#succeeded();
      if (more) wait = 0;
    } catch (error) {
      wait = this.#failed(error);
    }
    this.#checkHold();
    return wait;
  }

  /** Resolves when the copy that is being made is done, or was given up. */
  async copied(): Promise<void> {
    await this.#copying;
  }

  async #loop(): Promise<void> {
    while (!this.#stopped) {
      const wait = await this.step();
      if (!this.#stopped) await this.#sleep(wait);
    }
  }

  get #isShipping(): boolean {
    return this.#shipper !== undefined && !this.#superseded && this.#refusal === undefined;
  }

  /** @returns whether there is more to do at once */
  async #turn(): Promise<boolean> {
    const { cells, elapsedMs, durable, wall } = this.#options;
    if (cells.get('askedToAdopt') > cells.get('takenAdopt')) await this.#adopt();
    if (this.#writer === undefined && this.#refusal === undefined) await this.#claim(false);
    if (!this.#isShipping) return false;
    const shipper = this.#shipper!;
    if (elapsedMs() - this.#lookedAt >= supersededEveryMs) await this.#look();
    if (this.#superseded) return false;
    const before = wall();
    let more = true;
    for (let objects = 0; more && objects < objectsPerStep; objects += 1) more = await shipper.ship(durable());
    if (!more) cells.set('caughtUpAt', before);
    while (await shipper.merge());
    cells.set('shipped', shipper.shipped);
    cells.set('shippedAt', shipper.shippedAt);
    cells.set('objects', shipper.objects);
    cells.set('bytes', shipper.bytesShipped);
    this.#startCopyIfDue();
    if (this.#copying === undefined && elapsedMs() >= this.#pruneDueAt) await this.#prune();
    return more;
  }

  async #connect(): Promise<Repository> {
    if (this.#repository !== undefined) return this.#repository;
    const { settings, openStorage, randomBytes } = this.#options;
    this.#storage ??= await openStorage();
    const codec = await payloadCodec({ recipients: settings.recipients });
    const id = Buffer.from(randomBytes(16)).toString('hex');
    return (this.#repository = await Repository.openOrCreate(this.#storage, codec, id));
  }

  async #claim(adopt: boolean): Promise<void> {
    const { source, logId, boot, wall, durable, journal, restored, cells, hold, log } = this.#options;
    const repository = await this.#connect();
    const origin = restored();
    const claimed = await claimWriter(
      repository,
      {
        logId,
        boot,
        at: Math.round(wall()),
        durable: durable(),
        checksumAt: (last) => source.checksumAt(revision(last)),
        oldestAfter: journal.oldestAfter,
        restored: origin?.repository === repository.id ? origin : undefined,
      },
      adopt,
    );
    if (claimed.kind === 'refused') {
      this.#refusal = claimed;
      cells.state = claimed.why;
      hold.release();
      log('error', `No backups are made. ${claimed.message}`, { state: claimed.why });
      return;
    }
    this.#refusal = undefined;
    this.#superseded = false;
    const { writer, by, atBefore } = claimed;
    const begin = this.#beginOf(claimed);
    this.#shipper?.close();
    this.#writer = writer;
    this.#lookedAt = this.#options.elapsedMs();
    this.#shipper = new Shipper({
      repository,
      writer,
      source,
      after: begin.after,
      atBefore,
      ...(begin.gap !== undefined && { gap: begin.gap }),
      elapsedMs: this.#options.elapsedMs,
      onShipped: (shipped) => this.#shipped(shipped),
      onGap: (gap) => this.#gap(gap.after, gap.to),
    });
    hold.set(begin.after);
    cells.set('writer', writer);
    cells.set('shipped', begin.after);
    cells.state = 'shipping';
    log('info', `Backups go to ${repository.storage.name} as writer ${writer}`, { writer, by, after: begin.after });
    if (begin.gap !== undefined) this.#gap(begin.gap.after, begin.after);
    if (by !== 'frames') this.#needsCopy = true;
    else await this.#readCopies(repository);
  }

  #beginOf({ by, continues, atBefore }: Extract<ClaimResult, { kind: 'claimed' }>): { after: Revision; gap?: Gap } {
    const { rows, journal } = this.#options;
    if (by === 'frames') return { after: revision(continues!.revision) };
    const after = revision(Math.max(rows.lowestWatermark(), journal.oldestAfter()));
    if (by !== 'gap') return { after };
    return { after, gap: { after: revision(continues?.revision ?? 0), atAfter: atBefore } };
  }

  /** Knows from the repository when the next copy is due. */
  async #readCopies(repository: Repository): Promise<void> {
    const { settings, wall, elapsedMs, random } = this.#options;
    const catalog = await readCatalog(repository);
    const newest = newestWriter(catalog);
    const last = newest === undefined ? undefined : copiesOn(catalog, lineOf(catalog, newest)).at(-1);
    if (last === undefined) {
      this.#needsCopy = true;
      return;
    }
    const now = repository.storage.now() ?? wall();
    const everyMs = settings.copy_hours * 60 * 60 * 1000 * (1 - copyJitter + random() * 2 * copyJitter);
    this.#copyDueAt = elapsedMs() + Math.max(0, everyMs - (now - last.madeAt));
    this.#copyBytes = last.manifest.raw;
    this.#options.cells.set('copyRevision', last.manifest.consistent);
    this.#options.cells.set('copyAt', last.manifest.at);
  }

  async #adopt(): Promise<void> {
    const { cells, adopted } = this.#options;
    const asked = cells.get('askedToAdopt');
    await this.#claim(true);
    cells.set('takenAdopt', asked);
    if (this.#refusal === undefined) adopted();
  }

  async #look(): Promise<void> {
    if (await isSuperseded(this.#repository!, this.#writer!)) this.#supersede();
    this.#lookedAt = this.#options.elapsedMs();
  }

  #supersede(): void {
    const { cells, hold, log } = this.#options;
    this.#superseded = true;
    cells.state = 'superseded';
    hold.release();
    log(
      'error',
      'Another server makes the backups of this one now, so this one ships nothing more; it goes on serving. ' +
        'If that is wrong, stop the other and run dragonlock backup adopt.',
      { writer: this.#writer },
    );
  }

  #shipped(shipped: Revision): void {
    this.#holdDropped = false;
    this.#options.cells.set('holdDropped', 0);
    this.#options.hold.set(shipped);
    const due = this.#waitingForShipped.filter(({ revision: waited }) => waited <= shipped);
    this.#waitingForShipped = this.#waitingForShipped.filter(({ revision: waited }) => waited > shipped);
    for (const { resolve } of due) resolve();
  }

  #gap(after: Revision, to: Revision): void {
    this.#options.cells.add('gaps', 1);
    this.#needsCopy = true;
    this.#options.log('error', `The backup has a gap: revisions ${after + 1} to ${to} were not shipped in time`, {
      after,
      to,
    });
  }

  #checkHold(): void {
    const { settings, journal, cells, hold, log } = this.#options;
    if (!this.#isShipping && this.#writer !== undefined) return;
    if (this.#refusal !== undefined || this.#holdDropped) return;
    const held = journal.bytesAfter(this.#shipper?.shipped ?? journal.oldestAfter());
    cells.set('heldBytes', held);
    if (held <= settings.hold_bytes_max && journal.hasSpace()) return;
    this.#holdDropped = true;
    cells.set('holdDropped', 1);
    hold.release();
    log('error', 'The journal is not held for the backup any more: there may be a gap', { heldBytes: held });
  }

  #startCopyIfDue(): void {
    const { cells, elapsedMs, durable, log } = this.#options;
    if (this.#copying !== undefined) return;
    const shipper = this.#shipper!;
    const asked = cells.get('askedForCopies');
    const isAsked = asked > cells.get('takenCopies');
    const logBytes = shipper.bytesShipped - this.#logBytesAtCopy;
    const isNew = durable() > cells.get('copyRevision');
    const isDue = elapsedMs() >= this.#copyDueAt || logBytes > Math.max(logBytesMin, this.#copyBytes / 2);
    if (!this.#needsCopy && !isAsked && !(isDue && isNew)) return;
    this.#needsCopy = false;
    this.#copying = this.#copy(asked).catch((error: unknown) => {
      this.#copying = undefined;
      if (error instanceof Stopped) return;
      if (error instanceof ObjectTaken) return this.#supersede();
      this.#needsCopy = true;
      log('warn', 'A copy was given up; the next one begins soon', { err: error });
    });
  }

  async #copy(asked: number): Promise<void> {
    const { rows, durable, wall, logId, cells, settings, elapsedMs, random, log } = this.#options;
    const repository = this.#repository!;
    const writer = this.#writer!;
    const started = elapsedMs();
    cells.set('copying', 1);
    try {
      const done = await makeCopy(
        {
          repository,
          writer,
          logId,
          source: rows,
          durable,
          now: () => Math.round(wall()),
          whenShipped: (upTo) => this.#whenShipped(upTo),
          retrying: (call) => this.#retrying(call),
          pace: (bytes) => this.#pace(bytes),
        },
        ++this.#attempts,
      );
      cells.add('copies', 1);
      cells.set('copyRevision', done.consistent);
      cells.set('copyAt', wall());
      cells.set('takenCopies', asked);
      const hours = settings.copy_hours * (1 - copyJitter + random() * 2 * copyJitter);
      this.#copyDueAt = elapsedMs() + hours * 60 * 60 * 1000;
      this.#logBytesAtCopy = this.#shipper?.bytesShipped ?? 0;
      this.#copyBytes = done.bytes;
      this.#pruneDueAt = 0;
      const ms = Math.round(elapsedMs() - started);
      log('info', `A copy is done: ${done.rows} rows as of revision ${done.consistent}`, { ...done, ms });
    } finally {
      cells.set('copying', 0);
      this.#copying = undefined;
    }
  }

  #whenShipped(upTo: Revision): Promise<void> {
    if (this.#shipper!.shipped >= upTo) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waitingForShipped.push({ revision: upTo, resolve });
    return promise.then(() => this.#assertGoesOn());
  }

  async #retrying<T>(call: () => Promise<T>): Promise<T> {
    const backoff = new Backoff(this.#options.random);
    for (;;) {
      this.#assertGoesOn();
      try {
        return await call();
      } catch (error) {
        if (!(error instanceof StorageError)) throw error;
        this.#options.cells.failed(error.fault);
        await this.#pause(backoff.failed());
      }
    }
  }

  async #pace(bytes: number): Promise<void> {
    const { bytes_per_second_max: most } = this.#options.settings;
    await this.#pause(most === 0 ? 0 : (bytes / most) * 1000);
    this.#assertGoesOn();
  }

  #assertGoesOn(): void {
    if (this.#stopped || !this.#isShipping) throw new Stopped('the copy is not wanted any more');
  }

  async #prune(): Promise<void> {
    const { settings, cells, elapsedMs, wall } = this.#options;
    this.#pruneDueAt = elapsedMs() + dayMs;
    if (!settings.prune) return;
    const repository = this.#repository!;
    const catalog = await readCatalog(repository);
    const now = repository.storage.now() ?? wall();
    const retention = {
      keepMomentsMs: settings.keep_moments_days * dayMs,
      keepCopiesMs: settings.keep_copies_days * dayMs,
    };
    cells.add('pruned', await prune(repository, catalog, retention, now));
  }

  #succeeded(): void {
    this.#backoff.succeeded();
    const { cells, log } = this.#options;
    if (this.#lastFault === '') return;
    this.#lastFault = '';
    if (cells.state === 'failing') cells.state = 'shipping';
    log('info', 'The storage of the backups can be used again');
  }

  /** @returns how long to wait */
  #failed(error: unknown): number {
    const { cells, log } = this.#options;
    if (error instanceof ObjectTaken) {
      this.#supersede();
      return this.#options.settings.interval_ms;
    }
    if (isDamage(error) || isNewer(error)) {
      cells.state = 'damaged';
      if (this.#lastFault !== error.message) log('error', `No backups are made. ${error.message}`);
      this.#lastFault = error.message;
      return this.#backoff.failed();
    }
    if (!(error instanceof StorageError)) throw error;
    cells.failed(error.fault);
    if (this.#isShipping) cells.state = 'failing';
    // Once for each kind of failure that lasts, not at each try.
    if (this.#lastFault !== error.fault)
      log('warn', `The storage of the backups cannot be used; the journal is held meanwhile. ${error.message}`, {
        reason: error.fault,
      });
    this.#lastFault = error.fault;
    return this.#backoff.failed();
  }

  #sleep(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.after(ms, resolve);
    this.#wake = () => {
      cancel();
      resolve();
    };
    return promise;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#options.after(ms, resolve));
  }
}
