/**
 * Front ends ask each other for scripts: a client may load one over one connection and run it over another, which
 * another front end serves. And one whose script has lost against others' claims its keys: until it has ended, the
 * others begin no script that needs one of them.
 */
import { BroadcastChannel } from 'node:worker_threads';
import type { Footprint } from '../../../protocol/footprint.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import type { After } from '../../../shared/clock.ts';
import type { ScriptCache } from './script-cache.ts';

/** A front end that is busy for longer counts as one that does not have it. */
const answerMsMax = 1000;
/** No script takes longer, unless its front end stands still. */
const claimMsMax = 1000;

type Message = { readonly from: number } & (
  | { readonly kind: 'find'; readonly id: number; readonly account: string; readonly sha: string }
  | { readonly kind: 'clear'; readonly id: number; readonly account: string }
  | { readonly kind: 'claim'; readonly id: number; readonly account: AccountId; readonly names: readonly string[] }
  | { readonly kind: 'release'; readonly id: number }
  | { readonly kind: 'answer'; readonly id: number; readonly to: number; readonly source?: string | undefined }
);

interface Question {
  readonly done: (source: string | undefined) => void;
  readonly cancelTimer: () => void;
  left: number;
}

export interface ScriptExchangeOptions {
  /** The same in all front ends of a server, and in no other server of this process. */
  readonly boot: string;
  readonly index: number;
  readonly frontEnds: number;
  readonly cache: ScriptCache;
  readonly after: After;
  /** Begins no script that needs one of these names, until the function is called that it returns. */
  readonly withhold: (account: AccountId, footprint: Footprint) => () => void;
}

export class ScriptExchange {
  readonly #options: ScriptExchangeOptions;
  readonly #channel: BroadcastChannel | undefined;
  readonly #questions = new Map<number, Question>();
  /** What the others have claimed, by their numbers. */
  readonly #claims = new Map<string, () => void>();
  #nextId = 0;

  constructor(options: ScriptExchangeOptions) {
    this.#options = options;
    if (options.frontEnds === 1) return;
    this.#channel = new BroadcastChannel(`dragonlock scripts ${options.boot}`);
    this.#channel.addEventListener('message', (event) => this.#receive((event as { readonly data: Message }).data));
    (this.#channel as unknown as { unref(): void }).unref();
  }

  /** Asks the others for a script. */
  find(account: string, sha: string, done: (source: string | undefined) => void): void {
    this.#ask({ kind: 'find', account, sha }, done);
  }

  /** Has the others forget the scripts of an account. */
  clear(account: string, done: () => void): void {
    this.#ask({ kind: 'clear', account }, () => done());
  }

  /** @returns a function that ends the claim */
  claim(account: AccountId, { names }: Footprint): () => void {
    if (this.#channel === undefined) return () => {};
    this.#nextId += 1;
    const id = this.#nextId;
    const from = this.#options.index;
    this.#send({ kind: 'claim', id, from, account, names });
    return () => this.#send({ kind: 'release', id, from });
  }

  close(): void {
    this.#channel?.close();
    for (const { cancelTimer } of this.#questions.values()) cancelTimer();
  }

  #ask(
    question:
      | { readonly kind: 'find'; readonly account: string; readonly sha: string }
      | { readonly kind: 'clear'; readonly account: string },
    done: (source: string | undefined) => void,
  ): void {
    const { frontEnds, index, after } = this.#options;
    if (this.#channel === undefined) return done(undefined);
    this.#nextId += 1;
    const id = this.#nextId;
    const cancelTimer = after(answerMsMax, () => this.#end(id, undefined));
    this.#questions.set(id, { done, cancelTimer, left: frontEnds - 1 });
    this.#send({ ...question, id, from: index });
  }

  #send(message: Message): void {
    this.#channel!.postMessage(message);
  }

  #receive(message: Message): void {
    const { index, cache } = this.#options;
    const { from, id } = message;
    switch (message.kind) {
      case 'find':
        return this.#send({
          kind: 'answer',
          id,
          from: index,
          to: from,
          source: cache.get(message.account, message.sha),
        });
      case 'clear':
        cache.clear(message.account);
        return this.#send({ kind: 'answer', id, from: index, to: from });
      case 'claim':
        return this.#withhold(`${from} ${id}`, message);
      case 'release':
        return this.#claims.get(`${from} ${id}`)?.();
      case 'answer': {
        const question = message.to === index ? this.#questions.get(id) : undefined;
        if (question === undefined) return;
        question.left -= 1;
        if (message.source !== undefined || question.left === 0) this.#end(id, message.source);
      }
    }
  }

  #withhold(
    claim: string,
    { account, names }: { readonly account: AccountId; readonly names: readonly string[] },
  ): void {
    const give = this.#options.withhold(account, { names });
    const cancelTimer = this.#options.after(claimMsMax, () => this.#claims.get(claim)?.());
    this.#claims.set(claim, () => {
      this.#claims.delete(claim);
      cancelTimer();
      give();
    });
  }

  #end(id: number, source: string | undefined): void {
    const question = this.#questions.get(id);
    this.#questions.delete(id);
    question?.cancelTimer();
    question?.done(source);
  }
}
