/**
 * The router of one front end: it sends each command to its shards and delivers the reply.
 *
 * All commands of one turn of the event loop travel to a shard as one message. Shards send finished replies, and the
 * gate holds each until everything that it depends on is durable. When the client of a granted lock has disconnected,
 * the router returns the grant to the shard. A `Coordinator` runs each batch over several shards.
 */
import { failure, type Failure } from '../protocol/errors.ts';
import { serverAccount, type AccountId, type Revision } from '../protocol/ids.ts';
import type { Answer, FromShard } from '../protocol/wire/shard-messages.ts';
import { failureReply } from '../protocol/replies.ts';
import { ownerOf } from '../protocol/partition.ts';
import { BatchArrayItem } from './batch-array/batch-array-item.ts';
import { BatchArrayRequests, type BatchArray } from './batch-array/batch-array-requests.ts';
import { Transactions } from './transaction/transactions.ts';
import type {
  BatchReplySink,
  ReplySink,
  Dispatcher,
  Cancelable,
  PrefixWatch,
  StreamSink,
  WatchedKey,
  WatchInfo,
} from './dispatcher.ts';
import type { ServerStats } from '../protocol/stats.ts';
import { InFlightRequests, uncancellable, type InFlight } from './in-flight-requests.ts';
import { KeyWatches } from './watch/key-watches.ts';
import { prefixWatchInfos } from './watch/some-watches.ts';
import type { RouterOptions } from './router-options.ts';
import { ReplyGate } from './reply-gate.ts';
import { requestBytes } from './memory-costs.ts';
import { RequestLoads, type Load } from './request-loads.ts';
import { ShardMail } from './shard-mail.ts';
import { ShardQuestions } from './shard-questions.ts';
import { takesSet } from '../protocol/operations/lock-sets.ts';
import { mayWait, type Batch, type Command } from '../protocol/operations/operations.ts';

export class Router implements Dispatcher {
  readonly #options: RouterOptions;
  readonly #gate: ReplyGate;
  readonly #keyWatches: KeyWatches;
  readonly #mail: ShardMail;
  readonly #requests: InFlightRequests;
  readonly #arrays: BatchArrayRequests;
  readonly #transactions: Transactions;
  readonly #loads: RequestLoads;
  readonly #questions: ShardQuestions;
  #nextId = 0;
  #awaitsDurable = false;
  #draining = false;
  #idle: (() => void) | undefined;

