/**
 * The actor: one shard, one turn at a time.
 *
 *   turn:  time passes → each message is applied in order → the turn's records go to the journal → replies go out
 *
 * A turn takes messages for a few milliseconds at most, from each account in turn (`FairQueue`), so that whatever one
 * account sends, the others wait for one turn and one message of its.
 *
 * It owns no thread and no port: the shard's thread feeds it from MessagePorts (shard-thread.ts), tests and the
 * simulator feed it by plain calls. When the journal is on another thread, replies leave before their records are
 * durable; the router's gate holds them until then.
 */
import { BucketCounter, turnSecondsBounds } from '../protocol/bucket-counter.ts';
import { assert } from '../shared/assert.ts';
import { tellDueTasks } from './core/operations/task-due.ts';
import { queueTotals } from './core/operations/queue-looks.ts';
import type { Clock } from '../shared/clock.ts';
import { serverAccount } from '../protocol/ids.ts';
import type { Journal } from '../protocol/journal.ts';
import type { FromShard, ToShard } from '../protocol/wire/shard-messages.ts';
import { ReplyCredit } from '../protocol/wire/reply-credit.ts';
import { RecordWriter } from '../protocol/record.ts';
import type { ShardStats } from '../protocol/stats.ts';
import { apply, passTime } from './core/apply.ts';
import { EpochExchange } from './epoch-exchange.ts';
import { accountOf, type CoreMessage } from './core/state/core-message.ts';
import type { ShardState } from './core/state/state.ts';
import type { Turn } from './core/state/turn.ts';
import { outOfSpace, reserveOnly, type StoreFullCode } from './out-of-space.ts';
import { emptyMail, TurnOutbox } from './turn-outbox.ts';
import { HeldWrites, type WritePressure } from './held-writes.ts';
import { FairQueue } from '../shared/fair-queue.ts';

/** Limits the messages of one turn, so that a flood is cut into group commits of bounded latency. */
const turnMessagesMax = 1024;
/** A turn takes no further message after this long: it may have met dear ones. */
const turnMicrosMax = 4000;
/** A turn ends early once its answers or records reach this size: each must fit into one message and into memory. */
const turnBytesMax = 4 * 1024 * 1024;
/** The actor retries this soon when something due cannot end yet: its key is held, or there is no space to write. */
const retryMs = 5;
/** The actor checks a congested front end again after this long. */
const congestedMs = 1;
/** The actor sleeps no longer than this, so that checkpoints are considered even when nothing happens. */
const sleepMsMax = 10 * 1000;

/** Decides when entries newer than the store's last checkpoint are written to it. */
export interface CheckpointSchedule {
  /** Reports the size of the records of one turn. */
  journalled(bytes: number): void;
  /** Starts a checkpoint when one is due. Called after each turn. */
  afterTurn(now: number): void;
  /** Checkpoints everything, for a clean stop. */
  finish(): Promise<void>;
  /** Returns what has to wait because clients write faster than checkpoints. */
  pressure(): WritePressure;
  /** Returns the code that writes are refused with while the store cannot take more. */
  full(): Exclude<StoreFullCode, 'overloaded'> | undefined;
  stats(): Pick<
    ShardStats,
    'memtableEntries' | 'memtableBytes' | 'stored' | 'checkpoints' | 'checkpointSeconds' | 'watermark'
  >;
}

export interface ActorOptions {
  readonly state: ShardState;
  readonly clock: Clock;
  readonly journal: Journal;
  readonly checkpoints: CheckpointSchedule;
  /** Hands a turn's results to a front end. */
  readonly send: (router: number, message: FromShard) => void;
  /**
   * Returns what must wait because front ends have yet to take what they were sent: `large`: requests of accounts that
   * have had large answers; `all`: every message.
   */
  readonly congestion: () => 'none' | 'large' | 'all';
  /** Returns the microseconds that this thread has worked, since an arbitrary moment. */
  readonly meter: () => number;
  /** Schedules a call of `turn` after `delayMs`; 0: after the events that are waiting now. Replaces the previous one. */
  readonly wake: (delayMs: number) => void;
  /** Asks the shard that counts epochs for one, which comes to `epochs.add`. */
  readonly askForEpoch?: () => void;
  /** Present if the journal is in this thread: routers then hear only from the actor what is durable. */
  readonly announce?: {
    readonly routers: number;
    /** Whether a router waits to hear of it. */
    readonly awaits: (router: number) => boolean;
    readonly onDurable: (listener: () => void) => void;
  };
}

