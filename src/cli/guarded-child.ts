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
 * When this process is stopped (SIGSTOP) or killed, it cannot end the group: the watchdog does (lease-watchdog.ts). After
 * a suspend of the machine, timers go on as if no time had passed. So the guard looks at the clock several times a second.
 */
import { once } from 'node:events';
import type { LeaseClock, Mark } from '../client/lease-clock.ts';
import type { HeldLock } from '../client/lock.ts';
import { systemAfter, type After } from '../shared/clock.ts';
import { bootLeaseClock } from './boot-clock.ts';
import { exitCodes } from './exit-codes.ts';
import { formatDuration } from './format.ts';
import { LeaseWatchdog } from './lease-watchdog.ts';
import { exitCodeOfSignal, onSignals, signalGroup } from './signals.ts';
import type { Start } from './start-command.ts';

/** What a guard looks at: of a lock, or of a message that is out. */
export type GuardedLease = Pick<HeldLock, 'remaining' | 'signal' | 'state'>;

export interface GuardOptions {
  readonly lease: GuardedLease;
  /** How messages name it: `lock "a"`. */
  readonly name: string;
  readonly ttlMs: number;
  /** These are passed on to the group. */
  readonly forwarded: readonly NodeJS.Signals[];
}

export type ChildEnd =
  | { readonly kind: 'ended'; readonly exitCode: number }
  | { readonly kind: 'unstartable'; readonly exitCode: number; readonly message: string }
  | { readonly kind: 'lost'; readonly message: string };

/** What a command gets that stands for its child, unless they were ignored when it was started. */
export const forwardedSignals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH'] as const;
/** How often to check for processes in a group whose leader has ended. */
const pollMs = 20;

/** The longest time for which a command runs on after a suspend. */
const tickMs = 200;

export async function runGuarded(
  start: () => Start,
  {
    ignoredSignals,
    ...options
  }: Omit<GuardOptions, 'forwarded'> & {
    /** These were ignored when we were started, and stay so. */
    readonly ignoredSignals: readonly NodeJS.Signals[];
  },
): Promise<ChildEnd> {
  const forwarded = forwardedSignals.filter((signal) => !ignoredSignals.includes(signal));
  // Start the guard first, then the child.
  const group = new GuardedGroup({ ...options, forwarded });
  const { process: child, go } = start();
  if (child.pid === undefined) {
    group.release();
    const [error] = (await once(child, 'error')) as [NodeJS.ErrnoException];
    return { kind: 'unstartable', exitCode: exitCodes.cannotExecute, message: `Cannot run: ${error.message}` };
  }
  group.guard(child.pid);
  go();
  const stopListening = stopGroupsWithUs(ignoredSignals);
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  stopListening();
  const loss = await group.leaderEnded();
  if (loss !== undefined) return { kind: 'lost', message: loss };
  return { kind: 'ended', exitCode: code ?? exitCodeOfSignal(signal!) };
}

export interface GroupDependencies {
  readonly clock: LeaseClock;
  readonly after: After;
  readonly signalGroup: (leader: number, signal: NodeJS.Signals | 0) => boolean;
  readonly watchdog: Pick<LeaseWatchdog, 'guard' | 'allow' | 'dismiss'>;
}

/** All that this process guards. */
const groups = new Set<GuardedGroup>();

/**
 * Stops and continues all groups with this process: Ctrl-Z reaches only this one.
 * @param ignored signals that were ignored when it was started
 */
