/**
 * The core of one shard on a plain map, with a clock that the test moves and an outbox that remembers everything.
 *
 * Each call is a turn of its own: time passes first, as in the actor. `advance` stops at every deadline on its way, as
 * the actor's timer does. `jump` only moves the clock, as if the thread had been busy.
 */
import { revision, shardId, type Revision } from '../../src/protocol/ids.ts';
import type { TransactionAnswer, KeyEvent } from '../../src/protocol/wire/shard-messages.ts';
import type { CommitRecord } from '../../src/protocol/record.ts';
import type { Reply } from '../../src/protocol/replies.ts';
import { LocalRevisions } from './local-revisions.ts';
import { defaultLimits, recordBytesMax, type Limits } from '../../src/shared/limits.ts';
import { apply, passTime } from '../../src/shard-worker/core/apply.ts';
import { tellDueTasks } from '../../src/shard-worker/core/operations/task-due.ts';
import type { CoreMessage } from '../../src/shard-worker/core/state/core-message.ts';
import type { Entries } from '../../src/protocol/entries.ts';
import type { Outbox, RequestRef } from '../../src/shard-worker/core/state/outbox.ts';
import type { Turn } from '../../src/shard-worker/core/state/turn.ts';
import { newShardState, type Boot, type ShardState } from '../../src/shard-worker/core/state/state.ts';
import { digestOf, MapEntries } from './map-entries.ts';
import type { Command } from '../../src/protocol/operations/operations.ts';
import { acme } from './commands.ts';
import { replyStatus } from './reply-status.ts';

export const startOfTime = 1_700_000_000_000;

/** The members that tests read. A test that reads an absent member fails by itself. */
export interface Body {
  readonly Rev: number;
  readonly Code: string;
  readonly Message: string;
  readonly Lock: number;
  readonly Till: number;
  readonly TillMs: number;
  readonly TTLMs: number;
  readonly Now: number;
  readonly Recover?: unknown;
  readonly Holder?: { readonly Meta?: unknown; readonly Till: number; readonly Since: number };
  readonly Waiters: number;
  readonly Why: string;
  readonly Atomic: readonly { readonly Key: string; readonly Value: number; readonly Old?: number }[];
  readonly KV: readonly { readonly Key: string; readonly Version: number; readonly Value?: unknown }[];
  readonly KVSet: readonly { readonly Key: string; readonly Version: number; readonly Deleted?: boolean }[];
  readonly Failed: readonly { readonly Field: string; readonly Code: string }[];
  readonly [member: string]: unknown;
}

export class Asked {
  readonly id: number;
  reply: Reply | undefined;
  /** The number of replies before this one. */
  order = -1;

  constructor(id: number) {
    this.id = id;
  }

  get waits(): boolean {
    return this.reply === undefined;
  }

  get status(): number {
    if (this.reply === undefined) throw new Error('there is no reply yet');
    return replyStatus(this.reply);
  }

  get body(): Body {
    if (this.reply === undefined) throw new Error('there is no reply yet');
    return JSON.parse(this.reply.body) as Body;
  }

  get code(): string {
    return this.status === 200 ? 'ok' : this.body.Code;
  }
}

export interface CoreOptions {
  readonly entries?: Entries;
  readonly limits?: Partial<Limits>;
  readonly boot?: Partial<Boot>;
  readonly revisions?: LocalRevisions;
  readonly now?: number;
  readonly recordBytesMax?: number;
}

export class CoreUnderTest implements Outbox {
  now: number;
  readonly entries: Entries;
  readonly revisions: LocalRevisions;
  readonly state: ShardState;
  readonly records: CommitRecord[] = [];
  readonly events: { readonly router: number; readonly event: KeyEvent }[] = [];
  readonly transactions: { readonly id: number; readonly answer: TransactionAnswer }[] = [];
  /** True: every revision is durable at once. False: when the test says so. */
  autoDurable = true;
  readonly #asked = new Map<number, Asked>();
  #ids = 0;
  #replies = 0;

