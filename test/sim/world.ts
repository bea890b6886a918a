/**
 * One run: a server is started, gets requests, is broken and started again, all of it drawn from one seed.
 *
 *   start (real recovery; may be cut short, again and again) ─► live: clients, time and faults ─► one of
 *      power   the machine loses power at any step, or inside any disk call, or right after an answer
 *      error   a disk call fails with EIO: the process dies, a few steps later, with or without the machine
 *      clean   drained, checkpointed, closed
 *   ─► start … ─► at last: no more faults; every client is answered; clean stop; the content is that of the whole log
 */
import { setImmediate as settled } from 'node:timers/promises';
import { JournalCorruption } from '../../src/journal/file/journal-corruption.ts';
import type { InProcess } from '../support/in-process.ts';
import { accountId } from '../../src/protocol/ids.ts';
import { kinds } from '../../src/protocol/record.ts';
import { inOrder } from '../support/assert-counts.ts';
import { MemoryCheckpointStore } from '../support/memory-checkpoint-store.ts';
import { ShardStore } from '../../src/storage/shard-store.ts';
import { drainQueues } from '../support/drain-queues.ts';
import { Crash, FaultDisk } from '../support/fault-disk.ts';
import { pointedIdOf } from '../../src/protocol/stored-reply-pointer.ts';
import type { Entries, LocatedEntry } from '../../src/protocol/entries.ts';
import { digestOf } from '../support/map-entries.ts';
import type { ReplyBody } from '../support/reply-body.ts';
import type { Command } from '../../src/protocol/operations/operations.ts';
import { seededRandom, type SeededRandom } from '../support/seeded-random.ts';
import { Clients } from './clients.ts';
import { failureCodes, Faults, type FailureCode } from './faults.ts';
import { damage, readLog } from './log-on-disk.ts';
import { Scheduler } from './scheduler.ts';
import { startServer } from './start-server.ts';
import { Timeline } from './timeline.ts';
import { Counts, Trace, Violation } from './trace.ts';
import { accounts, queues, Workload } from './workload.ts';

export interface WorldOptions {
  readonly seed: number;
  readonly print?: (line: string) => void;
  /** Without random faults, the process ends at exactly these disk calls, one in each life. */
  readonly crashAtCalls?: readonly number[];
  /** In addition, this call of the first life fails, or the first later one that may fail. */
  readonly failAtCall?: { readonly call: number; readonly code: FailureCode };
  /** Distinguishes several power cuts at one place, which keep different sectors. */
  readonly cut?: number;
}

const startOfTime = 1_700_000_000_000;

type End = 'power' | 'call' | 'answer' | 'error' | 'clean';

export class World {
  now = startOfTime;
  readonly seed: number;
  readonly random: SeededRandom;
  readonly trace: Trace;
  readonly counts = new Counts();
  readonly timeline: Timeline;
  readonly workload: Workload;
  readonly clients: Clients;
  readonly shards: number;
  readonly routers: number;
  disk: FaultDisk;
  server: InProcess | undefined;
  #scheduler: Scheduler;
  #failure: { readonly error: unknown } | undefined;
  /** The last answer was followed by a power cut. */
  #cutAfterAnswer = Infinity;
  readonly #faults: Faults;
  #damaged = false;
  readonly #checkpoints: MemoryCheckpointStore[];
  readonly #settings: { segmentBytes: number; keepBytes: number; memtableBytes: number; hurry: number; asks: number };
  readonly #options: WorldOptions;
  diskCalls: number[] = [];

