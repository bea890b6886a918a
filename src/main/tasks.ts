/**
 * Starts the dispatcher of tasks. The server of a restored backup that was not adopted runs none: it may stand beside the
 * one that was backed up, which runs them.
 */
import type { DispatcherFromMain, DispatcherThreadData, DispatcherToMain } from '../dispatcher/dispatcher-thread.ts';
import type { Every } from '../shared/clock.ts';
import { WorkerLink } from '../shared/worker-link.ts';
import { workerUrls } from './worker-urls.ts';

export interface TasksOptions {
  readonly data: DispatcherThreadData;
  /** Whether this server may run tasks. */
  readonly isOwner: () => boolean;
  readonly every: Every;
  readonly onFatal: (error: unknown) => void;
}

const adoptedEveryMs = 5000;

export class Tasks {
  readonly #options: TasksOptions;
  readonly #endWait: () => void = () => undefined;
  #link: WorkerLink<DispatcherFromMain, DispatcherToMain> | undefined;

  constructor(options: TasksOptions) {
    this.#options = options;
    if (options.isOwner()) this.#start();
    else {
      this.#endWait = options.every(adoptedEveryMs, () => {
        if (!options.isOwner()) return;
        this.#endWait();
        this.#start();
      });
    }
  }

  get areRun(): boolean {
    return this.#link !== undefined;
  }

  async ping(): Promise<unknown> {
    return this.#link?.ask('ping');
  }

  /** Call before the front ends stop: runs that are under way are still recorded. */
  async stop(): Promise<void> {
    this.#endWait();
    await this.#link?.stop({ kind: 'stop' });
  }

  #start(): void {
    const { data, onFatal } = this.#options;
    const { shards, journal } = data.ports;
    this.#link = new WorkerLink({
      url: workerUrls.dispatcher,
      name: 'dispatcher',
      workerData: data,
      ports: [...shards, ...(journal === undefined ? [] : [journal])],
      onFatal,
    });
  }
}
