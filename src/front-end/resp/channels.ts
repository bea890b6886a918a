/**
 * Channels of one front end: who subscribes to what, and how a message gets to all of them. It is what it is in Redis:
 * who is not there does not get it. Names are of an account.
 *
 * Each front end knows its own subscribers. A message goes to the others over a `BroadcastChannel` of the process, and
 * each answers how many have got it, so that PUBLISH can tell. Messages of one connection arrive in their order.
 */
import { BroadcastChannel } from 'node:worker_threads';
import type { AccountId } from '../../protocol/ids.ts';
import { unreachable } from '../../shared/assert.ts';
import { matches } from './glob.ts';

/** Receives messages. */
export interface Subscriber {
  /** @param pattern by which it subscribes to the channel; absent: by the channel's name */
  message(channel: string, message: string, pattern?: string): void;
}

/** What one front end asks all: the answers are added up. */
export type ChannelQuestion =
  | { readonly kind: 'publish'; readonly account: AccountId; readonly channel: string; readonly message: string }
  | { readonly kind: 'channels'; readonly account: AccountId; readonly pattern: string }
  | { readonly kind: 'subscribers'; readonly account: AccountId; readonly channels: readonly string[] }
  | { readonly kind: 'patterns'; readonly account: AccountId };
type Answer = readonly (string | number)[];

type Sent =
  | { readonly to: 'all'; readonly from: number; readonly id: number; readonly question: ChannelQuestion }
  | { readonly to: number; readonly id: number; readonly answer: Answer };

interface Asked {
  readonly answers: Answer[];
  readonly done: (answers: readonly Answer[]) => void;
}

/** Each message is compared with all patterns of its account. */
export const patternsMax = 256;

class AccountChannels {
  readonly byName = new Map<string, Set<Subscriber>>();
  readonly byPattern = new Map<string, Set<Subscriber>>();
}

export class Channels {
  readonly #accounts = new Map<AccountId, AccountChannels>();
  readonly #index: number;
  readonly #others: number;
  readonly #bus: BroadcastChannel | undefined;
  readonly #asked = new Map<number, Asked>();
  #ids = 0;

  /** @param boot tells servers of one process apart */
  constructor(boot: string, index: number, frontEnds: number) {
    this.#index = index;
    this.#others = frontEnds - 1;
    if (this.#others === 0) return;
    this.#bus = new BroadcastChannel(`dragonlock-channels-${boot}`);
    this.#bus.unref();
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- only this way Node starts to read
    this.#bus.onmessage = (event): void => this.#receive((event as { readonly data: Sent }).data);
  }

  /** @returns false: the account has as many patterns as it may */
  subscribe(account: AccountId, what: 'byName' | 'byPattern', name: string, subscriber: Subscriber): boolean {
    let own = this.#accounts.get(account);
    if (own === undefined) this.#accounts.set(account, (own = new AccountChannels()));
    const subscribers = own[what].get(name);
    if (subscribers !== undefined) subscribers.add(subscriber);
    else if (what === 'byPattern' && own.byPattern.size >= patternsMax) return false;
    else own[what].set(name, new Set([subscriber]));
    return true;
  }

  unsubscribe(account: AccountId, what: 'byName' | 'byPattern', name: string, subscriber: Subscriber): void {
    const own = this.#accounts.get(account);
    const subscribers = own?.[what].get(name);
    if (own === undefined || subscribers === undefined) return;
    subscribers.delete(subscriber);
    if (subscribers.size === 0) own[what].delete(name);
    if (own.byName.size + own.byPattern.size === 0) this.#accounts.delete(account);
  }

  /**
   * Hands a message to the subscribers of this front end.
   *
   * @param start of the patterns that count
   * @returns how many have got it
   */
  deliver(account: AccountId, channel: string, message: string, start = ''): number {
    const own = this.#accounts.get(account);
    if (own === undefined) return 0;
    let count = 0;
    for (const subscriber of own.byName.get(channel) ?? []) {
      subscriber.message(channel, message);
      count += 1;
    }
    for (const [pattern, subscribers] of own.byPattern) {
      if (!pattern.startsWith(start) || !matches(pattern, channel)) continue;
      for (const subscriber of subscribers) subscriber.message(channel, message, pattern);
      count += subscribers.size;
    }
    return count;
  }

  /** Asks all front ends, this one included. Calls `done` with their answers, at once if there is no other. */
  ask(question: ChannelQuestion, done: (answers: readonly Answer[]) => void): void {
    const own = this.#answer(question);
    if (this.#bus === undefined) return done([own]);
    this.#ids += 1;
    this.#asked.set(this.#ids, { answers: [own], done });
    this.#bus.postMessage({ to: 'all', from: this.#index, id: this.#ids, question } satisfies Sent);
  }

  close(): void {
    this.#bus?.close();
  }

  #answer(question: ChannelQuestion): Answer {
    const own = this.#accounts.get(question.account);
    switch (question.kind) {
      case 'publish':
        return [this.deliver(question.account, question.channel, question.message)];
      case 'channels':
        return [...(own?.byName.keys() ?? [])].filter((name) => matches(question.pattern, name));
      case 'subscribers':
        return question.channels.map((name) => own?.byName.get(name)?.size ?? 0);
      case 'patterns':
        return [...(own?.byPattern.keys() ?? [])];
      default:
        return unreachable(question);
    }
  }

  #receive(sent: Sent): void {
    if (sent.to === 'all') {
      const answer = this.#answer(sent.question);
      return this.#bus!.postMessage({ to: sent.from, id: sent.id, answer } satisfies Sent);
    }
    const asked = sent.to === this.#index ? this.#asked.get(sent.id) : undefined;
    if (asked === undefined) return;
    asked.answers.push(sent.answer);
    if (asked.answers.length <= this.#others) return;
    this.#asked.delete(sent.id);
    asked.done(asked.answers);
  }
}
