/**
 * What a command is: a row of the table (`command-table.ts`), and the plan that it makes of its arguments. A plan says
 * what to do, and how its outcome is written; `connection.ts` does it, alone or as a part of a transaction.
 */
import type { AccountId } from '../../protocol/ids.ts';
import type { IdempotencyOptions } from '../../protocol/operations/idempotency.ts';
import type { Command } from '../../protocol/operations/operations.ts';
import type { CheckOperation } from '../../protocol/operations/kv.ts';
import type { GuardOperation } from '../../protocol/operations/lock.ts';
import type { StringOp, StringOpResult } from '../../protocol/operations/string-op.ts';
import type { ErrorCode } from '../../protocol/errors.ts';
import type { Reply } from '../../protocol/replies.ts';
import type { Cancelable } from '../../router/dispatcher.ts';
import type { Access } from '../access.ts';
import type { RouteContext } from '../http/route-context.ts';
import type { TurnEnd } from '../turn-end.ts';
import type { Channels } from './channels.ts';
import type { KeyNotifications } from './key-notifications.ts';
import type { ScanCursors } from './scan-cursors.ts';
import type { ScriptCall, ScriptPart } from './scripts/script-messages.ts';
import type { Writer } from './writer.ts';

/** Part of a batch: alone, or with the other commands of a transaction. */
export interface OpsPlan {
  readonly kind: 'ops';
  readonly ops: readonly StringOp[];
  /** Writes the reply; the results are those of `ops`. */
  readonly write: (results: readonly StringOpResult[], writer: Writer) => string;
  /** Conditions of the whole batch. If one fails, nothing is done, and `failed` writes the reply. */
  readonly check?: readonly CheckOperation[];
  readonly guard?: readonly GuardOperation[];
  /** The reply when the batch has failed so; absent, or undefined: an error. */
  readonly failed?: (code: ErrorCode, writer: Writer) => string | undefined;
  /** The batch is done once under these ids. */
  readonly idempotency?: IdempotencyOptions;
  /** It is a script that is known, and would be run so. */
  readonly script?: ScriptCall;
}

/** The reply is known at once. */
export interface TextPlan {
  readonly kind: 'text';
  readonly text: string;
}

/** One command of the server with a reply of its own. */
export interface CommandPlan {
  readonly kind: 'command';
  readonly command: Command;
  /** Writes the reply to a success. */
  readonly write: (body: string, writer: Writer) => string;
  /** As in `OpsPlan`. */
  readonly failed?: (code: ErrorCode, writer: Writer) => string | undefined;
}

/** Several steps. The commands behind it on its connection wait until it calls `done`, once. */
export interface StepsPlan {
  readonly kind: 'steps';
  /** It waits for others, not for the server: its client is let go as soon as it hangs up. */
  readonly waits?: boolean;
  /** It runs a script, which a transaction runs among its other commands. Without a source: perhaps others know it. */
  readonly script?: Omit<ScriptCall, 'source'> & { readonly source?: string };
  readonly start: (client: RespClient, done: (text: string) => void) => Cancelable | undefined;
}

export type Plan = OpsPlan | TextPlan | CommandPlan | StepsPlan;

export type Group =
  | 'connection'
  | 'server'
  | 'string'
  | 'generic'
  | 'transactions'
  | 'pubsub'
  | 'scripting'
  | 'dragonlock';
export type Flag =
  | 'write'
  | 'readonly'
  | 'denyoom'
  | 'fast'
  | 'loading'
  | 'stale'
  | 'noscript'
  | 'blocking'
  | 'pubsub'
  | 'no_auth'
  | 'admin'
  | 'allow_busy'
  | 'movablekeys';

/** First and last argument that is a key, and the step between two; a negative last counts from the end. */
export type KeyRange = readonly [first: number, last: number, step: number];

export interface RespCommandSpec {
  /** In small letters. */
  readonly name: string;
  /** The number of arguments with the name; negative: at least so many. */
  readonly arity: number;
  readonly flags: readonly Flag[];
  readonly keys?: KeyRange;
  /** Finds the keys where they have no fixed place. */
  readonly keysIn?: (args: readonly string[]) => readonly string[];
  readonly group: Group;
  readonly summary: string;
  /** The arguments, for people. */
  readonly usage: string;
  /** What is not as in Redis; absent: nothing that a client would notice. */
  readonly differs?: string;
  /** The token scope that it needs; `none`: not even a token. */
  readonly scope: 'none' | 'any' | 'read' | 'write' | 'force';
  /** It has no place in a transaction. */
  readonly alone?: true;
  /** In a transaction it decides about all of it: if it cannot be done, nothing is. */
  readonly decides?: true;
  /** It is done at once even within MULTI. */
  readonly immediate?: true;
  /** The client may send it while it is subscribed, in RESP2. */
  readonly subscribed?: true;
  readonly subcommands?: readonly string[];
  /** @param args begin with the name. @throws RespError */
  readonly plan: (args: readonly string[], client: RespClient) => Plan;
}

