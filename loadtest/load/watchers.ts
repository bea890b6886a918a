import { fork, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import type { FromWatchers, WatchOrder } from './watchers-process.ts';

const processFile = path.resolve(import.meta.dirname, 'watchers-process.ts');
const lifeMsMax = 110_000;

export type WatchResult = Extract<FromWatchers, { kind: 'done' }>;

/** The process full of watchers: `sent`, then `write`. */
export class Watchers {
  readonly #child: ChildProcess;
  readonly #sent = Promise.withResolvers<void>();
  readonly #done = Promise.withResolvers<WatchResult>();

  constructor(order: WatchOrder, onSpawn: (process: ChildProcess) => void) {
    this.#child = fork(processFile, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    onSpawn(this.#child);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), lifeMsMax);
    const fail = (error: Error): void => {
      this.#sent.reject(error);
      this.#done.reject(error);
    };
    this.#child.on('message', (message: FromWatchers) => {
      if (message.kind === 'sent') this.#sent.resolve();
      else if (message.kind === 'done') this.#done.resolve(message);
      else fail(new Error(message.message));
    });
    this.#child.once('exit', (code, signal) => {
      clearTimeout(timer);
      fail(new Error(`The watchers ended with ${code ?? signal} and without a result`));
    });
    this.#done.promise.catch(() => undefined);
    this.#sent.promise.catch(() => undefined);
    this.#child.send(order);
  }

  /** All connections are open and have asked; whether the server has taken it up, only its metrics tell. */
  sent(): Promise<void> {
    return this.#sent.promise;
  }

  write(): Promise<WatchResult> {
    this.#child.send('write');
    return this.#done.promise;
  }
}
