/**
 * One run with tasks and scripts: shards, journal, a router of clients and one of the dispatcher, in one thread, on a
 * seeded scheduler, disk and clock. The dispatcher and the executors of scripts are those of production; requests go to a
 * sink of the simulation (task-sink.ts), and scripts run in this thread, whenever the scheduler says.
 *
 *   start ─► live: clients make and cancel tasks, call scripts ─► power cut (at any step, or in a disk call), or clean stop
 *   ─► start … ─► at last: no more faults; all ends; everything is as it was told
 */
import { setImmediate as settled } from 'node:timers/promises';
import { TaskDispatcher } from '../../../src/dispatcher/task-dispatcher.ts';
import { FileJournalSource } from '../../../src/journal/file/file-journal-source.ts';
import { Fences } from '../../../src/protocol/epochs.ts';
import { revision } from '../../../src/protocol/ids.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';
import { flowEntryKey } from '../../../src/protocol/operations/task-setting.ts';
import { decodeRecord, type CommitRecord } from '../../../src/protocol/record.ts';
import type { Reply } from '../../../src/protocol/replies.ts';
import type { ScriptExecutor } from '../../../src/scripts/executor.ts';
import { defaultLimits } from '../../../src/shared/limits.ts';
import { acme, batch } from '../../support/commands.ts';
import { FaultDisk } from '../../support/fault-disk.ts';
import { startInProcess, type InProcess } from '../../support/in-process.ts';
import { MemoryCheckpointStore } from '../../support/memory-checkpoint-store.ts';
import { executorOf } from '../../support/script-world.ts';
import { seededRandom, type SeededRandom } from '../../support/seeded-random.ts';
import { cancelTask, changeTask, httpTask, makeTask } from '../../support/task-commands.ts';
import { workMeter } from '../../support/work-meter.ts';
import { Scheduler } from '../scheduler.ts';
import { Counts, Trace, Violation } from '../trace.ts';
import { flowIntervalMs, TaskLedger, type MadeTask, type ShownTask } from './task-ledger.ts';
import { TaskSink } from './task-sink.ts';
import { auditSource, balances, opening, runSource, Transfers, transferSource, type Transfer } from './transfers.ts';

const startOfTime = 1_700_000_000_000;
const journalDirectory = '/data/journal';
const retry = { max: 100, minMs: 300, maxMs: 2000, factor: 2 };
const firstEpoch = 2 ** 22;
/** Tasks that have ended are shown for an hour: by then a run must be over. */
const runMsMax = 3_000_000;
const lifeMsMax = 300_000;

/** What a call may come to that is right; all but the first two have done nothing yet. */
const outcomesOfCalls: ReadonlySet<string> = new Set([
  'ok',
  'script_refused',
  'too_many_waiters',
  'draining',
  'conflict',
]);

interface Life {
  readonly server: InProcess;
  readonly dispatcher: TaskDispatcher;
  readonly executor: ScriptExecutor;
  readonly sink: TaskSink;
}

export class TaskWorld {
  now = startOfTime;
  readonly counts = new Counts();
  readonly trace: Trace;
  readonly #random: SeededRandom;
  readonly #ledger = new TaskLedger();
  readonly #transfers = new Transfers();
  readonly #checkpoints: MemoryCheckpointStore[];
  #disk: FaultDisk;
  #scheduler: Scheduler;
  #life: Life | undefined;
  #lives = 0;
  #made = 0;
  #healthy = false;
  readonly #paused = new Set<string>();
  /** Of so many steps, one is a client's. */
  #oneIn = 10;
  #failure: { readonly error: unknown } | undefined;

  constructor(seed: number, print?: (line: string) => void) {
    this.#random = seededRandom(seed);
    this.trace = new Trace(() => this.now, print);
    this.#disk = new FaultDisk(this.#random.below(2 ** 31));
    this.#scheduler = new Scheduler(this.#random, this.trace, () => this.now);
    this.#checkpoints = Array.from({ length: 1 + this.#random.below(3) }, () => new MemoryCheckpointStore());
  }

