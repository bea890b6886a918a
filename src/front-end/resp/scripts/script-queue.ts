/**
 * The script thread of one front end, and the runs that wait for it: one at a time, from each account in turn. The thread
 * starts with the first run. One that has had a core for longer than `cpuMicrosMax` has met something that Lua's hook does
 * not see: the thread is ended, the script has failed, and those behind it run in a new thread. Nothing is lost with it,
 * because a run changes nothing. Its account has no script run for a while, so that the others have the thread for most
 * of the time whatever it sends.
 */
import type { After } from '../../../shared/clock.ts';
import { FairQueue } from '../../../shared/fair-queue.ts';
import type { Limits } from '../../../shared/limits.ts';
import { WorkerLink } from '../../../shared/worker-link.ts';
import { errorText } from '../writer.ts';
import type { FromScripts, ScriptRequest, ScriptResult, ScriptThreadData, ToScripts } from './script-messages.ts';

/** A script of `stepsMax` steps takes a hundredth of it. */
const cpuMicrosMax = 1_000_000;
const lookMs = 500;
/** Where Node does not tell, looks count as this much. */
const lookMicros = lookMs * 1000;
const refusedMs = 20_000;

export interface ScriptQueueOptions {
  readonly url: URL;
  readonly limits: Limits;
  /** Returns the microseconds that have passed since an arbitrary moment. */
  readonly micros: () => number;
  readonly after: After;
  readonly onFatal: (error: unknown) => void;
}

interface Waiting {
  readonly request: ScriptRequest;
  readonly done: (result: ScriptResult) => void;
}

interface UnderWay {
  readonly waiting: Waiting;
  readonly since: number;
  /** Of the thread at the first look; later ones tell what the run has had since. */
  cpuMicros: number | undefined;
  looks: number;
  cancelTimer: () => void;
}

export class ScriptQueue {
  readonly #options: ScriptQueueOptions;
  readonly #queue = new FairQueue<Waiting>();
  #thread: WorkerLink<ToScripts, FromScripts> | undefined;
  #underWay: UnderWay | undefined;
  /** Accounts whose script had to be ended. */
  readonly #refused = new Set<string>();

  constructor(options: ScriptQueueOptions) {
    this.#options = options;
  }

  run(request: ScriptRequest, done: (result: ScriptResult) => void): void {
    if (this.#refused.has(request.account)) return done(refused);
    this.#queue.push(request.account, { request, done });
    this.#next();
  }

  async close(): Promise<void> {
    this.#underWay?.cancelTimer();
    await this.#thread?.terminate();
  }

  #next(): void {
    if (this.#underWay !== undefined) return;
    const waiting = this.#queue.take(false);
    if (waiting === undefined) return;
    this.#thread ??= this.#start();
    const underWay: UnderWay = { waiting, since: this.#options.micros(), cpuMicros: undefined, looks: 0, cancelTimer };
    this.#underWay = underWay;
    this.#lookLater(underWay);
    this.#thread.send({ kind: 'run', request: waiting.request });
  }

  #start(): WorkerLink<ToScripts, FromScripts> {
    const { url, limits, onFatal } = this.#options;
    const workerData: ScriptThreadData = { limits };
    const thread: WorkerLink<ToScripts, FromScripts> = new WorkerLink({
      url,
      name: 'scripts',
      workerData,
      ports: [],
      onFatal,
      // A thread that was given up may have answered in that moment.
      onMessage: ({ result }) => void (thread === this.#thread && this.#end(result)),
    });
    return thread;
  }

  #lookLater(underWay: UnderWay): void {
    underWay.cancelTimer = this.#options.after(lookMs, () => void this.#look(underWay));
  }

  async #look(underWay: UnderWay): Promise<void> {
    const cpuMicros = (await this.#thread?.cpuMicros()) ?? underWay.looks * lookMicros;
    if (this.#underWay !== underWay) return;
    underWay.looks += 1;
    underWay.cpuMicros ??= cpuMicros;
    if (cpuMicros - underWay.cpuMicros > cpuMicrosMax) this.#giveUp(underWay.waiting.request);
    else this.#lookLater(underWay);
  }

  #giveUp({ account, sha }: ScriptRequest): void {
    void this.#thread?.terminate();
    this.#thread = undefined;
    this.#refused.add(account);
    this.#options.after(refusedMs, () => this.#refused.delete(account));
    this.#end({
      reply: errorText(`ERR script ran too long: it was ended, and nothing was done script: ${sha}`),
      effects: [],
    });
  }

  #end(result: ScriptResult): void {
    if (this.#underWay === undefined) return;
    const { waiting, since, cancelTimer } = this.#underWay;
    this.#underWay = undefined;
    cancelTimer();
    this.#queue.charge(this.#options.micros() - since, false);
    this.#next();
    waiting.done(result);
  }
}

const cancelTimer = (): void => {};
const refused: ScriptResult = {
  reply: errorText(`TRYAGAIN a script of this account had to be ended; none is run for ${refusedMs / 1000} s`),
  effects: [],
};
