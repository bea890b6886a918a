import { once } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { unreachable } from '../shared/assert.ts';
import type { Config } from './config-schema.ts';
import type { EdgeLog } from './edge.ts';
import type { FrontEndFromMain, FrontEndThreadData, FrontEndToMain } from './front-end-thread.ts';
import { startWorker, type Threads } from './threads.ts';

export interface FurtherFrontEndsOptions {
  readonly config: Config;
  readonly boot: string;
  readonly version: string;
  readonly threads: Threads;
  readonly journalDirectory: string;
  readonly log: EdgeLog;
  readonly onFatal: (error: unknown) => void;
}

/** The front ends 1 … http.threads-1, as main sees them. None by default. */
export class FurtherFrontEnds {
  readonly #options: FurtherFrontEndsOptions;
  #workers: Worker[] = [];
  readonly #drained = new Map<Worker, () => void>();

  constructor(options: FurtherFrontEndsOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    const { config, boot, version, threads, journalDirectory, onFatal } = this.#options;
    const serving: Promise<void>[] = [];
    for (let index = 1; index < config.http.threads; index += 1) {
      const ports = threads.frontEnds[index]!;
      const data: FrontEndThreadData = {
        index,
        config,
        boot,
        version,
        ports,
        revisions: threads.revisions,
        journalDirectory,
      };
      const transfer = [...ports.shards, ...(ports.journal === undefined ? [] : [ports.journal])];
      const worker = startWorker('./front-end-thread.ts', `front-end-${index}`, data, transfer, onFatal);
      serving.push(
        new Promise((resolve) =>
          worker.on('message', (message: FrontEndToMain) => this.#receive(worker, message, resolve)),
        ),
      );
      this.#workers.push(worker);
    }
    await Promise.all(serving);
  }

  async drain(): Promise<void> {
    await Promise.all(
      this.#workers.map((worker) => {
        const drained = new Promise<void>((resolve) => this.#drained.set(worker, resolve));
        send(worker, { kind: 'drain' });
        return drained;
      }),
    );
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#workers.map((worker) => {
        const exited = once(worker, 'exit');
        send(worker, { kind: 'close' });
        return exited;
      }),
    );
  }

  #receive(worker: Worker, message: FrontEndToMain, serving: () => void): void {
    switch (message.kind) {
      case 'serving':
        return serving();
      case 'drained':
        return this.#drained.get(worker)?.();
      case 'log':
        return this.#options.log[message.level](message.details, message.message);
      case 'journal-stats':
        return void this.#options.threads
          .journalStats()
          .then((stats) => send(worker, { kind: 'journal-stats', id: message.id, stats }));
      default:
        return unreachable(message);
    }
  }
}

function send(worker: Worker, message: FrontEndFromMain): void {
  worker.postMessage(message);
}
