/**
 * Tells the requests in flight on one TCP connection that it has closed. The request of a client that disconnects must
 * leave every queue at once, but a listener for each request would cost more than the request. So each socket has one
 * listener, and its requests in flight (more than one when a client pipelines) form a ring.
 *
 * A connection also counts for an account: that of its last request. So a proxy that sends the requests of many accounts
 * over one connection has one, and each connection counts once.
 */
import type { Socket } from 'node:net';
import type { Access, TokenHolder, TokenTable } from '../../access.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import type { AccountCounts, AccountUse } from '../../../router/account-counts.ts';
import { onSocketClose } from './on-socket-close.ts';

/** A request in flight on a connection: a link of the ring. */
export interface DisconnectListener {
  previous: DisconnectListener;
  next: DisconnectListener;
  /** It may wait for a lock or a change: no later request waits for its reply. */
  readonly waits: boolean;
  /** The connection has closed. */
  onDisconnect(): void;
}

const disconnectsKey = Symbol('disconnects');
type TrackedSocket = Socket & { [disconnectsKey]?: Disconnects };

export class Disconnects implements DisconnectListener, TokenHolder {
  previous: DisconnectListener = this;
  next: DisconnectListener = this;
  readonly waits = true;
  /** Called when a request has left the ring. */
  onLeave: (() => void) | undefined;
  readonly socket: Socket;
  access: Access | undefined;
  #tokens: TokenTable | undefined;
  #account: { readonly use: AccountUse; readonly counts: AccountCounts } | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
  }

  /** No client can read a reply: true once the end of the input has been read, some turns before `close`. */
  get disconnected(): boolean {
    return this.socket.destroyed || this.socket.readableEnded;
  }

  /** A request is in flight that does not wait for a lock or a change. */
  get awaitsReply(): boolean {
    let entry = this.next;
    while (entry !== this && entry.waits) entry = entry.next;
    return entry !== this;
  }

  static of(socket: Socket): Disconnects {
    const tracked = socket as TrackedSocket;
    return (tracked[disconnectsKey] ??= Disconnects.#track(tracked));
  }

  static #track(socket: Socket): Disconnects {
    const disconnects = new Disconnects(socket);
    if (!socket.destroyed) onSocketClose(socket, () => disconnects.onDisconnect());
    return disconnects;
  }

  /** The account of the last request; undefined before the first. */
  get account(): AccountId | undefined {
    return this.#account?.use.account;
  }

  /** Counts the connection for this account from now on. @returns false if the account has `max` connections already */
  belongsTo(account: AccountId, counts: AccountCounts, max: number): boolean {
    if (this.#account?.use.account === account || this.socket.destroyed) return true;
    const use = counts.use(account);
    if (!use.take('connections', max)) {
      counts.release(use);
      return false;
    }
    this.#leaveAccount();
    this.#account = { use, counts };
    return true;
  }

  #leaveAccount(): void {
    this.#account?.use.give('connections');
    this.#account?.counts.release(this.#account.use);
    this.#account = undefined;
  }

  /** The last request came by this token. */
  uses(access: Access, tokens: TokenTable): void {
    if (this.access === access || this.socket.destroyed) return;
    this.access = access;
    this.#tokens = tokens;
    tokens.hold(this);
  }

  /** What waits on the connection ends with it: nobody can say any more whether it happened. */
  tokenIsGone(): void {
    let entry = this.next;
    while (entry !== this && !entry.waits) entry = entry.next;
    if (entry !== this) this.socket.destroy();
  }

  add(entry: DisconnectListener): void {
    entry.previous = this.previous;
    entry.next = this;
    this.previous.next = entry;
    this.previous = entry;
  }

  /** Harmless for an entry that is not in the ring (its links lead to itself). */
  remove(entry: DisconnectListener): void {
    entry.previous.next = entry.next;
    entry.next.previous = entry.previous;
    entry.previous = entry;
    entry.next = entry;
    this.onLeave?.();
  }

  onDisconnect(): void {
    this.#leaveAccount();
    this.#tokens?.release(this);
    while (this.next !== this) {
      const entry = this.next;
      this.remove(entry);
      entry.onDisconnect();
    }
  }
}
