/**
 * The actor: one shard, one turn at a time.
 *
 *   turn:  time passes → each message is applied in order → the turn's records go to the journal → replies go out
 *
 * It owns no thread and no port: the shard's thread feeds it from MessagePorts (shard-thread.ts), tests and the
 * simulator feed it by plain calls. When the journal is on another thread, replies leave before their records are
 * durable; the router's gate holds them until then.
 */
import { assert } from '../shared/assert.ts';
import type { Clock } from '../shared/clock.ts';
import type { Revision } from '../protocol/ids.ts';
import type { Journal } from '../protocol/journal.ts';
import { failure } from '../protocol/errors.ts';
import type {
  Answer,
  TransactionAnswer,
  FromShard,
  ItemReply,
  KeyEvent,
  ToShard,
} from '../protocol/wire/shard-messages.ts';
import { answerLength } from '../protocol/wire/shard-wire.ts';
import { lastRevision, noRevisionsLeft } from '../protocol/last-revision.ts';
import { RecordWriter, type CommitRecord } from '../protocol/record.ts';
import type { Reply } from '../protocol/replies.ts';
import type { ShardStats } from '../protocol/stats.ts';
import { apply, passTime } from './core/apply.ts';
import { EpochExchange } from './epoch-exchange.ts';
import type { CoreMessage } from './core/state/core-message.ts';
import type { Outbox, RequestRef } from './core/state/outbox.ts';
import type { ShardState } from './core/state/state.ts';

/** Limits the messages of one turn, so that a flood is cut into group commits of bounded latency. */
const turnMessagesMax = 1024;
/** A turn ends early once its answers or records reach this size: each must fit into one message and into memory. */
const turnBytesMax = 4 * 1024 * 1024;
/** The actor retries this soon when something due cannot end yet: its key is held, or there is no space to write. */
const retryMs = 5;
/** The actor checks a congested front end again after this long. */
const congestedMs = 1;
/** The actor sleeps no longer than this, so that checkpoints are considered even when nothing happens. */
const sleepMsMax = 10 * 1000;

const storeFullMessages = {
  disk_full: 'There is no disk space for the store. Reads, unlocks and deletes are still served.',
  quota_exceeded: 'The store has reached limits.store_bytes_max. Reads, unlocks and deletes are still served.',
  overloaded: 'Writes come faster than checkpoints can be written; try again soon.',
} as const;

/** Decides when entries newer than the store's last checkpoint are written to it. */
export interface CheckpointSchedule {
  /** Reports the size of the records of one turn. */
  journalled(bytes: number): void;
  /** Starts a checkpoint when one is due. Called after each turn. */
  afterTurn(now: number): void;
  /** Checkpoints everything, for a clean stop. */
  finish(): Promise<void>;
  /** Returns the code that writes are refused with while the store cannot take more. */
  full(): keyof typeof storeFullMessages | undefined;
  stats(): Pick<ShardStats, 'memtableEntries' | 'memtableBytes' | 'checkpoints' | 'watermark'>;
}

export interface ActorOptions {
  readonly state: ShardState;
  readonly clock: Clock;
  readonly journal: Journal;
  readonly checkpoints: CheckpointSchedule;
  /** Hands a turn's results to a front end. */
  readonly send: (router: number, message: FromShard) => void;
  /** Returns whether a front end has yet to take what it was sent; if so, the mailbox waits. */
  readonly congested?: () => boolean;
  /** Schedules a call of `turn` after `delayMs`. Replaces the previous schedule. */
  readonly wake: (delayMs: number) => void;
  /** Asks the shard that counts epochs for one, which comes to `epochs.add`. */
  readonly askForEpoch?: () => void;
  /** Present if the journal is in this thread: front ends then hear only from the actor what is durable. */
  readonly announce?: { readonly routers: number; readonly onDurable: (listener: () => void) => void };
}

export class ShardActor {
  readonly epochs: EpochExchange;
  readonly #options: ActorOptions;
  readonly #mailbox: { router: number; message: Exclude<ToShard, { kind: 'array' }> | CoreMessage }[] = [];
  readonly #records = new RecordWriter();
  readonly #turnOut: TurnOutbox;
  #commits = 0;
  #turns = 0;
  #announced: number;
  #inTurn = false;

