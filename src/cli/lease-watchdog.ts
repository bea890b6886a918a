/**
 * A second process that outlives ours as long as the lease lasts. We send it the time until which the group may live,
 * and it kills the group then. While all is well we send a later time before that; so the watchdog acts only when we
 * cannot, because we are stopped, swapped out or killed. The pipe to it closes when we are killed.
 *
 * Times are those of the machine's monotonic clock, which all processes share.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { machineMs } from '../shared/clock.ts';
import { threadFile } from '../shared/thread-file.ts';

const file = fileURLToPath(threadFile(import.meta.url, './watchdog-process'));

export class LeaseWatchdog {
  readonly #process: ChildProcess;

  constructor() {
    // A group of its own, so that signals to our group or from a terminal do not reach it.
    this.#process = spawn(process.execPath, [file], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
      env: {},
      cwd: '/',
    });
    this.#process.unref();
    // Without a watchdog, this process still guards the group itself.
    this.#process.on('error', () => undefined);
    this.#process.stdin?.on('error', () => undefined);
  }

  guard(leader: number): void {
    this.#process.stdin?.write(`${leader}\n`);
  }

  /** Allows the group to live for `ms` from now. */
  allow(ms: number): void {
    this.#process.stdin?.write(`${machineMs() + ms}\n`);
  }

  /** Ends the watchdog, after the group has ended. */
  dismiss(): void {
    this.#process.kill('SIGKILL');
  }
}
