/** One moment in the contract model, as a command finds it, and what may come of the command. */
import type { anyNumber, Body, Span } from './expected.ts';
import type { Change, Entry, Kind } from './state.ts';

export interface Moment {
  readonly state: Contents;
  readonly now: Span;
  /** Of the commit; of a read, the revision that was read at. */
  readonly rev: number;
  /** The fence that a mutex gets if it is granted now. It is not a revision. */
  readonly mutexHandle: number;
  /** The reply to be explained, if there is one. The model takes from it only what no model can know. */
  readonly said: Body | undefined;
  /** Whether an entry that ends at `till` has ended. `maybe`: it may have ended before, nobody knows. */
  readonly over: (name: string, entry: Entry, till: Span, maybe: boolean) => boolean;
  /** How many wait for the lock or mutex of that name. */
  readonly waiters: (name: string) => number | typeof anyNumber;
  /** How many stand in line for it before the request; 0 if the model does not know the line. */
  readonly ahead: (name: string) => number;
}

/** What the model reads of its state. */
export interface Contents {
  get(name: string): Entry | undefined;
  /** Keys of one kind in the byte order of UTF-8, after `after` and with the prefix. */
  keys(kind: Kind, account: string, prefix: string, after: string | undefined): Iterable<string>;
}

export interface Outcome {
  readonly status: number;
  /** As in `expected.ts`. */
  readonly body: object;
  /** Empty: nothing was committed. */
  readonly changes: readonly Change[];
  readonly replayed?: true;
  /** For so long nobody is told. */
  readonly heldMs?: number;
}

/** The HTTP statuses of refusals; 409 unless it is listed here. */
const statuses: Readonly<Record<string, number>> = {
  invalid: 400,
  quota_exceeded: 507,
  not_found: 404,
  idempotency_mismatch: 422,
  draining: 503,
  limited: 429,
};

export function refuse(Code: string, details: object = {}): Outcome {
  return { status: statuses[Code] ?? 409, body: { Code, ...details }, changes: [] };
}

export function done(at: Moment, body: object, changes: readonly Change[] = []): Outcome {
  return { status: 200, body: { ...body, Rev: at.rev }, changes };
}

/** A batch under way: its changes, of which later operations see those to numbers, and what stands in its way. */
export class Turn {
  readonly at: Moment;
  readonly account: string;
  readonly failed: object[] = [];
  readonly changes = new Map<string, Entry | undefined>();

  constructor(at: Moment, account: string) {
    this.at = at;
    this.account = account;
  }

  fail(Field: string, Code: string, details: object): void {
    this.failed.push({ Field, Code, ...details });
  }

  /** As the operations before left it. */
  latest(name: string): Entry | undefined {
    return this.changes.has(name) ? this.changes.get(name) : this.at.state.get(name);
  }
}

/** What a noun adds to the reply of a batch: members of the body, or all of it if `format` is one of the noun's own. */
export type Performed =
  | { readonly members: object }
  /** Undefined: there is nothing to show, the reply is `not_found`. */
  | { readonly reply: object | undefined };
