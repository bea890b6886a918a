/** Signals: listening to them, sending them to a group, and the exit code of a process that a signal has ended. */
import os from 'node:os';

/** A signal came before the child was started. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly exitCode: number;

  constructor(signal: NodeJS.Signals) {
    super(`ended by ${signal}`);
    this.exitCode = exitCodeOfSignal(signal);
  }
}

/** The exit code that a shell reports. */
export function exitCodeOfSignal(signal: NodeJS.Signals): number {
  return 128 + os.constants.signals[signal];
}

/** Calls `run` for each of the signals. @returns a function that stops listening */
export function onSignals(signals: readonly NodeJS.Signals[], run: (signal: NodeJS.Signals) => void): () => void {
  for (const signal of signals) process.on(signal, run);
  return () => {
    for (const signal of signals) process.off(signal, run);
  };
}

/** Node has reset these: without a listener they would end or stop this process. */
const resettable: readonly NodeJS.Signals[] = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGTERM',
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGTSTP',
  'SIGTTIN',
  'SIGTTOU',
  'SIGXCPU',
];

/** Goes on ignoring the signals that were ignored when this process was started. */
export function keepIgnoring(ignored: readonly NodeJS.Signals[]): void {
  const reset = resettable.filter((signal) => ignored.includes(signal));
  onSignals(reset, () => undefined);
}

/** Sends a signal to a process group; 0 only checks for it. @returns false if there is no such group any more */
export function signalGroup(leader: number, signal: NodeJS.Signals | 0): boolean {
  // Group 0 would be our own group.
  if (leader <= 1) return false;
  try {
    process.kill(-leader, signal);
    return true;
  } catch (error) {
    // EPERM: a process of the group runs as another user, and cannot be signalled.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
