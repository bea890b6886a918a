/**
 * The script thread of one front end, and the runs that wait for it: one at a time, from each account in turn. The thread
 * starts with the first run. One that has not ended after `runMsMax` has met something that Lua's hook does not see:
 * the thread is ended, the script has failed, and those behind it run in a new thread. Nothing is lost with it, because
 * a run changes nothing.
 */
import type { After } from '../../../shared/clock.ts';
import { FairQueue } from '../../../shared/fair-queue.ts';
import type { Limits } from '../../../shared/limits.ts';
import { WorkerLink } from '../../../shared/worker-link.ts';
import { errorText } from '../writer.ts';
import type { FromScripts, ScriptRequest, ScriptResult, ScriptThreadData, ToScripts } from './script-messages.ts';

/** A script of `stepsMax` steps takes a hundredth of it on a core of its own. */
const runMsMax = 2000;

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

export class ScriptQueue {
  readonly #options: ScriptQueueOptions;
  readonly #queue = new FairQueue<Waiting>();
  #thread: WorkerLink<ToScripts, FromScripts> | undefined;
  #underWay: { readonly waiting: Waiting; readonly since: number; readonly cancelTimer: () => void } | undefined;

  constructor(options: ScriptQueueOptions) {
    this.#options = options;
  }

  run(request: ScriptRequest, done: (result: ScriptResult) => void): void {
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
    const { micros, after } = this.#options;
    this.#thread ??= this.#start();
    this.#underWay = { waiting, since: micros(), cancelTimer: after(runMsMax, () => this.#giveUp()) };
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

  #giveUp(): void {
    void this.#thread?.terminate();
    this.#thread = undefined;
    const sha = this.#underWay?.waiting.request.sha ?? '';
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
