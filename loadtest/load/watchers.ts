import { fork, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import type { WatchersMessage, WatchSpec } from './watchers-process.ts';

const processFile = path.resolve(import.meta.dirname, 'watchers-process.ts');
const lifeMsMax = 110_000;

export type WatchResult = Extract<WatchersMessage, { kind: 'done' }>;

/** Runs the watchers' process: await `sent`, then call `write`. */
export class Watchers {
  readonly #child: ChildProcess;
  readonly #sent = Promise.withResolvers<void>();
  readonly #done = Promise.withResolvers<WatchResult>();

  constructor(spec: WatchSpec, onSpawn: (process: ChildProcess) => void) {
    this.#child = fork(processFile, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    onSpawn(this.#child);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), lifeMsMax);
    const fail = (error: Error): void => {
      this.#sent.reject(error);
      this.#done.reject(error);
    };
    this.#child.on('message', (message: WatchersMessage) => {
      if (message.kind === 'sent') this.#sent.resolve();
      else if (message.kind === 'done') this.#done.resolve(message);
      else fail(new Error(message.message));
    });
    this.#child.once('exit', (code, signal) => {
      clearTimeout(timer);
      fail(new Error(`The watchers ended with ${code ?? signal} before they sent a result`));
    });
    this.#done.promise.catch(() => undefined);
    this.#sent.promise.catch(() => undefined);
    this.#child.send(spec);
  }

  /** Resolves when all watches are sent. Only the server's metrics show whether it has received them. */
  sent(): Promise<void> {
    return this.#sent.promise;
  }

  write(): Promise<WatchResult> {
    this.#child.send('write');
    return this.#done.promise;
  }
}
