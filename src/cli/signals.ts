/** Signals: who listens, and how a process that one has ended exits. */
import os from 'node:os';

/** A signal came while nothing was running yet. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly exitCode: number;

  constructor(signal: NodeJS.Signals) {
    super(`ended by ${signal}`);
    this.exitCode = exitCodeOfSignal(signal);
  }
}

/** As shells have it. */
export function exitCodeOfSignal(signal: NodeJS.Signals): number {
  return 128 + os.constants.signals[signal];
}

/** @returns how to stop listening */
export function onSignals(signals: readonly NodeJS.Signals[], run: (signal: NodeJS.Signals) => void): () => void {
  for (const signal of signals) process.on(signal, run);
  return () => {
    for (const signal of signals) process.off(signal, run);
  };
}

/** @returns false: there is no such group any more */
export function signalGroup(leader: number, signal: NodeJS.Signals | 0): boolean {
  // To the system, group 0 would be our own.
  if (leader <= 1) return false;
  try {
    process.kill(-leader, signal);
    return true;
  } catch (error) {
    // EPERM: somebody in it has become another user, and can be sent nothing.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
