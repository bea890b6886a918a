/** What one client subscribes to. Each subscription counts as a watcher of its account. */
import type { AccountId } from '../../protocol/ids.ts';
import type { AccountUse } from '../../router/account-counts.ts';
import type { Subscriber } from './channels.ts';
import type { ClientSubscriptions, RespClient } from './command.ts';
import { isKeyChannel, type KeySubscriber } from './key-notifications.ts';
import { refuseCommand } from './resp-error.ts';
import { bulk } from './writer.ts';

export class Subscriptions implements ClientSubscriptions, Subscriber, KeySubscriber {
  readonly byName = new Set<string>();
  readonly byPattern = new Set<string>();
  readonly #client: RespClient;
  #use: AccountUse | undefined;
  #account: AccountId | undefined;
  #index = 0;
  #keyChannels = 0;

  constructor(client: RespClient) {
    this.#client = client;
  }

  get count(): number {
    return this.byName.size + this.byPattern.size;
  }

  get index(): number {
    return this.#index;
  }

  /** @throws RespError */
  add(kind: 'byName' | 'byPattern', name: string): void {
    if (this[kind].has(name)) return;
    const { context, account, state } = this.#client;
    const { limits, accounts, channels, keyNotifications } = context;
    this.#use ??= accounts.use(account);
    this.#account = this.#use.account;
    this.#index = state.index;
    const most = limits.account_watchers_max;
    if (!this.#use.take('watchers', most)) {
      this.#releaseIfEmpty();
      return refuseCommand(
        `TRYAGAIN ${this.#use?.limit('watchers', most) ?? most} watchers and subscriptions of this account (limits.account_watchers_max)`,
      );
    }
    if (!channels.subscribe(this.#account, kind, name, this)) {
      this.#use.give('watchers');
      this.#releaseIfEmpty();
      return refuseCommand('TRYAGAIN this account has as many patterns at this front end as it may have');
    }
    this[kind].add(name);
    if (!isKeyChannel(name)) return;
    this.#keyChannels += 1;
    if (this.#keyChannels === 1) keyNotifications.follow(this.#account, this);
  }

  remove(kind: 'byName' | 'byPattern', name: string): void {
    if (!this[kind].delete(name)) return;
    const { channels, keyNotifications } = this.#client.context;
    channels.unsubscribe(this.#account!, kind, name, this);
    this.#use!.give('watchers');
    if (isKeyChannel(name)) {
      this.#keyChannels -= 1;
      if (this.#keyChannels === 0) keyNotifications.leave(this.#account!, this);
    }
    this.#releaseIfEmpty();
  }

  clear(): void {
    for (const kind of ['byName', 'byPattern'] as const) for (const name of this[kind]) this.remove(kind, name);
  }

  message(channel: string, message: string, pattern?: string): void {
    const { writer } = this.#client;
    const items =
      pattern === undefined
        ? [bulk('message'), bulk(channel), bulk(message)]
        : [bulk('pmessage'), bulk(pattern), bulk(channel), bulk(message)];
    this.#client.push(writer.push(items));
  }

  lost(): void {
    this.#client.disconnect();
  }

  #releaseIfEmpty(): void {
    if (this.count > 0 || this.#use === undefined) return;
    this.#client.context.accounts.release(this.#use);
    this.#use = undefined;
  }
}