  async run(): Promise<void> {
    for (let lives = 1 + this.#random.below(4); lives > 0; lives -= 1) {
      if (!(await this.#start())) continue;
      if (this.#random.below(2) === 0) this.#disk.crashAt = this.#disk.calls + 1 + this.#random.below(150);
      // Time passes when nothing else can happen: the less clients do, the more of it.
      this.#oneIn = [10, 40, 120][this.#random.below(3)]!;
      const steps = 100 + this.#random.below(1500);
      const end = this.now + lifeMsMax;
      for (let step = 0; step < steps && this.now < end && !this.#isOver; step += 1) await this.#step(true);
      if (this.#random.below(5) === 0 && !this.#isOver) await this.#stop();
      else this.#powerCut();
    }
    this.#healthy = true;
    await this.#start();
    await this.#finish();
  }

  /** Call on an unhandled rejection, which would take the process down. */
  failed(error: unknown): void {
    this.#failure ??= { error };
  }

  /** @returns false when the power went before it served */
  async #start(): Promise<boolean> {
    this.#lives += 1;
    this.#scheduler = new Scheduler(this.#random, this.trace, () => this.now);
    const scheduler = this.#scheduler;
    const started: { server?: InProcess } = {};
    startInProcess({
      shards: this.#checkpoints.length,
      routers: 2,
      limits: { ...defaultLimits, memtable_bytes_max: 16_000 },
      disk: this.#disk,
      journalDirectory,
      segmentBytes: 256 * 1024,
      keepBytes: 64 * 1024 * 1024,
      checkpoints: this.#checkpoints,
      clock: { now: () => this.now },
      defer: scheduler.queue<() => void>('main', (run) => run()),
      queue: scheduler.queue,
      after: scheduler.after,
      randomBytes: (count) => Buffer.alloc(count, this.#lives),
      log: () => {},
      onFailure: (error) => this.failed(error),
    }).then(
      (server) => (started.server = server),
      (error: unknown) => this.failed(error),
    );
    await this.#until(() => started.server !== undefined);
    if (started.server === undefined) {
      this.#powerCut();
      return false;
    }
    this.#serve(started.server);
    this.#setUp();
    return true;
  }

  #serve(server: InProcess): void {
    const { after, queue } = this.#scheduler;
    const now = (): number => this.now;
    const [counts, ledger, random] = [this.counts, this.#ledger, this.#random];
    const sink = new TaskSink({ random, counts, ledger, now, after, healthy: () => this.#healthy });
    const threads = ['script thread 0', 'script thread 1'].map((name) => queue<() => void>(name, (run) => run()));
    const pool = {
      before: () => new Promise<void>((resolve) => threads[random.below(threads.length)]!(resolve)),
    };
    const fences = new Fences(firstEpoch + this.#lives);
    const dispatcher = new TaskDispatcher({
      router: server.routers[1]!,
      scripts: executorOf(server.routers[1]!, now, pool),
      shards: this.#checkpoints.length,
      clock: { now },
      after,
      meter: workMeter(),
      wall: now,
      sink,
      fences,
      newSecret: () => `whsec_${Buffer.alloc(24, this.#lives).toString('base64')}`,
      parallel: 4,
      accountParallel: 4,
    });
    this.#life = { server, dispatcher, sink, executor: executorOf(server.routers[0]!, now, pool) };
    dispatcher.start();
    this.counts.add('start');
  }

  /** What each life begins with; most of it is there already. */
  #setUp(): void {
    const set = balances.map((key) => ({ key, value: String(opening), version: 0 }));
    this.#ask(batch({ set }), () => {});
    const flow = { rate: 1000 / flowIntervalMs, perMs: 1000, parallel: 1, paused: false };
    const taskSetting = { key: flowEntryKey('f'), change: 'flow.set', flow } as const;
    this.#ask(batch({ format: 'flow.set', taskSetting }), () => {});
    const sources = Object.entries({ transfer: transferSource, audit: auditSource, run: runSource });
    for (const [key, source] of sources) this.#ask(batch({ format: 'script.put', script: { key, source } }), () => {});
    for (const transfer of this.#transfers.unanswered()) this.#call(transfer);
  }

  #act(): void {
    const draw = this.#random.below(10);
    if (draw < 4) this.#make();
    else if (draw < 5 && this.#random.below(2) === 0) this.#cancel();
    else if (draw < 5) this.#change();
    else if (draw < 9) this.#transfer();
    else this.#audit();
  }

  #make(): void {
    const random = this.#random;
    this.#made += 1;
    if (this.#made > 120) return;
    const id = `t${this.#made}`;
    const target = (['queue', 'http', 'script'] as const)[random.below(3)]!;
    const everyMs = random.below(5) === 0 ? 1000 + random.below(3000) : undefined;
    const untilMs = everyMs && this.now + 1 + random.below(15_000);
    const flow = random.below(3) === 0;
    const task: MadeTask = { id, target, flow, ...(everyMs && { everyMs, untilMs: untilMs! }) };
    const targets = {
      queue: { queue: 'out', data: JSON.stringify(id) },
      http: httpTask({ url: `https://app.example/${id}`, deadlineMs: 1500, body: JSON.stringify(id) }),
      script: { target: { kind: 'script', script: 'run', args: JSON.stringify(id) } },
    } as const;
    const when =
      everyMs === undefined
        ? { delayMs: random.below(2) * random.below(6000) }
        : { schedule: { everyMs }, untilMs: untilMs!, misfire: (['latest', 'skip', 'all'] as const)[random.below(3)]! };
    const more = random.below(4) === 0 && everyMs !== undefined ? ({ overlap: 'queue' } as const) : {};
    this.#ledger.made(task);
    this.trace.note(`make ${id} ${target}`);
    this.#ask(makeTask(id, { ...targets[target], ...when, ...more, retry, ...(flow && { flow: 'f' }) }), (reply) => {
      if (reply.outcome !== 'ok') return this.counts.add(`task: ${reply.outcome}`);
      this.counts.add(`task: ${target}${everyMs === undefined ? '' : ' every'}`);
      this.#ledger.acknowledged(id, (JSON.parse(reply.body) as { NextMs: number }).NextMs);
    });
  }

  #cancel(): void {
    const ids = [...this.#ledger.tasks.keys()].slice(-8);
    const id = ids[this.#random.below(ids.length || 1)];
    if (id === undefined) return;
    this.#ledger.cancelAsked(id);
    this.trace.note(`cancel ${id}`);
    this.#ask(cancelTask(id), (reply) => {
      this.trace.note(`cancel ${id}: ${reply.rev} ${reply.body}`);
      if (reply.outcome !== 'ok') return;
      const { Version } = JSON.parse(reply.body) as { Version: number };
      this.counts.add(Version === 0 ? 'cancel: too late' : 'cancel');
      this.#ledger.cancelAnswered(id, Version);
    });
  }

  /** Pauses tasks, lets them go on, or asks for a run before its time: of single ones, since that moves an instant. */
  #change(): void {
    const ids = [...this.#ledger.tasks.keys()].slice(-8);
    const id = ids[this.#random.below(ids.length || 1)];
    if (id === undefined) return;
    const change = (['pause', 'resume', 'run'] as const)[this.#random.below(3)]!;
    if (change === 'run' && !this.#ledger.runAsked(id)) return;
    if (change === 'pause') this.#paused.add(id);
    this.#ask(changeTask(id, change), ({ outcome }) => this.counts.add(`${change}: ${outcome}`));
  }

  #transfer(): void {
    const random = this.#random;
    this.#made += 1;
    const from = random.below(balances.length);
    const to = (from + 1 + random.below(balances.length - 1)) % balances.length;
    const transfer = { from: balances[from]!, to: balances[to]!, amount: random.below(15), mark: `m${this.#made}` };
    this.#transfers.asked(transfer);
    this.#call(transfer);
  }

  #call(transfer: Transfer): void {
    const { from, to, mark } = transfer;
    const keys = this.#random.below(2) === 0 ? [from, to, `mark/${mark}`] : [];
    const idempotency = { ids: [mark], ttlMs: runMsMax, mode: 'replay' } as const;
    const request = { account: acme, name: 'transfer', args: JSON.stringify(transfer), keys, idempotency };
    this.#life!.executor.call(request, {
      disconnected: false,
      deliver: ({ outcome, body }) => {
        this.counts.add(`transfer: ${outcome}`);
        if (!outcomesOfCalls.has(outcome)) throw new Violation(`the transfer ${mark} is answered ${body}`);
        if (outcome === 'ok') this.#transfers.ended(mark, { kind: 'done', ...answerOf(body) });
        else if (outcome === 'script_refused') this.#transfers.ended(mark, { kind: 'refused' });
      },
    });
  }

  #audit(): void {
    const request = { account: acme, name: 'audit', args: 'null', keys: [] };
    this.#life!.executor.call(request, {
      disconnected: false,
      deliver: ({ outcome, body }) => {
        this.counts.add(`audit: ${outcome}`);
        const sum = outcome === 'ok' ? answerOf(body).result : undefined;
        if (sum !== undefined && sum !== balances.length * opening)
          throw new Violation(`I28: a script has read a sum of ${sum}`);
      },
    });
  }

  #ask(command: Command, answered: (reply: Reply) => void): void {
    this.#life!.server.routers[0]!.request(command, { disconnected: false, deliver: answered });
  }

