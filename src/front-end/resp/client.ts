/** What a client is to its commands: who it is, what it has set, and how it asks the server for something. */
import { accountId, accountPattern, revision, type AccountId } from '../../protocol/ids.ts';
import type { Command } from '../../protocol/operations/operations.ts';
import { startTimer } from '../../shared/clock.ts';
import { Refusal } from '../../protocol/refusal.ts';
import { failureReply, type Reply } from '../../protocol/replies.ts';
import { openAccess, requireScopes, type Access } from '../access.ts';
import { admission, defaultAccount } from './admission.ts';
import type { ClientState, RespClient, RespContext } from './command.ts';
import type { Output } from './output.ts';
import { RespError } from './resp-error.ts';
import { Subscriptions } from './subscriptions.ts';
import { Tails } from './tails.ts';
import { writers, type Writer } from './writer.ts';

/** What a client needs of its connection. */
export interface ClientConnection {
  readonly disconnected: boolean;
  readonly output: Pick<Output, 'bytes' | 'whenFree'>;
  /** Writes what is no reply, behind the replies to what was begun before. */
  push(text: string): void;
  destroy(): void;
  /** Begins nothing further, and closes when everything is answered. */
  end(): void;
  /** Answers what is in flight, then this error, then closes. */
  fail(message: string): void;
  /** Who the client is has changed. */
  onAccess(access: Access | undefined): void;
}

export class Client implements RespClient {
  readonly id: number;
  readonly context: RespContext;
  readonly address: string;
  readonly state: ClientState;
  readonly subscriptions: Subscriptions;
  readonly tails: Tails;
  writer: Writer = writers[2];
  access: Access | undefined;
  account: AccountId = defaultAccount;
  #baseAccount: AccountId = defaultAccount;
  readonly #connection: ClientConnection;
  readonly #whenClosed = new Set<() => void>();
  /** Ends the time in which it must log in. */
  #cancelLogin: (() => void) | undefined;

  constructor(context: RespContext, connection: ClientConnection, address: string) {
    this.id = context.nextClientId();
    this.context = context;
    this.address = address;
    this.#connection = connection;
    this.access = context.tokens.isOpen ? openAccess : undefined;
    this.state = newState(context.metrics.now());
    this.subscriptions = new Subscriptions(this);
    this.tails = new Tails(this);
    this.#expectLogin();
  }

  /** The account for which its bytes and its work count; empty before it has logged in. */
  get owner(): string {
    return this.access === undefined ? '' : this.account;
  }

  get unsentBytes(): number {
    return this.#connection.output.bytes;
  }

  get disconnected(): boolean {
    return this.#connection.disconnected;
  }

  logIn(name: string | undefined, token: string): void {
    const { access, account } = admission(this.context.tokens, name, token);
    this.#become(access, account);
    this.state.watched.clear();
    // Channels and what is followed are of an account.
    this.tails.clear();
    this.subscriptions.clear();
  }

  select(index: number): void {
    const account = index === 0 ? this.#baseAccount : accountId(`${this.#baseAccount}.${index}`);
    if (!accountPattern.test(account))
      throw new RespError('ERR DB index is out of range: the account’s name is too long');
    const { accounts } = this.access ?? openAccess;
    if (accounts !== '*' && !accounts.has(account))
      throw new RespError(`NOPERM this token may not use the account of database ${index}`);
    if (this.state.watched.size > 0) throw new RespError('ERR SELECT is not possible while keys are watched');
    if (this.subscriptions.count > 0) throw new RespError('ERR SELECT is not possible while subscribed');
    this.account = account;
    this.state.index = index;
  }

  setProtocol(protocol: 2 | 3): void {
    this.writer = writers[protocol];
  }

  push(text: string): void {
    this.#connection.push(text);
  }

  quit(): void {
    this.#connection.end();
  }

  reset(): void {
    const { since, watched } = this.state;
    this.tails.clear();
    this.subscriptions.clear();
    watched.clear();
    Object.assign(this.state, { ...newState(since), watched });
    this.writer = writers[2];
    this.#become(this.context.tokens.isOpen ? openAccess : undefined, defaultAccount);
  }

  ask(command: Command, done: (reply: Reply) => void): void {
    const { dispatcher, rateLimiter } = this.context;
    try {
      requireScopes(this.access ?? openAccess, command);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return done(failureReply(revision(0), error.failure));
    }
    rateLimiter.charge(command.account, 1);
    const connection = this.#connection;
    dispatcher.request(command, {
      get disconnected() {
        return connection.disconnected;
      },
      deliver: done,
    });
  }

  onClose(run: () => void): () => void {
    this.#whenClosed.add(run);
    return () => this.#whenClosed.delete(run);
  }

  whenFree(run: () => void): void {
    this.#connection.output.whenFree(run);
  }

  disconnect(): void {
    this.#connection.destroy();
  }

  /** The connection has closed. */
  closed(): void {
    this.#cancelLogin?.();
    this.tails.clear();
    this.subscriptions.clear();
    for (const run of this.#whenClosed) run();
    this.#whenClosed.clear();
  }

  #become(access: Access | undefined, account: AccountId): void {
    this.access = access;
    this.account = account;
    this.#baseAccount = account;
    this.state.index = 0;
    this.#connection.onAccess(access);
    this.#expectLogin();
  }

  /** A stranger may not keep one of the connections that the server has: strangers could keep all of them. */
  #expectLogin(): void {
    this.#cancelLogin?.();
    this.#cancelLogin = undefined;
    if (this.access !== undefined) return;
    const { loginMsMax } = this.context;
    const late = `NOAUTH expected AUTH within ${loginMsMax} ms (http.header_timeout_ms)`;
    this.#cancelLogin = startTimer(loginMsMax, () => this.#connection.fail(late), true);
  }
}

function newState(since: number): ClientState {
  return {
    name: '',
    libraryName: '',
    libraryVersion: '',
    index: 0,
    replies: 'on',
    queue: undefined,
    watched: new Map(),
    since,
    lastCommand: '',
  };
}