  constructor(options: ActorOptions) {
    this.#options = options;
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
    for (const message of messages) {
      if (message.kind !== 'array') {
        this.#mailbox.push({ router, message });
        continue;
      }
      const { id, batches } = message;
      batches.forEach((batch, item) => this.#mailbox.push({ router, message: { kind: 'item', id, item, batch } }));
    }
  }

  /** Processes the mailbox until it is empty or a front end is congested. */
  turn(): void {
    do {
      if (this.#options.congested?.() === true) return this.#options.wake(congestedMs);
      this.#turn();
    } while (this.#mailbox.length > 0);
  }

  #turn(): void {
    const { state, clock, checkpoints } = this.#options;
    const now = clock.now();
    this.#turns += 1;
    this.#inTurn = true;
    state.outOfSpace = this.#outOfSpace();
    const turn = { state, now, out: this.#turnOut };
    passTime(turn);
    this.epochs.begin(turn);
    let taken = 0;
    const most = Math.min(this.#mailbox.length, turnMessagesMax);
    while (taken < most && this.#turnOut.length + this.#records.byteLength < turnBytesMax) {
      const { router, message } = this.#mailbox[taken]!;
      taken += 1;
      if (message.kind === 'stats') this.#turnOut.of(router).stats.push({ id: message.id, stats: this.#stats() });
      else if (message.kind === 'close') this.#close(router, message.id);
      else apply(turn, router, message);
    }
    this.#mailbox.splice(0, taken);
    this.#flush();
    this.epochs.end();
    checkpoints.afterTurn(now);
    this.#sleep(now);
    this.#inTurn = false;
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

  /** Sends mail, and the durable revision also to front ends without mail: an expiry has no reply but is an event. */
  #send(): void {
    const { state, send, announce } = this.#options;
    const durable = state.revisions.durable();
    const mails = this.#turnOut.take();
    if (durable > this.#announced) {
      for (let router = 0; router < (announce?.routers ?? 0); router += 1) {
        if (!mails.has(router)) mails.set(router, emptyMail());
      }
    }
    this.#announced = durable;
    for (const [router, mail] of mails) send(router, { durable, ...mail });
  }

  #outOfSpace(): ShardState['outOfSpace'] {
    const space = this.#options.journal.space();
    if (space !== 'open') {
      const left = space === 'full' ? 'Only reads are served.' : 'Reads, unlocks and deletes are still served.';
      return { space, failure: failure('disk_full', `There is no disk space for the journal. ${left}`) };
    }
    if (this.#options.state.lastRev >= lastRevision) return { space: 'full', failure: noRevisionsLeft };
    const full = this.#options.checkpoints.full();
    return full === undefined ? undefined : { space: 'reserve', failure: failure(full, storeFullMessages[full]) };
  }

  #sleep(now: number): void {
    const { state, wake } = this.#options;
    const at = Math.min(state.entries.nextDeadline(), state.timers.next());
    wake(at <= now ? retryMs : Math.min(at - now, sleepMsMax));
  }

  #close(router: number, id: number): void {
    const { checkpoints, send, state } = this.#options;
    this.#flush();
    // A rejection stays unhandled on purpose: it takes the process down, as every storage error does.
    void checkpoints.finish().then(() => {
      send(router, { durable: state.revisions.durable(), ...emptyMail(), closed: [id] });
    });
  }

  #stats(): ShardStats {
    const { state, checkpoints } = this.#options;
    return {
      shard: state.shard,
      queued: this.#mailbox.length,
      waiters: state.waitQueues.size,
      blocked: state.blocked.size,
      watchedKeys: state.watched.size,
      commits: this.#commits,
      turns: this.#turns,
      ...checkpoints.stats(),
    };
  }
}

type Mail = {
  replies: (Extract<Answer, { kind: 'one' }> | ItemsAnswer)[];
  events: KeyEvent[];
  transactions: { id: number; answer: TransactionAnswer }[];
  stats: { id: number; stats: ShardStats }[];
  closed: number[];
};

type ItemsAnswer = { kind: 'items'; id: number; rev: Revision; items: ItemReply[] };

/** Replies to consecutive batches of an array, the usual case, share one answer. */
function answerItem(replies: Mail['replies'], id: number, item: ItemReply): void {
  const { rev } = item.reply;
  const last = replies.at(-1);
  if (last?.kind !== 'items' || last.id !== id) {
    replies.push({ kind: 'items', id, rev, items: [item] });
    return;
  }
  last.items.push(item);
  if (rev > last.rev) last.rev = rev;
}

function emptyMail(): Mail {
  return { replies: [], events: [], transactions: [], stats: [], closed: [] };
}

/** Collects what one turn sends, by front end. */
class TurnOutbox implements Outbox {
  readonly #state: ShardState;
  readonly #records: RecordWriter;
  #mail = new Map<number, Mail>();
  /** The approximate length of its answers, in characters. */
  length = 0;

  constructor(state: ShardState, records: RecordWriter) {
    this.#state = state;
    this.#records = records;
  }

  nextRevision(): Revision {
    return this.#state.revisions.next();
  }

  record(commit: CommitRecord): void {
    this.#records.append(commit);
  }

  reply(to: RequestRef, reply: Reply): void {
    // Work that the shard starts itself, such as returning a grant, has nobody to answer.
    if (to.router < 0) return;
    this.length += reply.body.length;
    const { replies } = this.of(to.router);
    if (to.item === undefined) replies.push({ kind: 'one', id: to.id, reply });
    else answerItem(replies, to.id, { item: to.item, reply });
  }

  event(router: number, event: KeyEvent): void {
    this.length += event.body.length;
    this.of(router).events.push(event);
  }

  transaction(to: RequestRef, answer: TransactionAnswer): void {
    this.length += answerLength(answer);
    this.of(to.router).transactions.push({ id: to.id, answer });
  }

  of(router: number): Mail {
    let mail = this.#mail.get(router);
    if (mail === undefined) this.#mail.set(router, (mail = emptyMail()));
    return mail;
  }

  take(): Map<number, Mail> {
    const mail = this.#mail;
    this.#mail = new Map();
    this.length = 0;
    return mail;
  }
}