  constructor(options: RouterOptions) {
    this.#options = options;
    const { links, limits, counts, defer, after, index } = options;
    const shards = links.length;
    const nextId = (): number => this.#newId();
    // The last queue is that of transactions.
    this.#gate = new ReplyGate(shards + 1, options.durable(), () => {
      this.#awaitDurable();
      this.advance(options.durable());
    });
    this.#mail = new ShardMail(links, defer);
    const mail = this.#mail;
    this.#questions = new ShardQuestions(mail, nextId);
    const loads = new RequestLoads(limits, counts);
    this.#loads = loads;
    this.#requests = new InFlightRequests({
      mail,
      loads,
      limits,
      counts,
      nextId,
      refuse: (sink, why) => this.#refuse(sink, why),
      onAnswered: () => this.#checkIdle(),
      defer,
      after,
    });
    const requests = this.#requests;
    this.#transactions = new Transactions({
      index,
      mail,
      requests,
      loads,
      nextId,
      whenDurable: (rev, release) => this.#gate.pass(shards, rev, release),
      awaiting: counts.awaitingTransactions,
      awaitingMax: limits.inflight_per_shard_max,
      defer,
    });
    this.#arrays = new BatchArrayRequests({
      loads,
      nextId,
      inFlight: counts.inFlight,
      inFlightMax: limits.inflight_per_shard_max,
      lastSent: (shard) => mail.lastSent(shard),
      send: (shard, message) => mail.send(shard, message),
      returnGrant: (grant) => requests.returnGrant(grant),
    });
    this.#keyWatches = new KeyWatches({
      request: (command, sink) => this.request(command, sink),
      shardOf: (account, key) => ownerOf(account, key, shards),
      unwatch: (shard, unwatched) => mail.send(shard, { kind: 'unwatch', ...unwatched }),
      limits,
      counts,
      after,
    });
    links.forEach((link, shard) => link.onMessage((message, taken) => this.#receive(shard, message, taken)));
  }

  request(command: Command, sink: ReplySink): Cancelable {
    if (this.#draining) return this.#refuse(sink, goingDown);
    const use = this.#loads.use(command.account);
    const bytes = sink.bytes ?? requestBytes;
    const waits = mayWait(command);
    const request: InFlight = { sink, part: undefined, shard: 0, cancelled: false, use, bytes, waits, unanswered: 1 };
    const refused = this.#loads.takeBytes(request);
    if (refused !== undefined) return this.#refuse(sink, refused);
    const takes = command.kind === 'batch' && takesSet(command);
    if (this.#mail.shards === 1 && this.#transactions.idle && !takes)
      return this.#requests.toShard(command, 0, request);
    return this.#transactions.admit(command, request, (shard) => this.#requests.toShard(command, shard, request));
  }

  /** Asks one shard for tasks that are due; it answers once there are some. */
  dueTasks(shard: number, bytesMax: number, sink: ReplySink): Cancelable {
    if (this.#draining) return this.#refuse(sink, goingDown);
    const use = this.#loads.use(serverAccount);
    const part = { use, bytes: requestBytes, waits: true, unanswered: 1 };
    const request: InFlight = { ...part, sink, part: undefined, shard, cancelled: false };
    const refused = this.#loads.takeBytes(request);
    if (refused !== undefined) return this.#refuse(sink, refused);
    return this.#requests.toShard({ kind: 'task.due', account: serverAccount, bytesMax }, shard, request);
  }

  requestAll(batches: readonly Batch[], sink: BatchReplySink): Cancelable {
    if (this.#draining) {
      for (const place of batches.keys()) sink.deliver(place, failureReply(this.#options.durable(), goingDown));
      return uncancellable;
    }
    const [first] = batches;
    if (first === undefined) return uncancellable;
    const load: Load = {
      use: this.#loads.use(first.account),
      bytes: sink.bytes ?? requestBytes,
      waits: false,
      unanswered: batches.length,
    };
    const refused = this.#loads.takeBytes(load);
    if (refused !== undefined) {
      for (const place of batches.keys()) sink.deliver(place, failureReply(this.#options.durable(), refused));
      return uncancellable;
    }
    const array: BatchArray = { sink, begun: [], load };
    const cancelables = batches.map((batch, place) => {
      if (this.#mail.shards === 1 && this.#transactions.idle) return this.#toArray(array, batch, place, 0);
      const item = new BatchArrayItem(sink, place);
      const request: InFlight = { ...load, sink: item, part: load, shard: 0, cancelled: false };
      return this.#transactions.admit(batch, request, (shard) => this.#toArray(array, batch, place, shard));
    });
    return { cancel: () => cancelables.forEach((cancelable) => cancelable.cancel()) };
  }

  watchKeys(account: AccountId, keys: readonly WatchedKey[], waitMs: number, sink: ReplySink): Cancelable {
    return this.#keyWatches.watch(account, keys, waitMs, sink);
  }

  watchPrefix(watch: PrefixWatch, sink: ReplySink): Cancelable {
    if (this.#draining) return this.#refuse(sink, goingDown);
    this.#awaitDurable();
    return this.#options.prefixWatches.watch(watch, sink);
  }

  streamPrefix(watch: Omit<PrefixWatch, 'waitMs' | 'limit'>, sink: StreamSink): Cancelable {
    if (this.#draining) {
      sink.end(failureReply(this.#options.durable(), goingDown));
      return uncancellable;
    }
    this.#awaitDurable();
    return this.#options.prefixWatches.stream(watch, sink);
  }

  watches(of: AccountId | undefined, limit: number): readonly WatchInfo[] {
    return [
      ...prefixWatchInfos(this.#options.prefixWatches.open(), { of, limit }),
      ...this.#keyWatches.list(of, limit),
    ];
  }

  async stats(): Promise<ServerStats> {
    const { counts, durable, journalStats } = this.#options;
    // Read now: shards answer after they have worked off the commands that were sent before the question.
    const inFlight = counts.inFlight.map((count) => count.value);
    const shards = await this.#questions.stats();
    return {
      shards: shards.map((stats) => ({ ...stats, queued: stats.queued + inFlight[stats.shard]! })),
      journal: await journalStats(),
      durable: durable(),
      watchers: counts.keyWatches.value + counts.prefixWatches.value - counts.streams.value,
      streams: counts.streams.value,
      historyDamage: counts.historyDamage.stats(),
    };
  }

  /** Takes a higher durable revision from the journal's thread, or from the shard that writes the journal itself. */
  advance(durable: Revision): void {
    const { prefixWatches, awaitDurable } = this.#options;
    this.#gate.advance(durable);
    prefixWatches.advance();
    if (!this.#awaitsDurable || !this.#gate.isEmpty || prefixWatches.size > 0) return;
    this.#awaitsDurable = false;
    awaitDurable(false);
  }

  /** Answers every waiting client, refuses new requests, and resolves when every reply is out. */
  async drain(): Promise<void> {
    this.#draining = true;
    this.#keyWatches.drain();
    this.#options.prefixWatches.drain();
    this.#mail.sendToAll({ kind: 'drain' });
    this.#requests.drain();
    if (!this.#isIdle) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  /** Call after `drain`. Makes every shard commit and checkpoint. */
  close(): Promise<void> {
    return this.#questions.close();
  }

  #awaitDurable(): void {
    if (this.#awaitsDurable) return;
    this.#awaitsDurable = true;
    this.#options.awaitDurable(true);
  }

  #toArray(array: BatchArray, batch: Batch, place: number, shard: number): Cancelable {
    const refused = this.#arrays.add(array, batch, place, shard);
    return refused === undefined ? uncancellable : this.#refuse(new BatchArrayItem(array.sink, place), refused);
  }

  #receive(shard: number, message: FromShard, taken?: () => void): void {
    this.advance(message.durable);
    for (const answer of message.replies) {
      if (answer.kind === 'items') this.#gate.pass(shard, answer.rev, () => this.#answerItems(answer));
      else this.#gate.pass(shard, answer.reply.rev, () => this.#requests.finish(answer.id, answer.reply));
    }
    for (const event of message.events) this.#gate.pass(shard, event.rev, () => this.#keyWatches.changed(event));
    // While the disk stands still, replies stay in the gate: without the credit for them, the shard adds only so many.
    if (taken !== undefined) this.#gate.pass(shard, highestOf(message), taken);
    for (const { id, answer } of message.transactions) this.#transactions.answered(id, answer);
    this.#questions.receive(message);
    this.#checkIdle();
  }

  #answerItems(answer: Extract<Answer, { kind: 'items' }>): void {
    this.#arrays.answer(answer);
    this.#checkIdle();
  }

  #refuse(sink: ReplySink, why: Failure): Cancelable {
    sink.deliver(failureReply(this.#options.durable(), why));
    return uncancellable;
  }

  #newId(): number {
    this.#nextId += 1;
    return this.#nextId;
  }

  get #isIdle(): boolean {
    return this.#requests.size + this.#arrays.size + this.#transactions.size === 0;
  }

  #checkIdle(): void {
    if (this.#idle === undefined || !this.#isIdle) return;
    this.#idle();
    this.#idle = undefined;
  }
}

const goingDown = failure('draining', 'The server is going down; nothing was done. Try again soon.');

/** Returns the revision with which the last reply and event of a message leave the gate. */
function highestOf({ replies, events }: FromShard): Revision {
  let highest = 0 as Revision;
  for (const answer of replies) {
    const rev = answer.kind === 'one' ? answer.reply.rev : answer.rev;
    if (rev > highest) highest = rev;
  }
  for (const { rev } of events) if (rev > highest) highest = rev;
  return highest;
}
