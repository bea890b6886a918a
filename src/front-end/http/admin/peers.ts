/**
 * Questions of one front end to all: what is counted or kept in the memory of one thread, and what only the first front
 * end makes. They are asked when an administrator looks, and at no other time.
 */
import { BroadcastChannel } from 'node:worker_threads';
import { systemAfter } from '../../../shared/clock.ts';

/** A front end that does not answer in time is left out. */
const answerMsMax = 1000;

type Question = { readonly ask: string; readonly to: number | 'all'; readonly id: string; readonly about: unknown };
type Reply = { readonly reply: string; readonly from: number; readonly content: unknown };

export type PeerAnswer = (about: unknown) => unknown;

interface Pending {
  readonly answers: Map<number, unknown>;
  readonly expected: number;
  readonly done: () => void;
}

export interface PeersOptions {
  /** Of this start of the server: other servers of one process have their own. */
  readonly boot: string;
  readonly index: number;
  readonly frontEnds: number;
}

export class Peers {
  readonly #options: PeersOptions;
  readonly #channel: BroadcastChannel | undefined;
  readonly #answers = new Map<string, PeerAnswer>();
  readonly #pending = new Map<string, Pending>();
  #ids = 0;

  constructor(options: PeersOptions) {
    this.#options = options;
    if (options.frontEnds === 1) return;
    this.#channel = new BroadcastChannel(`dragonlock-admin-${options.boot}`);
    this.#channel.unref();
    this.#channel.addEventListener('message', (event) => {
      void this.#receive((event as { readonly data: Question | Reply }).data);
    });
  }

  /** Says how this front end answers a question. The answer may be a promise. */
  answer(question: string, answer: PeerAnswer): void {
    this.#answers.set(question, answer);
  }

  /** Asks all front ends, this one too. @returns what came in time, in the order of front ends */
  async askAll(question: string, about?: unknown): Promise<unknown[]> {
    const { index, frontEnds } = this.#options;
    const [own, others] = await Promise.all([
      this.#own(question, about),
      this.#send(question, 'all', frontEnds - 1, about),
    ]);
    return [...others.set(index, own)].toSorted(([a], [b]) => a - b).map(([, content]) => content);
  }

  /** Asks the first front end. @returns undefined: it did not answer in time */
  async askFirst(question: string, about?: unknown): Promise<unknown> {
    if (this.#options.index === 0) return this.#own(question, about);
    return (await this.#send(question, 0, 1, about)).get(0);
  }

  close(): void {
    this.#channel?.close();
  }

  async #own(question: string, about: unknown): Promise<unknown> {
    return this.#answers.get(question)?.(about);
  }

  #send(ask: string, to: number | 'all', expected: number, about: unknown): Promise<Map<number, unknown>> {
    const answers = new Map<number, unknown>();
    if (expected === 0 || this.#channel === undefined) return Promise.resolve(answers);
    this.#ids += 1;
    const id = `${this.#options.index}-${this.#ids}`;
    const { promise, resolve } = Promise.withResolvers<Map<number, unknown>>();
    const cancel = systemAfter(answerMsMax, () => this.#pending.get(id)?.done());
    const done = (): void => {
      this.#pending.delete(id);
      cancel();
      resolve(answers);
    };
    this.#pending.set(id, { answers, expected, done });
    this.#channel.postMessage({ ask, to, id, about } satisfies Question);
    return promise;
  }

  async #receive(message: Question | Reply): Promise<void> {
    if ('reply' in message) {
      const pending = this.#pending.get(message.reply);
      if (pending === undefined) return;
      pending.answers.set(message.from, message.content);
      if (pending.answers.size === pending.expected) pending.done();
      return;
    }
    const { index } = this.#options;
    if (message.to !== 'all' && message.to !== index) return;
    const content = await this.#own(message.ask, message.about);
    this.#channel?.postMessage({ reply: message.id, from: index, content } satisfies Reply);
  }
}