  constructor(options: WorldOptions) {
    this.#options = options;
    this.seed = options.seed;
    const random = (this.random = seededRandom(options.seed));
    this.trace = new Trace(() => this.now - startOfTime, options.print);
    this.workload = new Workload(random);
    this.timeline = new Timeline(
      () => this.now,
      (op) => this.workload.puts.get(op),
      (account, id, fence) => this.clients.waitOrder.mayRelease(account, id, fence),
    );
    this.shards = 1 + random.below(3);
    this.routers = 1 + random.below(2);
    this.clients = new Clients(this);
    this.#faults = new Faults(this);
    this.disk = new FaultDisk(random.below(2 ** 31));
    this.#scheduler = this.#newScheduler();
    this.#checkpoints = Array.from({ length: this.shards }, () => new MemoryCheckpointStore());
    this.#settings = {
      segmentBytes: 4096 << random.below(3),
      keepBytes: [0, 16 * 1024, 256 * 1024][random.below(3)]!,
      memtableBytes: [2000, 8000, 64 * 1024][random.below(3)]!,
      // How often time moves although something could happen, and how often a client sends a request.
      hurry: [0.01, 0.05, 0.2][random.below(3)]!,
      asks: [0.1, 0.25, 0.5][random.below(3)]!,
    };
    this.trace.note(
      `seed ${options.seed}: ${this.shards} shards, ${this.routers} routers, ${JSON.stringify(this.#settings)}`,
    );
  }

  async run(): Promise<void> {
    const { crashAtCalls } = this.#options;
    const lives = crashAtCalls?.length ?? 1 + this.random.below(4);
    for (let life = 0; life < lives; life += 1) {
      if (!(await this.#start(crashAtCalls?.[life]))) continue;
      if (crashAtCalls === undefined) await this.#live(this.#drawEnd(), 50 + this.random.below(500));
      else await this.#live('power', 150);
    }
    await this.#start();
    await this.#finish();
  }

  /** Call when something leaves the server: everything that it depends on must be on the medium. */
  show(rev: number, what: string): void {
    this.timeline.show(rev, what);
    this.#cutAfterAnswer -= 1;
  }

  /** Call on an unhandled rejection, which would take the process down. */
  failed(error: unknown): void {
    this.#failure ??= { error };
  }

  #drawEnd(): End {
    const ends: readonly End[] = ['power', 'power', 'call', 'call', 'answer', 'error', 'error', 'clean'];
    return ends[this.random.below(ends.length)]!;
  }

  #drawCode(): FailureCode {
    return this.random.below(2) === 0 ? 'EIO' : failureCodes[this.random.below(failureCodes.length)]!;
  }

  /** @returns false when the process was to end, and did, before it served */
  async #start(crashAtCall?: number): Promise<boolean> {
    this.#armFailure();
    for (let attempt = 0; ; attempt += 1) {
      const failing = crashAtCall === undefined && attempt < 3 && this.random.below(4) === 0;
      if (crashAtCall !== undefined) this.disk.crashAt = crashAtCall;
      else if (failing) this.#faults.armCall('power', 30);
      if (await this.#tryToStart()) {
        const { inject } = this.disk;
        this.#started();
        this.disk.inject = inject;
        return true;
      }
      this.counts.add('crash during recovery');
      await this.#powerCut();
      // This life is over: the next one ends where the next number says.
      if (crashAtCall !== undefined) return false;
    }
  }

  #armFailure(): void {
    const { failAtCall } = this.#options;
    if (failAtCall !== undefined && this.diskCalls.length === 0) {
      this.#faults.failFrom(failAtCall.call, failAtCall.code);
    }
  }

  /** @returns false when the process died during the start */
  async #tryToStart(): Promise<boolean> {
    this.#scheduler = this.#newScheduler();
    this.#failure = undefined;
    const scheduler = this.#scheduler;
    const outcome: { server?: InProcess } = {};
    startServer(this, {
      ...this.#settings,
      scheduler,
      checkpoints: this.#checkpoints,
      hasCheckpointRoom: () => this.#faults.hasCheckpointRoom(),
    }).then(
      (server) => (outcome.server = server),
      (error: unknown) => this.failed(error),
    );
    await this.#until(() => outcome.server !== undefined);
    if (outcome.server === undefined) return false;
    this.server = outcome.server;
    return true;
  }

  /** Checks that recovery found what was written, and that the content is that of the log. */
  #started(): void {
    const { boot, states } = this.server!;
    const log = readLog(this.disk);
    const bootRecord = this.timeline.record(boot.rev);
    if (bootRecord?.effects[0]?.kind !== kinds.boot) throw new Violation(`I4: revision ${boot.rev} is not the start`);
    this.timeline.recovered(boot.rev, log);
    this.timeline.boot = { at: boot.at, rev: boot.rev };
    this.clients.restarted(boot, this.now);
    const content = digestOf(
      states.flatMap(({ entries }) =>
        accounts.flatMap((account) =>
          Object.values(kinds).flatMap((kind) =>
            Array.from(entries.range(kind, accountId(account), ''), (located) => this.#withReply(entries, located)),
          ),
        ),
      ),
    );
    const expected = this.timeline.digest(accounts);
    this.#recount();
    if (content !== expected) throw new Violation(`I5: after the start\n${content}\n--- the log says\n${expected}`);
    this.trace.note(`started at ${boot.rev}`);
    this.counts.add('start');
  }

  /** Follows the pointer of an idempotency id. One that has outlived its reply is what it was in the log. */
  #withReply(entries: Entries, located: LocatedEntry): LocatedEntry {
    const { kind, account, key, entry } = located;
    const pointed = kind === kinds.idempotency ? pointedIdOf(entry.value) : undefined;
    if (pointed === undefined) return located;
    const holder = entries.get(kind, account, pointed);
    const logged = this.timeline
      .record(entry.rev)
      ?.effects.find((effect) => effect.key === key && effect.kind === kind);
    const value = holder?.rev === entry.rev ? holder.value : (logged?.value ?? entry.value);
    return { kind, account, key, entry: { ...entry, value } };
  }

  /** Counts are those of the content, at every start and end of a life. */
  #recount(): void {
    for (const { entries, shard } of this.server!.states) {
      if (!(entries instanceof ShardStore)) throw new Violation('a shard has a store');
      const counts = inOrder(entries.counts()).join('\n');
      const expected = inOrder(entries.recount()).join('\n');
      if (counts !== expected) throw new Violation(`I23: shard ${shard} counts\n${counts}\n--- and has\n${expected}`);
      const totals = totalsOf(Array.from(entries.partTotals(), ({ letter, state, entries: n }) => [letter + state, n]));
      const sums = totalsOf(
        Array.from(entries.counts(), ({ part, entries: n }) => [
          part.charAt(part.indexOf('\0') + 1) + part.slice(-1),
          n,
        ]),
      );
      if (totals !== sums) throw new Violation(`I23: shard ${shard} has in all\n${totals}\n--- and by queue\n${sums}`);
    }
  }

  async #live(end: End, steps: number): Promise<void> {
    const { random } = this;
    const endAt = Math.floor(steps * Math.sqrt(random.next()));
    if (end === 'call') this.#faults.armCall('power', 1 + random.below(200));
    if (end === 'error') this.#faults.armCall(this.#drawCode(), 1 + random.below(200));
    this.trace.note(`life: ${end}`);
    let full = 0;
    for (let step = 0; step < steps && this.#failure === undefined; step += 1) {
      if (step === endAt && (end === 'power' || end === 'clean')) break;
      if (step === endAt && end === 'answer') this.#cutAfterAnswer = 1;
      if (this.#cutAfterAnswer <= 0) {
        this.counts.add('power cut after an answer');
        break;
      }
      if (this.disk.freeBytes !== Infinity) {
        full += 1;
        if (random.below(60) === 0) {
          this.#faults.freeDisk();
        }
      } else if (random.below(250) === 0) this.#faults.fillDisk();
      await this.#step();
    }
    if (full > 0) this.counts.add('steps on a full disk', full);
    const fatal = this.#faults.takeFatal();
    if (fatal !== undefined && this.#failure === undefined) throw new Violation(`the server goes on after ${fatal}`);
    this.#recount();
    await this.#die(end);
  }

  async #die(end: End): Promise<void> {
    if (this.#failure === undefined && end === 'clean') return this.#stop();
    if (this.#failure !== undefined && !this.disk.crashed) {
      const { error } = this.#failure;
      const code = codeOf(error);
      // Files that are used up end no server: whatever lacks one waits.
      if (code !== 'EIO' && code !== 'ENOSPC' && code !== 'EACCES') throw error;
      this.counts.add(`process ended by ${code}`);
      // Other threads go on until the process has gone down.
      for (let more = this.random.below(8); more > 0; more -= 1) await this.#step();
      this.disk.inject = undefined;
      if (this.random.below(2) === 0) {
        this.counts.add('restart without a power cut');
        this.#kill();
        this.disk = this.disk.restart(this.random.below(2 ** 31));
        this.#faults.jumpClock();
        return;
      }
    }
    this.counts.add(this.disk.crashed ? 'power cut inside a disk call' : 'power cut between two steps');
    await this.#powerCut();
  }

  async #powerCut(): Promise<void> {
    this.#kill();
    this.disk = this.disk.powerCut(this.random.below(2 ** 31) + (this.#options.cut ?? 0));
    this.#faults.jumpClock();
    if (this.#options.crashAtCalls === undefined && this.random.below(8) === 0) await this.#damage();
  }

  #kill(): void {
    this.trace.note('the process has ended');
    this.diskCalls.push(this.disk.calls);
    this.counts.add('overtaking', this.#scheduler.overtakings);
    this.counts.add('step while the disk is busy', this.#scheduler.meanwhiles);
    this.#scheduler.kill();
    this.server = undefined;
    this.#failure = undefined;
    this.#cutAfterAnswer = Infinity;
    this.#faults.checkpointRoom = true;
    this.clients.serverDied();
  }

  /** Without further faults every client is answered, and the content is that of the log. */
  async #finish(): Promise<void> {
    this.#faults.freeDisk();
    this.trace.note('no more faults');
    for (let step = 0; this.clients.waiting > 0 || !this.#scheduler.idle; step += 1) {
      if (step > 20_000) throw new Violation(`it never ends: ${this.clients.describeWaiting()}`);
      await this.#step(false);
    }
    await this.#drain();
    this.clients.finish();
    this.#recount();
    await this.#stop();
    this.counts.add('disk call', this.disk.calls);
    await this.#tryToStart();
    if (this.server === undefined) throw new Violation('the last start fails');
    this.#started();
    this.#kill();
  }

  /** Takes and acks all messages, also those that somebody holds or that are delayed. */
  async #drain(): Promise<void> {
    const drained = { done: false };
    const ask = (command: Command): Promise<ReplyBody> => this.clients.askFor(command);
    const pause = (): Promise<void> => new Promise((resolve) => void this.#scheduler.after(1000, resolve));
    drainQueues({ ask, accounts, queues, waitMs: 45_000, pause }).then(
      () => (drained.done = true),
      (error: unknown) => this.failed(error),
    );
    for (let step = 0; !drained.done; step += 1) {
      if (this.#failure !== undefined) throw this.#failure.error;
      if (step > 50_000) throw new Violation(`I17: queues are never empty: ${this.clients.describeWaiting()}`);
      await this.#step(false);
    }
  }

  /** Flips a bit of the durable log: a start must refuse it. Then flips it back. */
  async #damage(): Promise<void> {
    const healthy = this.disk;
    const watermark = Math.min(...this.#checkpoints.map((checkpoint) => checkpoint.watermark()));
    // Nothing is unsynced: a cut copies it.
    this.disk = healthy.powerCut(1);
    const what = damage(this.disk, watermark, this.timeline.synced, this.random);
    if (what === undefined) {
      this.disk = healthy;
      return;
    }
    this.trace.note(what);
    this.counts.add('damage');
    this.#damaged = true;
    if (await this.#tryToStart()) throw new Violation(`I11: a start passed over ${what}`);
    this.#damaged = false;
    this.#scheduler.kill();
    this.#failure = undefined;
    this.disk = healthy;
  }

  async #stop(): Promise<void> {
    const stopped = { done: false };
    this.server!.stop().then(
      () => (stopped.done = true),
      (error: unknown) => this.failed(error),
    );
    await this.#until(() => stopped.done);
    if (!stopped.done) return this.#die('power');
    this.counts.add('clean stop');
    this.#kill();
    this.disk = this.disk.restart(this.random.below(2 ** 31));
    this.now += this.random.below(3000);
  }

  async #until(done: () => boolean): Promise<void> {
    for (let step = 0; ; step += 1) {
      await settled();
      if (done() || this.#failure !== undefined) break;
      if (step > 20_000) throw new Violation('a start or a stop never ends');
      // The start itself is a commit: with no room at all it waits for some.
      if (step === 1000 && this.disk.freeBytes !== Infinity) {
        this.counts.add('start or stop waited for room');
        this.#faults.freeDisk();
      }
      await this.#guarded(() => {
        if (!this.#scheduler.step()) this.#passTime(true);
      });
    }
    const { error } = this.#failure ?? {};
    if (error === undefined || error instanceof Crash || failureCodes.some((code) => code === codeOf(error))) return;
    // A start that cannot read what it needs is refused with the place, as for damage.
    const isRefused = error instanceof JournalCorruption && (this.#damaged || error.message.includes('EIO: read'));
    if (!isRefused) throw error;
  }

  async #step(withClients = true): Promise<void> {
    await this.#guarded(() => {
      const draw = this.random.next();
      const { asks, hurry } = this.#settings;
      if (withClients && draw < asks && this.#failure === undefined) this.clients.act();
      else if (draw > 1 - hurry) this.#passTime(false);
      else if (!this.#scheduler.step()) this.#passTime(true);
    });
  }

  async #guarded(run: () => void): Promise<void> {
    try {
      run();
    } catch (error) {
      this.failed(error);
    }
    await settled();
    const { error } = this.#failure ?? {};
    if (error instanceof Violation) throw error;
  }

  /** Moves time to the next timer, or a little. */
  #passTime(toTimer: boolean): void {
    const healthy = this.server !== undefined && this.#failure === undefined && !this.#faults.diskWasFull();
    if (toTimer && healthy) this.clients.checkIdle();
    const next = this.#scheduler.nextTimer();
    const { random } = this;
    if (toTimer && next !== Infinity) this.now = Math.max(this.now, next);
    else this.now += random.below(4) === 0 ? random.below(500) : random.next() * 5;
    this.trace.note(`time ${Math.floor(this.now - startOfTime)}`);
  }

  #newScheduler(): Scheduler {
    return new Scheduler(this.random, this.trace, () => this.now);
  }
}

/** Entries by letter and state; those of no queue have neither. */
function totalsOf(counts: readonly (readonly [sort: string, entries: number])[]): string {
  const sums = new Map<string, number>();
  for (const [sort, entries] of counts) if (sort !== '') sums.set(sort, (sums.get(sort) ?? 0) + entries);
  return JSON.stringify([...sums].filter(([, entries]) => entries > 0).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  return 'code' in error ? (error.code as string) : codeOf(error.cause);
}