export function stopGroupsWithUs(ignored: readonly NodeJS.Signals[]): () => void {
  const stops = [
    onSignals(
      (['SIGTSTP'] as const).filter((signal) => !ignored.includes(signal)),
      () => {
        for (const group of groups) group.suspend();
        process.kill(process.pid, 'SIGSTOP');
      },
    ),
    onSignals(['SIGCONT'], () => {
      for (const group of groups) group.resume();
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

export class GuardedGroup {
  /** Process id of the child; 0: there is no child yet. */
  #leader = 0;
  readonly #lease: GuardedLease;
  readonly #name: string;
  readonly #termMs: number;
  readonly #killMs: number;
  readonly #dependencies: GroupDependencies;
  readonly #stopListening: () => void;
  #clearTimer: () => void = () => {};
  #lossMessage: string | undefined;
  /** When the group got SIGTERM, and how long it has until SIGKILL. */
  #termSent: { readonly at: Mark; readonly graceMs: number } | undefined;
  readonly #killed = Promise.withResolvers<void>();

  /** @param dependencies tests replace them */
  constructor({ lease, name, ttlMs, forwarded }: GuardOptions, dependencies?: GroupDependencies) {
    this.#lease = lease;
    this.#name = name;
    this.#termMs = Math.min(ttlMs / 4, 10_000);
    this.#killMs = Math.min(ttlMs / 20, 1000);
    this.#dependencies = dependencies ?? {
      clock: bootLeaseClock,
      after: systemAfter,
      signalGroup,
      watchdog: new LeaseWatchdog(ttlMs / 20),
    };
    this.#stopListening = onSignals(forwarded, (signal) => {
      this.#check();
      this.#dependencies.signalGroup(this.#leader, signal);
    });
    groups.add(this);
  }

  /** Stops the group, because this process is about to be stopped: the lease runs on, and nothing renews it. */
  suspend(): void {
    this.#dependencies.signalGroup(this.#leader, 'SIGSTOP');
  }

  /** Looks at the lease, then lets the group go on. */
  resume(): void {
    this.#check();
    this.#dependencies.signalGroup(this.#leader, 'SIGCONT');
  }

  /** Guards the group of this leader from now on. */
  guard(leader: number): void {
    this.#leader = leader;
    this.#dependencies.watchdog.guard(leader, this.#lease.remaining - this.#killMs);
    this.#lease.signal.addEventListener('abort', () => this.#check(), { once: true });
    this.#check();
  }

  /**
   * Ends the guard after the child has ended. If the lease is lost, waits first until the group is empty.
   * @returns how the lease was lost, if it was
   */
  async leaderEnded(): Promise<string | undefined> {
    this.#check();
    if (this.#lossMessage !== undefined) {
      while (this.#dependencies.signalGroup(this.#leader, 0)) {
        const polled = new Promise<void>((resolve) => void this.#dependencies.after(pollMs, resolve));
        if ((await Promise.race([polled.then(() => 'poll'), this.#killed.promise])) === undefined) break;
      }
    }
    this.release();
    return this.#lossMessage;
  }

  /** Ends the guard: no child is left, or none was started. */
  release(): void {
    groups.delete(this);
    this.#clearTimer();
    this.#stopListening();
    this.#dependencies.watchdog.dismiss();
  }

  /** Compares lease and clock. It runs after a stop too, because timers do not see the time that passed. */
  #check(): void {
    this.#clearTimer();
    if (this.#lossMessage !== undefined) return this.#schedule();
    const left = this.#lease.remaining;
    const { aborted } = this.#lease.signal;
    if (!aborted && left > this.#termMs) {
      this.#dependencies.watchdog.allow(left - this.#killMs);
      // A suspend is seen, and renewals are reported to the watchdog, between two of these.
      this.#clearTimer = this.#dependencies.after(Math.min(left - this.#termMs, tickMs), () => this.#check());
      return;
    }
    const reason: unknown = this.#lease.signal.aborted ? this.#lease.signal.reason : undefined;
    this.#lossMessage =
      reason instanceof Error
        ? reason.message
        : `The ${this.#name} could not be renewed, and ends within ${formatDuration(left)}.`;
    // A lease that is over by the clock leaves no time for a grace.
    const graceMs = this.#lease.state === 'lost' ? this.#killMs : Math.max(0, left - this.#killMs);
    this.#termSent = { at: this.#dependencies.clock.mark(), graceMs };
    this.#dependencies.signalGroup(this.#leader, 'SIGTERM');
    this.#dependencies.signalGroup(this.#leader, 'SIGCONT');
    this.#schedule();
  }

  #schedule(): void {
    if (this.#termSent === undefined) return;
    const leftMs = this.#termSent.graceMs - this.#dependencies.clock.since(this.#termSent.at);
    if (leftMs > 0) {
      this.#clearTimer = this.#dependencies.after(leftMs, () => this.#schedule());
      return;
    }
    this.#dependencies.signalGroup(this.#leader, 'SIGKILL');
    this.#killed.resolve();
  }
}
