/**
 * A second process that outlives ours for as long as the lease lasts. It is told until when the group may live, and
 * kills it then. While all is well, it is told a later moment in time; so it acts only when we cannot: stopped, swapped
 * out, or killed, at which the pipe to it closes.
 *
 * Moments are those of the machine's monotonic clock, which all processes share.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { machineMs } from '../shared/clock.ts';
import { threadFile } from '../shared/thread-file.ts';

const file = fileURLToPath(threadFile(import.meta.url, './watchdog-process'));

export class LeaseWatchdog {
  readonly #process: ChildProcess;

  constructor() {
    // A group of its own: what is sent to ours, or by a terminal, is not meant for it.
    this.#process = spawn(process.execPath, [file], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
      env: {},
      cwd: '/',
    });
    this.#process.unref();
    // Without it, this process still does what it can.
    this.#process.on('error', () => undefined);
    this.#process.stdin?.on('error', () => undefined);
  }

  guard(leader: number): void {
    this.#process.stdin?.write(`${leader}\n`);
  }

  /** The group may live for so many milliseconds from now. */
  allow(ms: number): void {
    this.#process.stdin?.write(`${machineMs() + ms}\n`);
  }

  /** The group has ended. */
  dismiss(): void {
    this.#process.kill('SIGKILL');
  }
}
