/**
 * Gives locks back when a signal ends the process, for clients and stores that opted in (`releaseOnSignals`).
 *
 *     signal ─► the signals of held locks fire ─► all is released, within 3 s ─► ended by the same signal
 *                                                  │                              └─ unless the application listens too
 *                                                  └─ a second signal: ended at once
 *
 * The listeners are there only as long as a client needs them. A process has one set of them, for all its clients.
 */
import os from 'node:os';
import { ClosedError, DragonLockError, ReleasedError } from './errors.ts';

/** Gives back everything, within a bound, and never rejects. */
export type GiveBack = (reason: ReleasedError) => Promise<void>;

const endingSignals = ['SIGTERM', 'SIGINT'] as const;
type EndingSignal = (typeof endingSignals)[number];

const givers = new Set<GiveBack>();
let ending = false;

/** Calls `giveBack` once such a signal comes. @returns a function that takes it off again */
export function onEndingSignal(giveBack: GiveBack): () => void {
  // In front of the others: a listener for one signal is gone once it has been called.
  if (givers.size === 0) for (const signal of endingSignals) process.prependListener(signal, onSignal);
  givers.add(giveBack);
  return () => {
    // The listeners stay until the process has ended: without one, the next signal would end it too early.
    if (!givers.delete(giveBack) || givers.size > 0 || ending) return;
    stopListening();
  };
}

function stopListening(): void {
  for (const signal of endingSignals) process.off(signal, onSignal);
}

function onSignal(signal: EndingSignal): void {
  // The second one is of somebody who does not want to wait. An application that listens decides for itself.
  const isOurs = !othersListen(signal);
  if (ending) {
    if (isOurs) endBy(signal);
    return;
  }
  ending = true;
  if (isOurs) process.on('uncaughtException', onUncaught);
  const reason = new ReleasedError(`The lock was released, because the process received ${signal}.`);
  void Promise.allSettled([...givers].map((giveBack) => giveBack(reason))).then(() => {
    ending = false;
    // An application that listens, or has begun to, lives on.
    if (isOurs && !othersListen(signal)) endBy(signal);
    process.off('uncaughtException', onUncaught);
    if (givers.size === 0) stopListening();
  });
}

function othersListen(signal: EndingSignal): boolean {
  return process.listeners(signal).some((listener) => listener !== onSignal);
}

/** Ends the process as the signal would have ended it. */
function endBy(signal: EndingSignal): void {
  stopListening();
  process.kill(process.pid, signal);
  // The kernel keeps a signal without a listener from the first process of a container.
  if (process.pid === 1) process.exit(128 + os.constants.signals[signal]);
}

/**
 * A section that fails because its lock is being given back must not end the process with an exit code, while other
 * locks are still being given back.
 */
function onUncaught(error: unknown): void {
  if (isOfShutdown(error)) return;
  process.off('uncaughtException', onUncaught);
  setImmediate(() => {
    throw error;
  });
}

function isOfShutdown(error: unknown): boolean {
  if (error instanceof ReleasedError || error instanceof ClosedError) return true;
  return error instanceof Error && !(error instanceof DragonLockError) && isOfShutdown(error.cause);
}
