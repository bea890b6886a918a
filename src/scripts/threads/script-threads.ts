/**
 * Owns the threads that run scripts, in the main thread. Nothing is loaded or started before a front end has something to
 * run. Then Piscina holds as many threads as are wanted, each with one task that does not end; the signal of that task is
 * how a thread is killed, and Piscina starts another in its place.
 *
 *   none ──first run──► starting ──► serves its ports ──beats no more, while it uses a core──► killed ──► starting
 *
 * A look at the threads, ten times a second, sees whether one whose run is under way has beaten since the last look. If
 * not, it is given so long of CPU time: another process may have the core, so that a thread that gets none is left alone.
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { Piscina } from 'piscina';
import type { After } from '../../shared/clock.ts';
import { ScriptCells } from './script-cells.ts';
import type { ScriptClientLink, ScriptThreadLink, ScriptThreadTask } from './script-messages.ts';

const lookMs = 100;
/** CPU time without a beat after which a thread is killed. */
export const silentMsMax = 500;
/** Where Node does not tell CPU time, and whatever it tells: so many looks. */
const silentLooksMax = 50;
/** Before a thread that has ended by itself is started again. */
const restartMs = 100;
/** A thread keeps machines and texts; one that needs more than this is broken. */
const resourceLimits = { maxOldGenerationSizeMb: 256, stackSizeMb: 4 };

export interface ScriptThreadsOptions {
  /** The file of script-thread.ts. */
  readonly url: URL;
  /** How many. */
  readonly threads: number;
  readonly after: After;
}

/** What a front end is given; the port is to be transferred. */
export interface ScriptConnection {
  readonly port: MessagePort;
  /** From 1. */
  readonly client: number;
}

interface Slot {
  readonly cells: ScriptCells;
  readonly control: MessagePort;
  readonly killer: AbortController;
  /** The beat at the last look. */
  beat: number;
  looks: number;
  /** CPU time of the thread when it was first seen silent. */
  silentSince: number | undefined;
}

export class ScriptThreads {
  readonly #options: ScriptThreadsOptions;
  readonly #clients: MessagePort[] = [];
  /** Those that have had something to run. */
  readonly #begun = new Set<number>();
  readonly #slots = new Set<Slot>();
  #pool: Promise<Piscina> | undefined;
  #isClosed = false;
  #cancelLook: () => void = () => {};
  #kills = 0;

  constructor(options: ScriptThreadsOptions) {
    this.#options = options;
  }

  /** Threads that had to be killed so far. */
  get kills(): number {
    return this.#kills;
  }

  /** Makes what a front end needs for its `ScriptClient`: it costs a port, no thread. */
  connect(): ScriptConnection {
    const { port1, port2 } = new MessageChannel();
    const client = this.#clients.push(port1);
    port1.on('message', () => void this.#begin(client));
    // Until there is something to run, it keeps nobody alive.
    port1.unref();
    return { port: port2, client };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelLook();
    for (const port of this.#clients) port.close();
    await (await this.#pool)?.destroy();
  }

  async #begin(client: number): Promise<void> {
    const isFirst = this.#pool === undefined;
    this.#pool ??= this.#load();
    await this.#pool;
    if (this.#isClosed) return;
    this.#begun.add(client);
    for (const slot of this.#slots) this.#link(slot, client);
    if (isFirst) this.#lookLater();
  }

  async #load(): Promise<Piscina> {
    const { Piscina: Pool } = await import('piscina');
    const { url, threads } = this.#options;
    const { href: filename } = url;
    const pool = new Pool({ filename, minThreads: threads, maxThreads: threads, atomics: 'disabled', resourceLimits });
    // Each end of a task is seen where it was begun.
    pool.on('error', () => {});
    for (let i = 0; i < threads; i += 1) this.#start(pool);
    return pool;
  }

  #start(pool: Piscina): Slot {
    const { port1, port2 } = new MessageChannel();
    const cells = new ScriptCells();
    const killer = new AbortController();
    const slot: Slot = { cells, control: port1, killer, beat: 0, looks: 0, silentSince: undefined };
    this.#slots.add(slot);
    port1.unref();
    const task: ScriptThreadTask = { port: port2, cells: cells.memory };
    const ended = (): void => this.#restart(pool, slot);
    pool.run(task, { transferList: [port2] as never, signal: killer.signal }).then(ended, ended);
    return slot;
  }

  #restart(pool: Piscina, slot: Slot): void {
    this.#slots.delete(slot);
    slot.control.close();
    if (this.#isClosed) return;
    const start = (): void => {
      if (this.#isClosed) return;
      const next = this.#start(pool);
      for (const client of this.#begun) this.#link(next, client);
    };
    if (slot.killer.signal.aborted) start();
    else this.#options.after(restartMs, start);
  }

  #link(slot: Slot, client: number): void {
    const { port1, port2 } = new MessageChannel();
    const toThread: ScriptClientLink = { kind: 'client', client, port: port1 };
    slot.control.postMessage(toThread, [port1]);
    const toClient: ScriptThreadLink = { kind: 'thread', port: port2, cells: slot.cells.memory };
    this.#clients[client - 1]!.postMessage(toClient, [port2]);
  }

  #lookLater(): void {
    this.#cancelLook = this.#options.after(lookMs, () => void this.#look());
  }

  async #look(): Promise<void> {
    const pool = await this.#pool!;
    await Promise.all([...this.#slots].map((slot) => this.#lookAt(slot, pool)));
    if (!this.#isClosed) this.#lookLater();
  }

  async #lookAt(slot: Slot, pool: Piscina): Promise<void> {
    const beat = slot.cells.get('beat');
    if (slot.cells.get('client') === 0 || beat !== slot.beat) {
      Object.assign(slot, { beat, looks: 0, silentSince: undefined });
      return;
    }
    slot.looks += 1;
    const worker = pool.threads.find(({ threadId }) => threadId === slot.cells.get('thread'));
    const usage = await worker?.cpuUsage?.().catch(() => undefined);
    // It may have gone on meanwhile.
    if (slot.cells.get('beat') !== beat) return;
    const used = usage === undefined ? slot.looks * lookMs : (usage.user + usage.system) / 1000;
    slot.silentSince ??= used;
    if (used - slot.silentSince < silentMsMax && slot.looks < silentLooksMax) return;
    this.#kills += 1;
    slot.killer.abort();
  }
}