  async #answer(command: Command): Promise<Reply> {
    const told: { reply?: Reply } = {};
    this.#ask(command, (reply) => (told.reply = reply));
    await this.#until(() => told.reply !== undefined);
    return told.reply!;
  }

  /** Without further faults all tasks end. What has come of them is compared with what was told. */
  async #finish(): Promise<void> {
    for (const id of this.#paused) await this.#answer(changeTask(id, 'resume'));
    for (let quietMs = 0; quietMs < 150_000; ) {
      const before = this.now;
      await this.#step(false);
      if (this.#isOver) throw this.#failure?.error ?? new Violation('the power went without a fault');
      quietMs += this.now - before;
    }
    if (this.now - startOfTime > runMsMax) throw new Violation('the run took too long');
    const effects = new Map<string, number>();
    const add = (id: string, n: number): void => void effects.set(id, (effects.get(id) ?? 0) + n);
    const dequeue = { key: 'out', max: 1000, groupMax: 1, durMs: 60_000, waitMs: 0 };
    const taken = JSON.parse((await this.#answer(batch({ dequeue }))).body) as {
      Dequeue: { Messages: TakenMessage[] };
    };
    this.trace.note(JSON.stringify(taken.Dequeue.Messages.map(({ ID, Data }) => `${ID} ${Data}`)));
    for (const { Data, At } of taken.Dequeue.Messages) {
      add(Data, 1);
      const { nextMs = 0, asked } = this.#ledger.tasks.get(Data)!;
      if (At < nextMs && asked !== true) throw new Violation(`I24: ${Data} ran ${nextMs - At} ms before its instant`);
    }
    const ids = [...this.#ledger.tasks.keys()];
    const get = ['ran/', ...ids.map((id) => `ran/${id}`)];
    const { KV } = JSON.parse((await this.#answer(batch({ get }))).body) as { KV: { Key: string; Value?: number }[] };
    for (const { Key, Value = 0 } of KV) add(Key.slice('ran/'.length), Value);
    for (const id of ids) {
      const { outcome, body } = await this.#answer({ kind: 'task.get', account: acme, id });
      this.#ledger.checkEnd(id, outcome === 'ok' ? (JSON.parse(body) as ShownTask) : undefined, effects.get(id) ?? 0);
    }
    this.counts.add(
      'effect',
      [...effects.values()].reduce((sum, n) => sum + n, 0),
    );
    this.counts.add('transfer in the log', this.#transfers.check(this.#commits()));
    if (this.#life!.sink.underWay > 0) throw new Violation('a request never ends');
    await this.#stop();
  }

  #commits(): CommitRecord[] {
    const { states } = this.#life!.server;
    const last = revision(Math.max(...states.map(({ lastRev }) => lastRev)));
    const source = new FileJournalSource(this.#disk, journalDirectory);
    return Array.from(source.replay(revision(0), last), ({ buffer, at }) => decodeRecord(buffer, at));
  }

  get #isOver(): boolean {
    return this.#failure !== undefined || this.#disk.crashed;
  }

  async #stop(): Promise<void> {
    const { dispatcher, server } = this.#life!;
    const stopped = { done: false };
    const stop = async (): Promise<void> => {
      await dispatcher.stop(10_000);
      await server.stop();
      stopped.done = true;
    };
    stop().catch((error: unknown) => this.failed(error));
    await this.#until(() => stopped.done);
    if (!stopped.done) return this.#powerCut();
    this.counts.add('clean stop');
    this.#kill();
    this.#disk = this.#disk.restart(this.#random.below(2 ** 31));
  }

  #powerCut(): void {
    const { error } = this.#failure ?? {};
    if (error !== undefined && !this.#disk.crashed) throw error;
    this.counts.add(this.#disk.crashed ? 'power cut in a disk call' : 'power cut between two steps');
    this.counts.add('request that vanished', this.#life?.sink.underWay ?? 0);
    this.#kill();
    this.#disk = this.#disk.powerCut(this.#random.below(2 ** 31));
    // How long the machine is down.
    this.now += this.#random.below(3) === 0 ? this.#random.below(70_000) : this.#random.below(2000);
  }

  #kill(): void {
    this.#scheduler.kill();
    this.#life?.sink.close();
    this.#life = undefined;
    this.#failure = undefined;
    this.#ledger.quiet += 1;
  }

  async #until(done: () => boolean): Promise<void> {
    for (let step = 0; ; step += 1) {
      await settled();
      if (done() || this.#isOver) return;
      if (step > 50_000) throw new Violation('it never ends');
      await this.#step(false);
    }
  }

  async #step(acts: boolean): Promise<void> {
    try {
      if (acts && this.#random.below(this.#oneIn) === 0) this.#act();
      else if (!this.#scheduler.step()) this.#passTime();
    } catch (error) {
      this.failed(error);
    }
    await settled();
    const { error } = this.#failure ?? {};
    if (error instanceof Violation) throw error;
  }

  /** Only when nothing else can happen: so whatever was told to somebody has been told to all. */
  #passTime(): void {
    this.#ledger.quiet += 1;
    const next = this.#scheduler.nextTimer();
    this.now = next - this.now < 3000 ? Math.max(next, this.now) : this.now + 1 + this.#random.below(1000);
  }
}

interface TakenMessage {
  readonly ID: string;
  readonly Data: string;
  readonly At: number;
}

/** A reply that is told again has the revision of the first one. */
function answerOf(body: string): { readonly rev: number; readonly result: number } {
  const { Rev, Result } = JSON.parse(body) as { readonly Rev: number; readonly Result: number };
  return { rev: Rev, result: Result };
}