interface Letter {
  /** The front end that sent it; −1: the core. */
  readonly router: number;
  readonly message: CoreMessage | Extract<ToShard, { kind: 'stats' }>;
  /** When it arrived. */
  readonly since: number;
}

export class ShardActor {
  readonly epochs: EpochExchange;
  readonly #options: ActorOptions;
  readonly #mailbox = new FairQueue<Letter>();
  readonly #held: HeldWrites;
  /** The front end that has asked the shard to close, and the number of its request. */
  #closing: { readonly router: number; readonly id: number } | undefined;
  readonly #records = new RecordWriter();
  readonly #turnOut: TurnOutbox;
  #commits = 0;
  #turns = 0;
  readonly #turnSeconds = new BucketCounter(turnSecondsBounds);
  #announced: number;
  #inTurn = false;

  constructor(options: ActorOptions) {
    this.#options = options;
    this.#held = new HeldWrites(options.state.limits.write_wait_ms);
    this.#turnOut = new TurnOutbox(options.state, this.#records);
    this.#announced = options.state.revisions.durable();
    this.epochs = new EpochExchange(options);
    // After a full disk the journal writes its backlog as soon as it finds space, outside of any turn.
    options.announce?.onDurable(() => {
      if (!this.#inTurn) this.#send();
    });
  }

  /** Puts messages into the mailbox. The caller makes sure that `turn` follows. */
  receive(router: number, messages: readonly ToShard[]): void {
    const since = this.#options.clock.now();
    for (const message of messages) {
      switch (message.kind) {
        case 'array':
          message.batches.forEach((batch, item) =>
            this.#mailbox.push(batch.account, {
              router,
              message: { kind: 'item', id: message.id, item, batch },
              since,
            }),
          );
          break;
        case 'close':
          this.#closing = { router, id: message.id };
          break;
        case 'stats':
          this.#mailbox.push(serverAccount, { router, message, since });
          break;
        default:
          this.#mailbox.push(accountOf(message), { router, message, since });
      }
    }
  }

  /** Writes wait for a checkpoint. */
  get holdsWrites(): boolean {
    return this.#mailbox.waiting > 0;
  }

  /** Takes one turn. Where more is left to do, it asks to be woken: at once, or when the front ends can take more. */
  turn(): void {
    const { state, clock, checkpoints, congestion, wake, meter } = this.#options;
    const congested = congestion();
    if (congested === 'all') return wake(congestedMs);
    if (congested === 'none') this.#mailbox.release();
    const now = clock.now();
    const started = meter();
    this.#turns += 1;
    this.#inTurn = true;
    const waits = !state.draining && this.#options.journal.space() === 'open';
    const pressure = waits ? checkpoints.pressure() : 'none';
    if (this.#held.begin(pressure, now, this.#mailbox.waiting)) this.#mailbox.releaseWaiting();
    state.outOfSpace = outOfSpace(this.#options);
    const turn = { state, now, out: this.#turnOut };
    const moreIsDue = passTime(turn);
    this.epochs.begin(turn);
    this.#keepOwnMessages();
    const left = this.#takeMessages(turn, congested === 'large');
    tellDueTasks(turn);
    this.#flush();
    this.epochs.end();
    if (this.#closing !== undefined && this.#mailbox.size === 0) this.#close(this.#closing);
    checkpoints.afterTurn(now);
    if (left === 'some' || moreIsDue) wake(0);
    else this.#sleep(now, left === 'none' ? sleepMsMax : congested === 'none' ? retryMs : congestedMs);
    this.#inTurn = false;
    this.#turnSeconds.observe((meter() - started) / 1e6);
  }

  /** @returns `some`: more messages can be taken at once; `held back`: all that are left wait for the front ends */
  #takeMessages(turn: Turn, congested: boolean): 'none' | 'some' | 'held back' {
    const { meter } = this.#options;
    const start = meter();
    this.#mailbox.beginTurn();
    let before = start;
    for (let taken = 0; this.#mailbox.size > 0; taken += 1) {
      const full = taken >= turnMessagesMax || this.#turnOut.length + this.#records.byteLength >= turnBytesMax;
      if (full || before - start >= turnMicrosMax) return 'some';
      // What is dear begins a turn of its own: those that were served before it in this one would wait for it.
      const left = taken === 0 ? Infinity : turnMicrosMax - (before - start);
      const letter = this.#mailbox.take(congested, this.#held.holds, left);
      if (letter === undefined) return this.#mailbox.isDear ? 'some' : 'held back';
      const length = this.#turnOut.length;
      this.#handle(turn, letter);
      this.#keepOwnMessages();
      const after = meter();
      this.#mailbox.charge(after - before, this.#turnOut.length - length >= ReplyCredit.small);
      before = after;
    }
    return 'none';
  }

  #handle(turn: Turn, letter: Letter): void {
    const { router, message } = letter;
    // The journal is not asked again for its space, which can change at any moment: the turn may hold records already.
    const before = turn.state.outOfSpace;
    if (this.#held.isLate(letter)) turn.state.outOfSpace ??= reserveOnly('overloaded');
    if (message.kind === 'stats') this.#turnOut.of(router).stats.push({ id: message.id, stats: this.#stats() });
    else apply(turn, router, message);
    turn.state.outOfSpace = before;
  }

  /** Puts what the core has left for later in front of the account's other messages. */
  #keepOwnMessages(): void {
    const { ownMessages } = this.#options.state;
    if (ownMessages.length === 0) return;
    for (const message of ownMessages) this.#mailbox.pushFirst(message.account, { router: -1, message, since: 0 });
    ownMessages.length = 0;
  }

  #flush(): void {
    const { journal, checkpoints, state } = this.#options;
    this.#commits += this.#records.count;
    if (this.#records.count > 0) {
      assert(state.outOfSpace?.space !== 'full', 'nothing is written when the journal has no space');
      checkpoints.journalled(this.#records.byteLength);
      journal.append(this.#records.take());
    }
    this.#send();
  }

  /** Sends mail, and the durable revision also to routers without mail that wait for it. */
  #send(): void {
    const { state, send, announce } = this.#options;
    const durable = state.revisions.durable();
    const mails = this.#turnOut.take();
    if (announce !== undefined && durable > this.#announced) {
      for (let router = 0; router < announce.routers; router += 1) {
        if (!mails.has(router) && announce.awaits(router)) mails.set(router, emptyMail());
      }
    }
    this.#announced = durable;
    for (const [router, mail] of mails) send(router, { durable, ...mail });
  }

  #sleep(now: number, most: number): void {
    const { state, wake } = this.#options;
    const at = Math.min(state.entries.nextDeadline(), state.timers.next(), state.tasks.nextAsked);
    wake(Math.min(at <= now ? retryMs : at - now, most));
  }

  #close({ router, id }: { readonly router: number; readonly id: number }): void {
    const { checkpoints, send, state } = this.#options;
    this.#closing = undefined;
    // A rejection stays unhandled on purpose: it takes the process down, as every storage error does.
    void checkpoints.finish().then(() => {
      send(router, { durable: state.revisions.durable(), ...emptyMail(), closed: [id] });
    });
  }

  #stats(): ShardStats {
    const { state, checkpoints } = this.#options;
    return {
      shard: state.shard,
      queued: this.#mailbox.size,
      waiters: state.waitQueues.size,
      blocked: state.blocked.size,
      locks: state.locks.snapshot(),
      watchedKeys: state.watched.size,
      commits: this.#commits,
      turns: this.#turns,
      turnSeconds: this.#turnSeconds.snapshot(),
      queues: queueTotals(state, this.#options.clock.now()),
      ...checkpoints.stats(),
    };
  }
}
