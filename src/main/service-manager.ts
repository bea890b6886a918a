/**
 * Tells systemd how the server is (sd_notify(3), `Type=notify`). Node has no datagram sockets of Unix, so systemd-notify
 * sends. A small shell, started before the server has grown, starts it for each message: a process of hundreds of
 * megabytes stands still for 50 to 130 ms when it starts another one. Without NOTIFY_SOCKET nothing happens.
 */
import { spawn, type ChildProcess } from 'node:child_process';

type Environment = Readonly<Record<string, string | undefined>>;

const loop = 'while read -r message; do systemd-notify --no-block "$message"; done';

export class ServiceManager {
  readonly #child: ChildProcess | undefined;
  /** Milliseconds within which it expects `alive`; undefined: it does not watch. */
  readonly watchdogMs: number | undefined;

  constructor(env: Environment, pid = process.pid) {
    if (env['NOTIFY_SOCKET'] === undefined || env['NOTIFY_SOCKET'] === '') return;
    const { WATCHDOG_USEC, WATCHDOG_PID } = env;
    const watched = WATCHDOG_USEC !== undefined && (WATCHDOG_PID === undefined || WATCHDOG_PID === String(pid));
    if (watched) this.watchdogMs = Number(WATCHDOG_USEC) / 1000;
    this.#child = spawn('/bin/sh', ['-c', loop], { stdio: ['pipe', 'ignore', 'inherit'] });
    // It must not keep the process from ending, nor end it.
    this.#child.unref();
    this.#child.on('error', () => undefined);
    this.#child.stdin?.on('error', () => undefined);
  }

  get isThere(): boolean {
    return this.#child !== undefined;
  }

  ready(status: string): void {
    this.#send('READY=1');
    this.#send(`STATUS=${status}`);
  }

  /** The start takes longer. */
  starting(status: string, extendMs: number): void {
    this.#send(`EXTEND_TIMEOUT_USEC=${extendMs * 1000}`);
    this.#send(`STATUS=${status}`);
  }

  reloading(): void {
    this.#send('RELOADING=1');
  }

  stopping(): void {
    this.#send('STOPPING=1');
    this.#send('STATUS=Draining');
  }

  alive(): void {
    this.#send('WATCHDOG=1');
  }

  #send(message: string): void {
    this.#child?.stdin?.write(`${message.replaceAll('\n', ' ')}\n`);
  }
}
