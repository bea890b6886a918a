/**
 * The `ScriptPool` of a front end: sends bundles of runs to the script threads, from each account in turn, to the thread
 * that has least to do. A thread that knows a script gets no source. When a thread has been killed, the run that it was at
 * has failed, and the others of its bundle have no outcome; other bundles that it had been sent run on the next.
 */
import { once } from 'node:events';
import type { MessagePort } from 'node:worker_threads';
import { FairQueue } from '../../shared/fair-queue.ts';
import type { CheckedScript, ScriptOutcome, ScriptPool, ScriptRun } from '../script-run.ts';
import type { RunHere } from '../machine/script-machine.ts';
import { ScriptCells } from './script-cells.ts';
import { silentMsMax, type ScriptConnection } from './script-threads.ts';
import type { FromScriptThread, ScriptThreadLink, StartScripts, ToScriptThread } from './script-messages.ts';

/** Bundles that a front end sends to one thread before it has the answer to the first: while one is told, another runs. */
const sentMax = 2;
/** Scripts that a front end believes a thread to know; it is told when one does not. */
const knownMax = 4096;
const idMax = 2 ** 31 - 1;
/** Accounts take turns by the run: what a run costs is bounded by the threads. */
const turn = 500;

interface Job {
  readonly account: string;
  /** Its runs, or 1. */
  readonly size: number;
  /** @param known scripts that the thread has been told the source of */
  readonly message: (id: number, known: Set<string>) => ToScriptThread;
  /** @param at of its runs the one whose thread was killed by it; undefined: there was an answer, or nothing was run */
  readonly done: (answer: FromScriptThread | undefined, at?: number) => void;
}

interface Thread {
  readonly port: MessagePort;
  readonly cells: ScriptCells;
  readonly jobs: Map<number, Job>;
  readonly known: Set<string>;
}

const killed: ScriptOutcome = { kind: 'killed', cpuMs: silentMsMax };

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

  run(runs: readonly ScriptRun[]): Promise<readonly (ScriptOutcome | undefined)[]> {
    return new Promise((resolve) =>
      this.#ask({
        account: runs[0]!.account,
        size: runs.length,
        message: (id, known) => ({ kind: 'run', id, runs: runs.map((run) => withoutKnown(run, known)) }),
        done(answer, at) {
          if (answer?.kind === 'ran') resolve(answer.outcomes);
          else resolve(runs.map((_, i) => (at === undefined || i === at ? killed : undefined)));
        },
      }),
    );
  }

  async check(source: string, account: string): Promise<CheckedScript> {
    const answer = await new Promise<FromScriptThread | undefined>((done) =>
      this.#ask({ account, size: 1, message: (id) => ({ kind: 'check', id, source }), done }),
    );
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

  #ask(job: Job): void {
    if (this.#isClosed) return job.done(undefined);
    this.#queue.push(job.account, job);
    this.#next();
  }

  #take(): Job | undefined {
    const job = this.#queue.take(false);
    if (job !== undefined) this.#queue.charge(turn * job.size, false);
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
    this.#nextID = id + job.size > idMax ? 1 : id + job.size;
    thread.jobs.set(id, job);
    thread.cells.add('load', job.size);
    if (thread.known.size >= knownMax) thread.known.clear();
    thread.port.postMessage(job.message(id, thread.known));
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
    thread.cells.add('load', -job.size);
    if (answer.kind === 'ran' && answer.unknown !== undefined) thread.known.delete(answer.unknown);
    job.done(answer);
    this.#next();
  }

  #lost(thread: Thread): void {
    this.#threads.delete(thread);
    const { cells, jobs } = thread;
    const at = cells.get('client') === this.#client ? cells.get('run') : 0;
    for (const [id, job] of jobs) {
      if (id <= at && at < id + job.size) job.done(undefined, at - id);
      else this.#again(job);
    }
    this.#next();
  }

  #again(job: Job): void {
    if (this.#isClosed) job.done(undefined);
    else this.#queue.pushFirst(job.account, job);
  }
}

function withoutKnown(run: ScriptRun, known: Set<string>): RunHere {
  if (known.has(run.sourceID)) return { ...run, source: undefined };
  known.add(run.sourceID);
  return run;
}