  constructor(options: CoreOptions = {}) {
    this.now = options.now ?? startOfTime;
    this.entries = options.entries ?? new MapEntries();
    this.revisions = options.revisions ?? new LocalRevisions(revision(100));
    this.state = newShardState({
      shard: shardId(0),
      limits: { ...defaultLimits, ...options.limits },
      entries: this.entries,
      revisions: this.revisions,
      owns: () => true,
      recordBytesMax: options.recordBytesMax ?? recordBytesMax(64 * 1024 * 1024),
      boot: { epoch: 1, rev: revision(0), at: this.now, ...options.boot },
    });
  }

  /** Starts the server again on the same content. */
  restart(boot: Partial<Boot> = {}, options: CoreOptions = {}): CoreUnderTest {
    const rev = this.revisions.next();
    this.revisions.setDurable(rev);
    return new CoreUnderTest({
      entries: this.entries,
      revisions: this.revisions,
      now: this.now,
      boot: { epoch: this.state.boot.epoch + 1, rev, at: this.now, ...boot },
      ...options,
    });
  }

  ask(command: Command, router = 0): Asked {
    this.#ids += 1;
    const asked = new Asked(this.#ids);
    this.#asked.set(asked.id, asked);
    this.send({ kind: 'request', id: asked.id, command }, router);
    return asked;
  }

  /** Asks and expects success. */
  ok(command: Command): Body {
    const asked = this.ask(command);
    if (asked.waits || asked.status !== 200) throw new Error(`refused: ${asked.reply?.body ?? 'it waits'}`);
    return asked.body;
  }

  cancel(asked: Asked): void {
    this.send({ kind: 'cancel', id: asked.id, account: acme });
  }

  send(message: CoreMessage, router = 0): void {
    passTime(this.#turn());
    apply(this.#turn(), router, message);
    this.#goOn();
    tellDueTasks(this.#turn());
    this.#settle();
  }

  /** Does what the actor's timer does. */
  turn(): void {
    passTime(this.#turn());
    this.#goOn();
    tellDueTasks(this.#turn());
    this.#settle();
  }

  /** Hands the core what it has left for later. */
  #goOn(): void {
    const { ownMessages } = this.state;
    for (let own = ownMessages.shift(); own !== undefined; own = ownMessages.shift()) apply(this.#turn(), -1, own);
  }

  advance(ms: number): void {
    const end = this.now + ms;
    for (let at = this.#nextDeadline(); at <= end; at = this.#nextDeadline()) {
      this.now = Math.max(at, this.now);
      this.turn();
      if (this.#nextDeadline() <= this.now) break;
    }
    this.now = end;
    this.turn();
  }

  jump(ms: number): void {
    this.now += ms;
  }

  /** Digests the durable content and the revision counter, so that a revision that was taken in vain shows. */
  digest(): string {
    if (!(this.entries instanceof MapEntries)) throw new Error('only a map can be digested');
    return `${this.revisions.current()}\n${digestOf(this.entries.all())}`;
  }

  nextRevision(): Revision {
    return this.revisions.next();
  }

  record(commit: CommitRecord): void {
    this.records.push(commit);
  }

  reply(to: RequestRef, reply: Reply): void {
    if (to.router < 0) return;
    const asked = this.#asked.get(to.id);
    if (asked === undefined || asked.reply !== undefined) throw new Error(`request ${to.id} is answered twice`);
    asked.reply = reply;
    asked.order = this.#replies;
    this.#replies += 1;
  }

  event(router: number, event: KeyEvent): void {
    this.events.push({ router, event });
  }

  transaction(to: RequestRef, answer: TransactionAnswer): void {
    this.transactions.push({ id: to.id, answer });
  }

  #turn(): Turn {
    return { state: this.state, now: this.now, out: this };
  }

  #nextDeadline(): number {
    return Math.min(this.entries.nextDeadline(), this.state.timers.next());
  }

  #settle(): void {
    if (this.autoDurable) this.revisions.setDurable(this.revisions.current());
  }
}