/** Scripts, alone or in a transaction, and on what conditions they are done. */
export interface ScriptTransaction {
  readonly parts: readonly ScriptPart[];
  /** The keys of all parts. */
  readonly keys: readonly string[];
  /** Absent: one script, whose reply is no list. */
  readonly transaction?: {
    /** Versions of keys that the client watches: if one is another by now, nothing is done and the reply is nil. */
    readonly watched: readonly (readonly [key: string, version: number])[];
    readonly guard: readonly GuardOperation[];
  };
}

/** Runs scripts and knows those that were loaded, see `scripts/scripts.ts`. */
export interface ScriptRunner {
  /** Returns the source of a script that this front end knows. */
  known(account: string, sha: string): string | undefined;
  /** Remembers the source of a script that is run. */
  add(account: string, sha: string, source: string): void;
  /** Asks the other front ends, too. */
  find(account: string, sha: string, done: (source: string | undefined) => void): void;
  /** @param done is given the error of a source that is wrong */
  load(client: RespClient, source: string, done: (wrong: string | undefined, sha: string) => void): void;
  clear(account: string, done: () => void): void;
  run(client: RespClient, transaction: ScriptTransaction, done: (text: string) => void): void;
}

/** What all connections of one door share. */
export interface RespContext
  extends Pick<
    RouteContext,
    | 'dispatcher'
    | 'limits'
    | 'lifecycle'
    | 'rateLimiter'
    | 'tokens'
    | 'machines'
    | 'accounts'
    | 'metrics'
    | 'unread'
    | 'arriving'
    | 'turns'
    | 'serverTime'
    | 'clock'
    | 'targets'
    | 'version'
    | 'boot'
    | 'log'
    | 'nextRequestId'
  > {
  readonly commands: ReadonlyMap<string, RespCommandSpec>;
  readonly clients: ReadonlySet<RespClient>;
  readonly cursors: ScanCursors;
  /** Where the connections of this door write. */
  readonly turnEnd: TurnEnd;
  readonly channels: Channels;
  readonly keyNotifications: KeyNotifications;
  readonly scripts: ScriptRunner;
  /** Bytes of replies that one client may leave unread. */
  readonly unreadBytesMax: number;
  /** Milliseconds in which a client must log in. */
  readonly loginMsMax: number;
  readonly port: () => number;
  readonly nextClientId: () => number;
}

/** A connection as its commands see it. */
export interface RespClient {
  readonly id: number;
  readonly context: RespContext;
  readonly writer: Writer;
  readonly access: Access | undefined;
  /** The account of the selected database. */
  readonly account: AccountId;
  readonly state: ClientState;
  readonly subscriptions: ClientSubscriptions;
  readonly tails: ClientTails;
  /** Bytes that wait for the client. */
  readonly unsentBytes: number;
  /** Calls once when the client has taken more; never if it disconnects. */
  whenFree(run: () => void): void;
  readonly address: string;
  readonly disconnected: boolean;
  /** Logs in, or changes nothing and throws. @throws RespError */
  logIn(name: string | undefined, token: string): void;
  select(index: number): void;
  setProtocol(protocol: 2 | 3): void;
  /** Writes something that is no reply, in its order. */
  push(text: string): void;
  /** Closes the connection when everything before is written. */
  quit(): void;
  reset(): void;
  /** Closes the connection now. */
  disconnect(): void;
  /** Has a part of the server done for this client; the reply comes while it is connected. */
  ask(command: Command, done: (reply: Reply) => void): void;
  onClose(run: () => void): () => void;
}

/** What a client listens to; `Subscriptions` implements it. */
export interface ClientSubscriptions {
  readonly byName: ReadonlySet<string>;
  readonly byPattern: ReadonlySet<string>;
  readonly count: number;
  /** @throws RespError */
  add(kind: 'byName' | 'byPattern', name: string): void;
  remove(kind: 'byName' | 'byPattern', name: string): void;
  clear(): void;
}

/** What a client follows; `Tails` implements it. */
export interface ClientTails {
  follow(account: AccountId, prefix: string, after: number): void;
  end(prefix: string): boolean;
}

/** What a client has set. */
export interface ClientState {
  name: string;
  libraryName: string;
  libraryVersion: string;
  index: number;
  replies: 'on' | 'off' | 'skip next' | 'skip';
  /** Commands of the transaction under way. */
  queue: QueuedCommands | undefined;
  /** Versions of the keys that it watches. */
  readonly watched: Map<string, number>;
  readonly since: number;
  lastCommand: string;
}

export interface QueuedCommands {
  readonly commands: { readonly spec: RespCommandSpec; readonly args: readonly string[] }[];
  bytes: number;
  /** A command was refused: EXEC does nothing. */
  refused: boolean;
}

/** Whether a command may have so many arguments, its name included. */
export function fitsArity({ arity }: RespCommandSpec, count: number): boolean {
  return arity >= 0 ? count === arity : count >= -arity;
}

export function text(reply: string): TextPlan {
  return { kind: 'text', text: reply };
}
