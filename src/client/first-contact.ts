/**
 * First contact: before its first call the client asks the server's version, so that a wrong URL or an old server is
 * reported in one clear line. All calls share the question, and it is asked again until a server answers. Each call
 * waits for the answer only as long as it would wait for its own reply. Once no call waits any more, the client stops
 * asking.
 */
import { DragonLockError, type ClosedError } from './errors.ts';
import type { PendingCall } from './pending-call.ts';
import { backoffMs, isTransient } from './retry.ts';
import { TransportError } from './transport.ts';

export interface FirstContactOptions {
  /** Asks once. @throws TransportError if no server replied, a DragonLockError if a server is not the right one */
  ask(signal: AbortSignal): Promise<void>;
  pause(delayMs: number, signal: AbortSignal): Promise<void>;
  /** Calls `run` when the call's time is up. Returns a function that cancels it. */
  atDeadline(pending: PendingCall, run: () => void): () => void;
  /** The error of a call that has had no reply. */
  lostError(pending: PendingCall, cause: Error): DragonLockError;
  readonly random: () => number;
}

interface Question {
  readonly answered: Promise<void>;
  readonly stop: AbortController;
  waiting: number;
  /** Of the last attempt. */
  failure: DragonLockError | TransportError | undefined;
}

export class FirstContact {
  made = false;
  readonly #options: FirstContactOptions;
  #question: Question | undefined;

  constructor(options: FirstContactOptions) {
    this.#options = options;
  }

  /**
   * Resolves once a server has answered, or all of the calls are settled because their time was up.
   * @throws the signal's reason of a single call; a DragonLockError if the server is not the right one
   */
  async waitFor(calls: readonly PendingCall[]): Promise<void> {
    const signal = calls.length === 1 ? calls[0]!.call.signal : undefined;
    signal?.throwIfAborted();
    const question = (this.#question ??= this.#newQuestion());
    const over = Promise.withResolvers<void>();
    const giveUp = (): void => over.reject(signal?.reason);
    const clears = calls.map((pending) =>
      this.#options.atDeadline(pending, () => {
        this.#rejectLost(
          [pending],
          question.failure ?? new TransportError(new Error('no reply in time'), false, false),
        );
        if (calls.every(({ settled }) => settled)) over.resolve();
      }),
    );
    signal?.addEventListener('abort', giveUp, { once: true });
    question.waiting += 1;
    try {
      await Promise.race([question.answered, over.promise]);
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      this.#rejectLost(calls, error);
    } finally {
      for (const clear of clears) clear();
      signal?.removeEventListener('abort', giveUp);
      question.waiting -= 1;
      if (question.waiting === 0) this.#stop(question, new Error('no call waits for it'));
    }
  }

  close(reason: ClosedError): void {
    if (this.#question !== undefined) this.#stop(this.#question, reason);
  }

  #newQuestion(): Question {
    const stop = new AbortController();
    const answer = Promise.withResolvers<void>();
    // Each waiting call sees the error. If none waits, it concerns nobody.
    answer.promise.catch(() => undefined);
    const question: Question = { answered: answer.promise, stop, waiting: 0, failure: undefined };
    void this.#ask(question).then(answer.resolve, answer.reject);
    return question;
  }

  #stop(question: Question, reason: Error): void {
    // A call that comes now asks anew.
    if (this.#question === question) this.#question = undefined;
    question.stop.abort(reason);
  }

  async #ask(question: Question): Promise<void> {
    const { signal } = question.stop;
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#options.ask(signal);
        this.made = true;
        return;
      } catch (error) {
        const transient =
          error instanceof TransportError
            ? !error.permanent
            : error instanceof DragonLockError && isTransient(error.code);
        if (!transient) {
          this.#stop(question, error as Error);
          throw error;
        }
        question.failure = error as DragonLockError | TransportError;
      }
      await this.#options.pause(backoffMs(attempt, 0, this.#options.random()), signal);
    }
  }

  #rejectLost(calls: readonly PendingCall[], error: DragonLockError | TransportError): void {
    for (const pending of calls) {
      if (pending.settled) continue;
      pending.reject(error instanceof TransportError ? this.#options.lostError(pending, error) : error);
    }
  }
}
