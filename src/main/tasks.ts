/**
 * The dispatcher of tasks. The server of a restored backup that was not adopted runs none: it may stand beside the one that
 * was backed up, which runs them. Its dispatcher only takes what shards and journal send to all routers.
 */
import type { DispatcherFromMain, DispatcherThreadData, DispatcherToMain } from '../dispatcher/dispatcher-thread.ts';
import { readRestoredFrom } from '../backup/restore/restore-marks.ts';
import type { Config } from '../front-end/config-schema.ts';
import type { SharedCounters } from '../front-end/shared-counters.ts';
import type { ScriptConnection } from '../scripts/threads/script-threads.ts';
import { unreachable } from '../shared/assert.ts';
import { systemEvery, type Every } from '../shared/clock.ts';
import { WorkerLink } from '../shared/worker-link.ts';
import type { OpenedDataDirectory } from './data-directory/open-data-directory.ts';
import type { Threads } from './threads.ts';
import { workerUrls } from './worker-urls.ts';

export interface TasksOptions {
  readonly data: DispatcherThreadData;
  /** Whether this server may run tasks. */
  readonly isOwner: () => boolean;
  readonly every: Every;
  readonly onFatal: (error: unknown) => void;
  /** Takes another epoch, see protocol/epochs.ts. */
  readonly takeEpoch: () => Promise<number>;
  /** The call of a script failed by a bug. */
  readonly onBug: (error: unknown) => void;
}

const adoptedEveryMs = 5000;

export class Tasks {
  /** Whether tasks run from the start on. */
  readonly areRun: boolean;
  readonly #link: WorkerLink<DispatcherFromMain, DispatcherToMain>;
  #endWait: () => void = () => undefined;

  constructor({ data, isOwner, every, onFatal, takeEpoch, onBug }: TasksOptions) {
    const { shards, journal } = data.ports;
    this.#link = new WorkerLink({
      url: workerUrls.dispatcher,
      name: 'dispatcher',
      workerData: data,
      ports: [
        ...shards,
        ...(journal === undefined ? [] : [journal]),
        ...(data.scripts === undefined ? [] : [data.scripts.port]),
      ],
      onFatal,
      onMessage: (message) => {
        switch (message.kind) {
          case 'ask-for-epoch':
            return void takeEpoch().then((epoch) => this.#link.send({ kind: 'epoch', epoch }));
          case 'bug':
            return onBug(message.error);
          case 'pong':
            return;
          default:
            return unreachable(message);
        }
      },
    });
    this.areRun = isOwner();
    if (this.areRun) this.#link.send({ kind: 'start' });
    else {
      this.#endWait = every(adoptedEveryMs, () => {
        if (!isOwner()) return;
        this.#endWait();
        this.#link.send({ kind: 'start' });
      });
    }
  }

  ping(): Promise<unknown> {
    return this.#link.ask('ping');
  }

  /** Call before the front ends stop: what is under way is still recorded. */
  async stop(): Promise<void> {
    this.#endWait();
    await this.#link.stop({ kind: 'stop' });
  }
}

export interface TasksParts {
  readonly config: Config;
  readonly opened: OpenedDataDirectory;
  readonly threads: Threads;
  readonly counters: SharedCounters;
  readonly epoch: number;
  readonly boot: string;
  /** See `FrontEnds.connectScripts`. */
  readonly scripts: ScriptConnection | undefined;
  readonly onBug: (error: unknown) => void;
  readonly onFatal: (error: unknown) => void;
}

/** Starts the dispatcher of a server that serves. */
export function startTasks({ config, opened, threads, counters, ...parts }: TasksParts): Tasks {
  const { epoch, boot, scripts: connection, onFatal, onBug } = parts;
  const { limits, accounts, shards, tasks, scripts, http } = config;
  const { clock, routers, accounts: accountCounts, scriptBudgets, scriptCounts, taskCounts } = counters;
  return new Tasks({
    data: {
      index: config.http.threads,
      ports: threads.dispatcher,
      revisions: threads.revisions,
      journalDirectory: opened.journalDirectory,
      config: { limits, accounts, shards, tasks, scripts, http },
      scripts: connection,
      boot,
      epoch,
      counters: { clock, routers, accounts: accountCounts, scriptBudgets, scriptCounts, taskCounts },
    },
    isOwner: () => ownsTasks(config.data_dir, opened),
    every: systemEvery,
    onFatal,
    onBug,
    takeEpoch: () => threads.takeEpoch(),
  });
}

/** Not if the log of this directory is that of a restore which was not adopted. */
function ownsTasks(dataDirectory: string, { recovered }: OpenedDataDirectory): boolean {
  const from = readRestoredFrom(dataDirectory);
  return from === undefined || from.adopted || BigInt(`0x${from.logId}`) !== recovered.logId;
}
