/**
 * The `ScriptPool` of a front end: sends runs to the script threads, from each account in turn, to the thread that has
 * least to do. A thread that knows a script gets no source. When a thread has been killed, the run that it was at has
 * failed; the others that it had been sent run again on the next.
 */
import { once } from 'node:events';
import type { MessagePort } from 'node:worker_threads';
import { FairQueue } from '../../shared/fair-queue.ts';
import type { CheckedScript, ScriptOutcome, ScriptPool, ScriptRun } from '../script-run.ts';
import { ScriptCells } from './script-cells.ts';
import { silentMsMax, type ScriptConnection } from './script-threads.ts';
import type { FromScriptThread, ScriptThreadLink, StartScripts, ToScriptThread } from './script-messages.ts';

/** Runs that a front end sends to one thread before it has the answer to the first: while one is told, another runs. */
const sentMax = 2;
/** Scripts that a front end believes a thread to know; it is told when one does not. */
const knownMax = 4096;
/** Accounts take turns by the run: what a run costs is bounded by the threads. */
const turn = 500;

interface Job {
  readonly account: string;
  readonly sourceID: string;
  /** @param withSource whether the thread has to be told the source */
  readonly message: (id: number, withSource: boolean) => ToScriptThread;
  readonly done: (answer: FromScriptThread | undefined) => void;
  needsSource: boolean;
}

interface Thread {
  readonly port: MessagePort;
  readonly cells: ScriptCells;
  readonly jobs: Map<number, Job>;
  readonly known: Set<string>;
}

export class ScriptClient implements ScriptPool {
  readonly #owner: MessagePort;
  readonly #client: number;
  readonly #queue = new FairQueue<Job>();
  readonly #threads = new Set<Thread>();
  #hasStarted = false;
  #isClosed = false;
  #nextID = 1;

  /** @param connection of `ScriptThreads.connect` */
  constructor({ port, client }: ScriptConnection) {
    this.#owner = port;
    this.#client = client;
    port.on('message', (link: ScriptThreadLink) => this.#add(link));
    // Until there is something to run, it keeps nobody alive.
    port.unref();
  }

  async run(run: ScriptRun): Promise<ScriptOutcome> {
    const { account, sourceID } = run;
    const answer = await this.#ask(account, sourceID, (id, withSource) => ({
      kind: 'run',
      id,
      run: withSource ? run : { ...run, source: undefined },
    }));
    return answer?.kind === 'ran' ? answer.outcome : { kind: 'killed', cpuMs: silentMsMax };
  }

  async check(source: string, account: string): Promise<CheckedScript> {
    const answer = await this.#ask(account, '', (id) => ({ kind: 'check', id, source }));
    if (answer?.kind === 'checked') return { fault: answer.fault, cpuMs: answer.cpuMs, killed: false };
    const fault = { name: 'InternalError', message: 'The script takes too long to compile' };
    return { fault, cpuMs: silentMsMax, killed: true };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#owner.close();
    for (const { port, jobs } of this.#threads) {
      for (const { done } of jobs.values()) done(undefined);
      port.close();
    }
    this.#threads.clear();
    for (let job = this.#take(); job !== undefined; job = this.#take()) job.done(undefined);
  }

  #ask(account: string, sourceID: string, message: Job['message']): Promise<FromScriptThread | undefined> {
    if (this.#isClosed) return Promise.resolve(undefined);
    return new Promise((done) => {
      this.#queue.push(account, { account, sourceID, message, done, needsSource: false });
      this.#next();
    });
  }

  #take(): Job | undefined {
    const job = this.#queue.take(false);
    if (job !== undefined) this.#queue.charge(turn, false);
    return job;
  }

  #next(): void {
    if (!this.#hasStarted) {
      this.#hasStarted = true;
      const start: StartScripts = { kind: 'start' };
      this.#owner.ref();
      this.#owner.postMessage(start);
      return;
    }
    for (;;) {
      const thread = this.#leastBusy();
      const job = thread && this.#take();
      if (job === undefined) return;
      this.#send(thread!, job);
    }
  }

  /** Of those that have not been sent enough: the one that all front ends together have sent least. */
  #leastBusy(): Thread | undefined {
    let least: Thread | undefined;
    for (const thread of this.#threads) {
      if (thread.jobs.size >= sentMax) continue;
      if (least === undefined || thread.cells.get('load') < least.cells.get('load')) least = thread;
    }
    return least;
  }

  #send(thread: Thread, job: Job): void {
    const id = this.#nextID;
    this.#nextID = id === 2 ** 31 - 1 ? 1 : id + 1;
    const withSource = job.needsSource || !thread.known.has(job.sourceID);
    thread.jobs.set(id, job);
    thread.cells.add('load', 1);
    if (thread.known.size >= knownMax) thread.known.clear();
    thread.known.add(job.sourceID);
    thread.port.postMessage(job.message(id, withSource));
  }

  #add({ port, cells }: ScriptThreadLink): void {
    const thread: Thread = { port, cells: new ScriptCells(cells), jobs: new Map(), known: new Set() };
    this.#threads.add(thread);
    port.on('message', (answer: FromScriptThread) => this.#receive(thread, answer));
    void once(port, 'close').then(() => this.#lost(thread));
    this.#next();
  }

  #receive(thread: Thread, answer: FromScriptThread): void {
    const job = thread.jobs.get(answer.id);
    if (job === undefined) return;
    thread.jobs.delete(answer.id);
    thread.cells.add('load', -1);
    if (answer.kind === 'unknown') this.#again({ ...job, needsSource: true });
    else job.done(answer);
    this.#next();
  }

  #lost(thread: Thread): void {
    this.#threads.delete(thread);
    const { cells, jobs } = thread;
    const at = cells.get('client') === this.#client ? cells.get('run') : 0;
    for (const [id, job] of jobs) {
      if (id === at) job.done(undefined);
      else this.#again(job);
    }
    this.#next();
  }

  #again(job: Job): void {
    if (this.#isClosed) job.done(undefined);
    else this.#queue.pushFirst(job.account, job);
  }
}
