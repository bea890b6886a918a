/**
 * All front ends of the server: the first runs in main's thread, each further one in a thread of its own. All of them
 * listen before the first answers anything, so that connections are spread over them from the start, also those of
 * clients that have been waiting for a restart; whom the kernel gives to which is decided once, when they connect.
 */
import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import type { JournalStats } from '../protocol/stats.ts';
import { unreachable } from '../shared/assert.ts';
import { FrontEnd, type FrontEndOptions } from './front-end.ts';
import type { FrontEndFromMain, FrontEndStep, FrontEndThreadData, FrontEndToMain } from './front-end-thread.ts';
import { withPortAlone } from './port-alone.ts';
import { startWorker, type Threads } from './threads.ts';

export type FrontEndsOptions = Omit<FrontEndOptions, 'index'>;

export class FrontEnds {
  readonly #options: FrontEndsOptions;
  readonly #first: FrontEnd;
  readonly #further: readonly FurtherFrontEnd[];
  #journalStats: () => Promise<JournalStats> = () => Promise.reject(new Error('nobody asks before it serves'));

  constructor(options: FrontEndsOptions, onFatal: (error: unknown) => void) {
    this.#options = options;
    const { log, ...data } = options;
    this.#further = Array.from(
      { length: options.config.http.threads - 1 },
      (_, i) => new FurtherFrontEnd({ ...data, index: i + 1 }, log, () => this.#journalStats(), onFatal),
    );
    this.#first = new FrontEnd({ ...options, index: 0 });
  }

  /** @returns where they listen, as a URL. @throws EADDRINUSE and its like */
  async listen(): Promise<string> {
    await Promise.all([this.#first.ready(), ...this.#further.map((one) => one.step('ready'))]);
    const { http, listen } = this.#options.config;
    if (http.threads === 1) return this.#first.listen(listen.port);
    const url = await withPortAlone(listen, () => this.#first.listen(listen.port));
    // With port 0, all of them go where the first one has got to.
    const port = Number(new URL(url).port);
    await Promise.all(this.#further.map((one) => one.does({ kind: 'listen', port }, 'listening')));
    return url;
  }

  async serve(threads: Threads, journalDirectory: string): Promise<void> {
    const { revisions } = threads;
    const backends = threads.frontEnds.map((ports) => ({ ports, revisions, journalDirectory }));
    this.#journalStats = () => threads.journalStats();
    this.#first.serve({ ...backends[0]!, journalStats: this.#journalStats });
    await Promise.all(this.#further.map((one, i) => one.does({ kind: 'serve', backend: backends[i + 1]! }, 'serving')));
  }

  /** Refuse new requests, answer everyone who waits; then the shards commit and checkpoint; then replies have left. */
  async close(): Promise<void> {
    await Promise.all([this.#first.drain(), ...this.#further.map((one) => one.does({ kind: 'drain' }, 'drained'))]);
    await this.#first.closeShards();
    await Promise.all([this.#first.close(), ...this.#further.map((one) => one.close())]);
  }
}

/** As main sees it. */
class FurtherFrontEnd {
  readonly #worker: Worker;
  readonly #steps = {
    ready: Promise.withResolvers<void>(),
    listening: Promise.withResolvers<void>(),
    serving: Promise.withResolvers<void>(),
    drained: Promise.withResolvers<void>(),
  } satisfies Record<FrontEndStep, PromiseWithResolvers<void>>;

  constructor(
    data: FrontEndThreadData,
    log: FrontEndOptions['log'],
    journalStats: () => Promise<JournalStats>,
    onFatal: (error: unknown) => void,
  ) {
    this.#worker = startWorker('./front-end-thread.ts', `front-end-${data.index}`, data, [], onFatal);
    this.#worker.on('message', (message: FrontEndToMain) => {
      switch (message.kind) {
        case 'ready':
        case 'listening':
        case 'serving':
        case 'drained':
          return this.#steps[message.kind].resolve();
        case 'log':
          return log[message.level](message.details, message.message);
        case 'journal-stats':
          return void journalStats().then((stats) => this.#send({ kind: 'journal-stats', id: message.id, stats }));
        default:
          return unreachable(message);
      }
    });
  }

  step(step: FrontEndStep): Promise<void> {
    return this.#steps[step].promise;
  }

  /** Resolves when the thread has said that this step is done. One that fails takes the process down. */
  does(message: FrontEndFromMain, step: FrontEndStep): Promise<void> {
    this.#send(message);
    return this.step(step);
  }

  async close(): Promise<void> {
    const exited = once(this.#worker, 'exit');
    this.#send({ kind: 'close' });
    await exited;
  }

  #send(message: FrontEndFromMain): void {
    const { shards, journal } = message.kind === 'serve' ? message.backend.ports : noPorts;
    this.#worker.postMessage(message, [...shards, ...(journal === undefined ? [] : [journal])]);
  }
}

const noPorts = { shards: [], journal: undefined };
