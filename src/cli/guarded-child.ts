/**
 * A child that runs only while a lease lasts. It leads a process group of its own, so that its descendants end with it,
 * and has our stdin, stdout and stderr.
 *
 *     running ──little is left of the lease, or it is lost──► SIGTERM ──grace──► SIGKILL ──► lost
 *        │                                                      │
 *        │                                                      └─ the group is empty ──► lost
 *        └── the child ends ──► ended
 *
 * The time left counts from the sending of the last renewal (client/lease.ts). With a quarter of the ttl left, at most
 * 10 s, several renewals have failed: the group gets SIGTERM, and SIGKILL before the last twentieth. A lease that the
 * server reports as lost may have a new holder already, so the grace is short then.
 *
 * When this process is stopped (SIGSTOP) or killed, it cannot end the group: the watchdog does (lease-watchdog.ts).
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { systemLeaseClock, type Mark } from '../client/lease-clock.ts';
import type { HeldLock } from '../client/lock.ts';
import { systemAfter } from '../shared/clock.ts';
import { exitCodes } from './exit-codes.ts';
import { formatDuration } from './format.ts';
import { LeaseWatchdog } from './lease-watchdog.ts';
import { exitCodeOfSignal, onSignals, signalGroup } from './signals.ts';

export interface GuardOptions {
  readonly env: NodeJS.ProcessEnv;
  readonly lock: HeldLock;
  readonly ttlMs: number;
}

export type ChildEnd =
  | { readonly kind: 'ended'; readonly exitCode: number }
  | { readonly kind: 'unstartable'; readonly exitCode: number; readonly message: string }
  | { readonly kind: 'lost'; readonly message: string };

/** Becomes the command after we report that the watchdog knows the group; never, if we are killed before. */
const waitForGo = 'read -r _ <&3 && exec "$@" 3<&-';

const forwarded = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH'] as const;
/** How often to check for processes in a group whose leader has ended. */
const pollMs = 20;

export async function runGuarded(
  [command, ...args]: readonly string[],
  { env, lock, ttlMs }: GuardOptions,
): Promise<ChildEnd> {
  // Start the guard first, then the child.
  const group = new GuardedGroup(lock, ttlMs);
  const child = spawn('/bin/sh', ['-c', waitForGo, 'sh', command!, ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
    detached: true,
    env,
  });
  if (child.pid === undefined) {
    group.release();
    return unstartable(command!, child);
  }
  group.guard(child.pid);
  const go = child.stdio[3] as Writable;
  go.on('error', () => undefined);
  go.end('\n');
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  const loss = await group.leaderEnded();
  if (loss !== undefined) return { kind: 'lost', message: loss };
  return { kind: 'ended', exitCode: code ?? exitCodeOfSignal(signal!) };
}

async function unstartable(command: string, child: ChildProcess): Promise<ChildEnd> {
  const [error] = (await once(child, 'error')) as [NodeJS.ErrnoException];
  const notFound = error.code === 'ENOENT';
  return {
    kind: 'unstartable',
    exitCode: notFound ? exitCodes.commandNotFound : exitCodes.cannotExecute,
    message: `Cannot run ${JSON.stringify(command)}: ${notFound ? 'not found' : error.message}`,
  };
}

class GuardedGroup {
  /** Process id of the child; 0: there is no child yet. */
  #leader = 0;
  readonly #lock: HeldLock;
  readonly #ttlMs: number;
  readonly #termMs: number;
  readonly #killMs: number;
  readonly #watchdog: LeaseWatchdog;
  readonly #stopListening: () => void;
  #clearTimer: () => void = () => {};
  #lossMessage: string | undefined;
  /** When the group got SIGTERM, and how long it has until SIGKILL. */
  #termSent: { readonly at: Mark; readonly graceMs: number } | undefined;
  readonly #killed = Promise.withResolvers<void>();

  constructor(lock: HeldLock, ttlMs: number) {
    this.#lock = lock;
    this.#ttlMs = ttlMs;
    this.#termMs = Math.min(ttlMs / 4, 10_000);
    this.#killMs = Math.min(ttlMs / 20, 1000);
    this.#watchdog = new LeaseWatchdog();
    const stops = [
      onSignals(forwarded, (signal) => {
        this.#check();
        signalGroup(this.#leader, signal);
      }),
      // Ctrl-Z reaches only this process. The lease runs on meanwhile, and nothing renews it.
      onSignals(['SIGTSTP'], () => {
        signalGroup(this.#leader, 'SIGSTOP');
        process.kill(process.pid, 'SIGSTOP');
      }),
      onSignals(['SIGCONT'], () => {
        this.#check();
        signalGroup(this.#leader, 'SIGCONT');
      }),
    ];
    this.#stopListening = () => {
      for (const stop of stops) stop();
    };
  }

  /** Guards the group of this leader from now on. */
  guard(leader: number): void {
    this.#leader = leader;
    this.#watchdog.guard(leader);
    this.#lock.signal.addEventListener('abort', () => this.#check(), { once: true });
    this.#check();
  }

  /**
   * Ends the guard after the child has ended. If the lease is lost, waits first until the group is empty.
   * @returns how the lease was lost, if it was
   */
  async leaderEnded(): Promise<string | undefined> {
    this.#check();
    if (this.#lossMessage !== undefined) {
      while (signalGroup(this.#leader, 0)) {
        const polled = new Promise<void>((resolve) => void systemAfter(pollMs, resolve));
        if ((await Promise.race([polled.then(() => 'poll'), this.#killed.promise])) === undefined) break;
      }
    }
    this.release();
    return this.#lossMessage;
  }

  /** Ends the guard: no child is left, or none was started. */
  release(): void {
    this.#clearTimer();
    this.#stopListening();
    this.#watchdog.dismiss();
  }

  /** Compares lease and clock. It runs after a stop too, because timers do not see the time that passed. */
  #check(): void {
    this.#clearTimer();
    if (this.#lossMessage !== undefined) return this.#schedule();
    const left = this.#lock.remaining;
    const { aborted } = this.#lock.signal;
    if (!aborted && left > this.#termMs) {
      this.#watchdog.allow(left - this.#killMs);
      // Check more often than the deadline needs, to report renewals to the watchdog.
      this.#clearTimer = systemAfter(Math.min(left - this.#termMs, this.#ttlMs / 6), () => this.#check());
      return;
    }
    const reason: unknown = this.#lock.signal.aborted ? this.#lock.signal.reason : undefined;
    this.#lossMessage =
      reason instanceof Error
        ? reason.message
        : `The lock ${JSON.stringify(this.#lock.id)} could not be renewed, and ends within ${formatDuration(left)}.`;
    // A lease that is over by the clock leaves no time for a grace.
    const graceMs = this.#lock.state === 'lost' ? this.#killMs : Math.max(0, left - this.#killMs);
    this.#termSent = { at: systemLeaseClock.mark(), graceMs };
    signalGroup(this.#leader, 'SIGTERM');
    signalGroup(this.#leader, 'SIGCONT');
    this.#schedule();
  }

  #schedule(): void {
    if (this.#termSent === undefined) return;
    const leftMs = this.#termSent.graceMs - systemLeaseClock.since(this.#termSent.at);
    if (leftMs > 0) {
      this.#clearTimer = systemAfter(leftMs, () => this.#schedule());
      return;
    }
    signalGroup(this.#leader, 'SIGKILL');
    this.#killed.resolve();
  }
}
