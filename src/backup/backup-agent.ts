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
import type { BackupAgentOptions } from './backup-agent-options.ts';
import { Connection } from './connection.ts';
import { readCatalog } from './repository/catalog.ts';
import { claimWriter, isSuperseded, type ClaimResult } from './repository/claims.ts';
import { ObjectTaken, type Repository } from './repository/repository.ts';
import { CopySchedule } from './ship/copy-schedule.ts';
import { HoldGuard, repeating } from './ship/hold-guard.ts';
import { LastChecks } from './ship/last-checks.ts';
import { prune } from './ship/prune.ts';
import { Shipper, type Gap } from './ship/shipper.ts';
import { StorageHealth } from './ship/storage-health.ts';

const supersededEveryMs = 30_000;
const objectsPerStep = 16;
const finishMsMax = 5_000;
const dayMs = 24 * 60 * 60 * 1000;
export class BackupAgent {
  readonly #options: BackupAgentOptions;
  readonly #health: StorageHealth;
  readonly #hold: HoldGuard;
  readonly #copies: CopySchedule;
  readonly #connection: Connection;
  readonly #checks: LastChecks;
  #repository: Repository | undefined;
  #writer: number | undefined;
  #shipper: Shipper | undefined;
  #refusal: Extract<ClaimResult, { kind: 'refused' }> | undefined;
  #superseded = false;
  #lookedAt = 0;
  #pruneDueAt = 0;
  #stopped = false;
  #wake: (() => void) | undefined;
  #running: Promise<void> | undefined;

  constructor(options: BackupAgentOptions) {
    this.#options = options;
    this.#health = new StorageHealth(options);
    this.#hold = new HoldGuard(options);
    this.#copies = new CopySchedule(options);
    this.#connection = new Connection(options);
    this.#checks = new LastChecks(options.cells);
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
    await this.#copies.stop();
    this.#shipper?.close();
    this.#connection.close();
    cells.state = 'off';
  }

  /** One turn of the loop, for tests. @returns milliseconds until the next one */
  async step(): Promise<number> {
    const { settings } = this.#options;
    let wait = settings.interval_ms;
    // The journal is looked after even while the storage does not answer.
    const stopWatching = repeating(this.#options.after, settings.interval_ms, () => this.#checkHold());
    try {
      const more = await this.#turn();
      this.#health.succeeded(this.#isShipping);
      if (more) wait = 0;
    } catch (error) {
      wait = this.#failed(error);
    } finally {
      stopWatching();
    }
    this.#checkHold();
    return wait;
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
    cells.set('clockOffset', (this.#repository!.storage.now() ?? wall()) - wall());
    this.#copies.startIfDue();
    await this.#checks.look(this.#repository!, elapsedMs());
    if (!this.#copies.running && elapsedMs() >= this.#pruneDueAt) await this.#prune();
    return more;
  }

  async #claim(adopt: boolean): Promise<void> {
    const { source, logId, boot, wall, durable, restored, cells, hold, randomBytes, log } = this.#options;
    const repository = (this.#repository = await this.#connection.repository());
    const origin = restored();
    const claimed = await claimWriter(
      repository,
      {
        logId,
        boot,
        at: Math.round(wall()),
        durable: durable(),
        checksumAt: (last) => source.checksumAt(revision(last)),
        oldestAfter: () => source.oldestAfter(),
        randomName: () => Buffer.from(randomBytes(8)).toString('hex'),
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
    const { writer, by, atBefore, damaged } = claimed;
    cells.set('damagedObjects', damaged.length);
    for (const what of damaged)
      log('error', `${what} What it had is shipped again, as far as the journal has it; dragonlock verify says more.`);
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
    const shipper = this.#shipper;
    await this.#copies.begin(
      {
        repository,
        writer,
        shipped: () => shipper.shipped,
        bytesShipped: () => shipper.bytesShipped,
        onTaken: () => this.#supersede(),
      },
      by !== 'frames',
    );
  }

  #beginOf({ by, continues, atBefore }: Extract<ClaimResult, { kind: 'claimed' }>): { after: Revision; gap?: Gap } {
    const { rows, source } = this.#options;
    if (by === 'frames') return { after: revision(continues!.revision) };
    const after = revision(Math.max(rows.lowestWatermark(), source.oldestAfter()));
    if (by !== 'gap') return { after };
    return { after, gap: { after: revision(continues?.revision ?? 0), atAfter: atBefore } };
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
    void this.#copies.stop();
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
    this.#hold.shipped(shipped);
    this.#copies.shippedTo(shipped);
  }

  #gap(after: Revision, to: Revision): void {
    this.#options.cells.add('gaps', 1);
    this.#copies.need();
    this.#options.log('error', `The backup has a gap: revisions ${after + 1} to ${to} were not shipped in time`, {
      after,
      to,
    });
  }

  #checkHold(): void {
    const isWaiting = this.#writer === undefined && this.#refusal === undefined;
    if (isWaiting || this.#isShipping) this.#hold.check(this.#shipper?.shipped ?? this.#options.source.oldestAfter());
  }

  async #prune(): Promise<void> {
    const { settings, cells, elapsedMs, wall } = this.#options;
    this.#pruneDueAt = elapsedMs() + dayMs;
    if (!settings.prune) return;
    const repository = this.#repository!;
    const catalog = await readCatalog(repository);
    const now = repository.storage.now() ?? wall();
    const [keepMomentsMs, keepCopiesMs] = [settings.keep_moments_days * dayMs, settings.keep_copies_days * dayMs];
    cells.add('pruned', await prune(repository, catalog, { keepMomentsMs, keepCopiesMs }, now));
  }

  /** @returns how long to wait */
  #failed(error: unknown): number {
    if (!(error instanceof ObjectTaken)) return this.#health.failed(error, this.#isShipping);
    this.#supersede();
    return this.#options.settings.interval_ms;
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
}
