/**
 * Keyspace notifications: each change of a key as a message on `__keyspace@0__:<key>` and `__keyevent@0__:<event>`. They
 * come from the journal, as event streams do: in order, and none is lost while the client is subscribed. One stream
 * serves all subscribers of an account at this front end.
 */
import type { AccountId } from '../../protocol/ids.ts';
import type { Cancelable, Dispatcher } from '../../router/dispatcher.ts';
import type { Channels } from './channels.ts';
import { bytesOf } from './writer.ts';

const start = '__key';

/** Whether a channel or a pattern is one of these. */
export function isKeyChannel(name: string): boolean {
  return name.startsWith(start);
}

/** A client that subscribes to changes of keys. */
export interface KeySubscriber {
  /** Of the selected database, which is a part of the names. */
  readonly index: number;
  /** Changes may have been missed: it must connect again. */
  lost(): void;
}

interface Followed {
  readonly subscribers: Set<KeySubscriber>;
  stream: Cancelable | undefined;
}

interface Change {
  readonly Key: string;
  readonly Deleted?: true;
  readonly Expired?: true;
}

export class KeyNotifications {
  readonly #dispatcher: Dispatcher;
  readonly #channels: Channels;
  readonly #accounts = new Map<AccountId, Followed>();

  constructor(dispatcher: Dispatcher, channels: Channels) {
    this.#dispatcher = dispatcher;
    this.#channels = channels;
  }

  follow(account: AccountId, subscriber: KeySubscriber): void {
    const followed = this.#accounts.get(account);
    if (followed !== undefined) return void followed.subscribers.add(subscriber);
    const fresh: Followed = { subscribers: new Set([subscriber]), stream: undefined };
    this.#accounts.set(account, fresh);
    fresh.stream = this.#dispatcher.streamPrefix(
      { account, prefix: '' },
      {
        commit: (_rev, events) => {
          for (const event of events) this.#tell(account, fresh, JSON.parse(event) as Change);
          return true;
        },
        ready: () => true,
        bookmark: () => true,
        end: () => this.#end(account, fresh),
      },
    );
  }

  leave(account: AccountId, subscriber: KeySubscriber): void {
    const followed = this.#accounts.get(account);
    if (followed === undefined) return;
    followed.subscribers.delete(subscriber);
    if (followed.subscribers.size > 0) return;
    this.#accounts.delete(account);
    followed.stream?.cancel();
  }

  #tell(account: AccountId, { subscribers }: Followed, { Key, Deleted, Expired }: Change): void {
    const event = Expired === true ? 'expired' : Deleted === true ? 'del' : 'set';
    const key = bytesOf(Key);
    for (const index of new Set([...subscribers].map((subscriber) => subscriber.index))) {
      this.#channels.deliver(account, `__keyspace@${index}__:${key}`, event, start);
      this.#channels.deliver(account, `__keyevent@${index}__:${event}`, key, start);
    }
  }

  #end(account: AccountId, followed: Followed): void {
    if (this.#accounts.get(account) === followed) this.#accounts.delete(account);
    for (const subscriber of followed.subscribers) subscriber.lost();
  }
}
