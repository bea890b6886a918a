/** Adds to what shards say of an account's usage what front ends know: who waits and watches, and the limits. */
import type { AccountId } from '../../protocol/ids.ts';
import type { Amounts } from '../../protocol/quotas.ts';
import type { usageLimits } from '../../protocol/operations/usage.ts';
import { isFailure, type Reply } from '../../protocol/replies.ts';
import type { ReplySink } from '../../router/dispatcher.ts';
import type { Exchange } from './exchange.ts';
import type { RouteContext } from './route-context.ts';

/** What the reply of the shards has. */
interface Stored {
  readonly Bytes: number;
  readonly Entries: Readonly<Record<string, number>>;
  readonly Deleting?: true;
  readonly Rev: number;
}

export class UsageReply implements ReplySink {
  readonly bytes: number;
  readonly #exchange: Exchange;
  readonly #account: AccountId;
  readonly #context: RouteContext;

  constructor(exchange: Exchange, account: AccountId, context: RouteContext) {
    this.bytes = exchange.bytes;
    this.#exchange = exchange;
    this.#account = account;
    this.#context = context;
  }

  get disconnected(): boolean {
    return this.#exchange.disconnected;
  }

  deliver(reply: Reply): void {
    this.#exchange.deliver(isFailure(reply.outcome) ? reply : { ...reply, body: this.#completed(reply.body) });
  }

  #completed(body: string): string {
    const { Bytes, Entries, Deleting, Rev } = JSON.parse(body) as Stored;
    const { accounts, limits, quotas, rateLimiter } = this.#context;
    const use = accounts.use(this.#account);
    const quota = quotas.of(this.#account);
    /** As in config.yml: 0 is no limit. */
    const most = (name: keyof Amounts): number => {
      const max = quota?.[name] ?? Infinity;
      return max === Infinity ? 0 : max;
    };
    const Limits: Readonly<Record<keyof typeof usageLimits, number>> = {
      Bytes: most('bytes'),
      Entries: most('entries'),
      Messages: most('messages'),
      Tasks: most('tasks'),
      Waiters: use.limit('waiters', limits.account_waiters_max),
      Watchers: use.limit('watchers', limits.account_watchers_max),
      RequestsPerSecond: rateLimiter.rateOf(this.#account),
    };
    const [Waiters, Watchers] = [use.value('waiters'), use.value('watchers')];
    accounts.release(use);
    // Left out where it is undefined.
    return JSON.stringify({ Bytes, Entries, Deleting, Waiters, Watchers, Limits, Rev });
  }
}
