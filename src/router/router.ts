/**
 * The router of one front end: it sends each command to its shards and delivers the reply.
 *
 * All commands of one turn of the event loop travel to a shard as one message. Shards send finished replies, and the
 * gate holds each until everything that it depends on is durable. When the client of a granted lock has disconnected,
 * the router returns the grant to the shard. A `Coordinator` runs each batch over several shards.
 */
import { failure, type Failure } from '../protocol/errors.ts';
import type { AccountId, Revision } from '../protocol/ids.ts';
import type { Answer, TransactionAnswer, FromShard, ToShard } from '../protocol/wire/shard-messages.ts';
import { failureReply, type Grant, type Reply } from '../protocol/replies.ts';
import { ownerOf } from '../protocol/partition.ts';
import { footprintOf, type Footprint } from '../protocol/footprint.ts';
import { assert } from '../shared/assert.ts';
import type { After } from '../shared/clock.ts';
import type { Limits } from '../shared/limits.ts';
import { BatchArrayItem } from './batch-array/batch-array-item.ts';
import { BatchArrayRequests, overloaded, type BatchArray } from './batch-array/batch-array-requests.ts';
import { TransactionOrder } from './transaction/transaction-order.ts';
import { Coordinator, type Participants } from './transaction/coordinator.ts';
import type {
  BatchReplySink,
  ReplySink,
  Dispatcher,
  Cancelable,
  PrefixWatch,
  StreamSink,
  WatchedKey,
} from './dispatcher.ts';
import type { JournalStats, ServerStats, ShardStats } from '../protocol/stats.ts';
import { InFlightTable } from './in-flight-table.ts';
import { KeyWatches } from './watch/key-watches.ts';
import type { PrefixWatches } from './watch/prefix-watches.ts';
import { ReplyGate } from './reply-gate.ts';
import type { RouterCounts } from './router-counts.ts';
import { requestBytes } from './memory-costs.ts';
import { RequestLoads, type Load } from './request-loads.ts';
import { shardsOf } from './route.ts';
import type { ShardLink } from './shard-link.ts';
import { takesSet } from '../protocol/operations/lock-sets.ts';
import { commands, mayWait, type Batch, type Command, type ListCommand } from '../protocol/operations/operations.ts';

export interface RouterOptions {
  /** Index of this front end; part of every transaction's name. */
  readonly index: number;
  readonly links: readonly ShardLink[];
  /** The highest revision on disk, at this very moment. */
  readonly durable: () => Revision;
  readonly limits: Limits;
  /** Shared by all front ends. */
  readonly counts: RouterCounts;
  /** Reads changes under a prefix from the journal, not from the shards. */
  readonly prefixWatches: PrefixWatches;
  readonly journalStats: () => Promise<JournalStats>;
  /** Runs at the end of the current turn of the event loop. */
  readonly defer: (run: () => void) => void;
  readonly after: After;
}

interface InFlight extends Load {
  readonly sink: ReplySink;
  /** What it is a part of, if that is counted as one: an array body. */
  readonly part: Load | undefined;
  shard: number;
  /** The client has disconnected, even if `sink` does not say so. */
  cancelled: boolean;
}

/** A question of a transaction to a shard. */
interface TransactionAsked {
  readonly resolve: (answer: TransactionAnswer) => void;
  readonly onWaiting: (() => void) | undefined;
}

export class Router implements Dispatcher {
  readonly #options: RouterOptions;
  readonly #gate: ReplyGate;
  readonly #keyWatches: KeyWatches;
  readonly #outgoing: ToShard[][];
  #flushing = false;
  readonly #inFlight = new InFlightTable<InFlight>(() => this.#newId());
  readonly #arrays: BatchArrayRequests;
  readonly #loads: RequestLoads;
  readonly #transactionAnswers = new InFlightTable<TransactionAsked>(() => this.#newId());
  readonly #statsAnswers = new Map<number, (stats: ShardStats) => void>();
  readonly #closeAnswers = new Map<number, () => void>();
  /** Replies that are held for a rate limit: what ends each hold early. */
  readonly #held = new Map<number, () => void>();
  #nextId = 0;
  #transactions = 0;
  #draining = false;
  #idle: (() => void) | undefined;
  readonly #participants: Participants;
  readonly #order: TransactionOrder;

  constructor(options: RouterOptions) {
    this.#options = options;
    const shards = options.links.length;
    // The last queue is that of transactions.
    this.#gate = new ReplyGate(shards + 1, options.durable());
    this.#outgoing = options.links.map(() => []);
    this.#order = new TransactionOrder({
      count: options.counts.awaitingTransactions,
      waitingMax: options.limits.inflight_per_shard_max,
      defer: options.defer,
    });
    this.#loads = new RequestLoads(options.limits, options.counts);
    this.#arrays = new BatchArrayRequests({
      loads: this.#loads,
      nextId: () => this.#newId(),
      inFlight: options.counts.inFlight,
      inFlightMax: options.limits.inflight_per_shard_max,
      lastSent: (shard) => this.#outgoing[shard]!.at(-1),
      send: (shard, message) => this.#send(shard, message),
      returnGrant: (grant) => this.#returnGrant(grant),
    });
    this.#keyWatches = new KeyWatches({
      request: (command, sink) => this.request(command, sink),
      unwatch: (watched) => this.#send(ownerOf(watched.account, watched.key, shards), { kind: 'unwatch', ...watched }),
      limits: options.limits,
      counts: options.counts,
      after: options.after,
    });
    this.#participants = {
      shards,
      ask: (shard, message, onWaiting) => {
        const { promise: answer, resolve } = Promise.withResolvers<TransactionAnswer>();
        const id = this.#transactionAnswers.add({ resolve, onWaiting });
        this.#send(shard, { ...message, id });
        return { id, answer };
      },
      tell: (shard, message) => this.#send(shard, message),
      durable: (rev) => new Promise((resolve) => this.#gate.pass(shards, rev, resolve)),
    };
    options.links.forEach((link, shard) => link.onMessage((message, taken) => this.#receive(shard, message, taken)));
  }

  request(command: Command, sink: ReplySink): Cancelable {
    if (this.#draining) return this.#refuse(sink, goingDown);
    const use = this.#loads.use(command.account);
    const bytes = sink.bytes ?? requestBytes;
    const waits = mayWait(command);
    const request: InFlight = { sink, part: undefined, shard: 0, cancelled: false, use, bytes, waits, unanswered: 1 };
    const refused = this.#loads.takeBytes(request);
    if (refused !== undefined) return this.#refuse(sink, refused);
    const spans = command.kind === 'batch' && takesSet(command);
    if (this.#options.links.length === 1 && this.#order.idle && !spans) return this.#toShard(command, 0, request);
    return this.#admit(command, request, (shard) => this.#toShard(command, shard, request));
  }

  requestAll(batches: readonly Batch[], sink: BatchReplySink): Cancelable {
    if (this.#draining) {
      for (const place of batches.keys()) sink.deliver(place, failureReply(this.#gate.durable, goingDown));
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
      for (const place of batches.keys()) sink.deliver(place, failureReply(this.#gate.durable, refused));
      return uncancellable;
    }
    const array: BatchArray = { sink, begun: [], load };
    const cancelables = batches.map((batch, place) => {
      if (this.#options.links.length === 1 && this.#order.idle) return this.#toArray(array, batch, place, 0);
      const item = new BatchArrayItem(sink, place);
      const request: InFlight = { ...load, sink: item, part: load, shard: 0, cancelled: false };
      return this.#admit(batch, request, (shard) => this.#toArray(array, batch, place, shard));
    });
    return { cancel: () => cancelables.forEach((cancelable) => cancelable.cancel()) };
  }

  watchKeys(account: AccountId, keys: readonly WatchedKey[], waitMs: number, sink: ReplySink): Cancelable {
    return this.#keyWatches.watch(account, keys, waitMs, sink);
  }

  watchPrefix(watch: PrefixWatch, sink: ReplySink): Cancelable {
    if (this.#draining) return this.#refuse(sink, goingDown);
    return this.#options.prefixWatches.watch(watch, sink);
  }

  streamPrefix(watch: Omit<PrefixWatch, 'waitMs' | 'limit'>, sink: StreamSink): Cancelable {
    if (!this.#draining) return this.#options.prefixWatches.stream(watch, sink);
    sink.end(failureReply(this.#gate.durable, goingDown));
    return uncancellable;
  }

  async stats(): Promise<ServerStats> {
    const { links, counts, durable, journalStats } = this.#options;
    // Read now: shards answer after they have worked off the commands that were sent before the question.
    const inFlight = counts.inFlight.map((count) => count.value);
    const shards = links.map(
      (_, shard) =>
        new Promise<ShardStats>((resolve) => {
          const id = this.#newId();
          this.#statsAnswers.set(id, resolve);
          this.#send(shard, { kind: 'stats', id });
        }),
    );
    return {
      shards: (await Promise.all(shards)).map((stats) => ({
        ...stats,
        queued: stats.queued + inFlight[stats.shard]!,
      })),
      journal: await journalStats(),
      durable: durable(),
      watchers: counts.keyWatches.value + counts.prefixWatches.value - counts.streams.value,
      streams: counts.streams.value,
      historyDamage: counts.historyDamage.stats(),
    };
  }

  /** Takes a higher durable revision from the journal's thread, or from the shard that writes the journal itself. */
  advance(durable: Revision): void {
    this.#gate.advance(durable);
    this.#options.prefixWatches.advance();
  }

  /** Answers every waiting client, refuses new requests, and resolves when every reply is out. */
  async drain(): Promise<void> {
    this.#draining = true;
    this.#keyWatches.drain();
    this.#options.prefixWatches.drain();
    this.#options.links.forEach((_, shard) => this.#send(shard, { kind: 'drain' }));
    // They say for how long they would have been held: their clients wait for the rest themselves.
    for (const letGo of this.#held.values()) letGo();
    if (!this.#isIdle) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  /** Call after `drain`. Makes every shard commit and checkpoint. */
  async close(): Promise<void> {
    await Promise.all(
      this.#options.links.map(
        (_, shard) =>
          new Promise<void>((resolve) => {
            const id = this.#newId();
            this.#closeAnswers.set(id, resolve);
            this.#send(shard, { kind: 'close', id });
          }),
      ),
    );
  }

  /** Starts a command once every earlier transaction that shares a key with it has ended. */
  #admit(command: Command, request: InFlight, toShard: (shard: number) => Cancelable): Cancelable {
    const shards = shardsOf(command, this.#options.links.length);
    // Several locks are reserved one by one, also on one shard.
    const spans = shards.length > 1 || (command.kind === 'batch' && takesSet(command));
    if (!spans && this.#order.idle) return toShard(shards[0]!);
    const footprint = footprintOf(command);
    let started: Cancelable | undefined;
    let cancelled = false;
    const admitted = this.#order.admit(command.account, footprint, () => {
      if (cancelled) return this.#loads.drop(request.part ?? request);
      started = spans ? this.#coordinate(command, { shards, footprint, request }) : toShard(shards[0]!);
    });
    if (!admitted) return this.#drop(request, overloaded);
    return {
      waits: request.waits,
      cancel: () => {
        cancelled = true;
        started?.cancel();
      },
    };
  }

  #toArray(array: BatchArray, batch: Batch, place: number, shard: number): Cancelable {
    const refused = this.#arrays.add(array, batch, place, shard);
    return refused === undefined ? uncancellable : this.#refuse(new BatchArrayItem(array.sink, place), refused);
  }

  #toShard(command: Command, shard: number, request: InFlight): Cancelable {
    const id = this.#enter(shard, request);
    if (id === undefined) return uncancellable;
    this.#send(shard, { kind: 'request', id, command });
    return request.waits ? { waits: true, cancel: () => this.#cancel(id) } : uncancellable;
  }

  /** Counts a request as in flight at `shard`, the first that it needs, or refuses it. */
  #enter(shard: number, request: InFlight): number | undefined {
    const { limits, counts } = this.#options;
    if (!request.waits && !counts.inFlight[shard]!.take(limits.inflight_per_shard_max)) {
      this.#drop(request, overloaded);
      return undefined;
    }
    const refused = this.#loads.takeOne(request);
    if (refused !== undefined) {
      if (!request.waits) counts.inFlight[shard]!.give();
      this.#drop(request, refused);
      return undefined;
    }
    request.shard = shard;
    return this.#inFlight.add(request);
  }

  /** Refuses a request whose memory is counted. */
  #drop(request: InFlight, why: Failure): Cancelable {
    this.#loads.drop(request.part ?? request);
    return this.#refuse(request.sink, why);
  }

  #receive(shard: number, message: FromShard, taken?: () => void): void {
    this.advance(message.durable);
    for (const answer of message.replies) {
      if (answer.kind === 'items') this.#gate.pass(shard, answer.rev, () => this.#answerItems(answer));
      else this.#gate.pass(shard, answer.reply.rev, () => this.#finish(answer.id, answer.reply));
    }
    for (const event of message.events) this.#gate.pass(shard, event.rev, () => this.#keyWatches.changed(event));
    // While the disk stands still, replies stay in the gate: without the credit for them, the shard adds only so many.
    if (taken !== undefined) this.#gate.pass(shard, highestOf(message), taken);
    for (const { id, answer } of message.transactions) {
      if (answer.kind === 'waiting') this.#transactionAnswers.get(id)?.onWaiting?.();
      else this.#transactionAnswers.take(id)?.resolve(answer);
    }
    for (const { id, stats } of message.stats) take(this.#statsAnswers, id)?.(stats);
    for (const id of message.closed) take(this.#closeAnswers, id)?.();
    this.#checkIdle();
  }

  /**
   * Answers a request. A client may have disconnected while it stood in line for a lock. Deferring twice runs this in the next
   * turn of the event loop, after libuv has polled the sockets, so that a pending disconnect is seen before the grant
   * is sent. Deferring once would run it in this turn, whose poll may be long past if the thread was busy or had no
   * CPU.
   */
  #finish(id: number, reply: Reply): void {
    if (reply.heldMs !== undefined) return this.#hold(id, reply, reply.heldMs);
    const { defer } = this.#options;
    if (reply.grant?.waited === true) defer(() => defer(() => this.#answer(id, reply)));
    else this.#answer(id, reply);
  }

  #hold(id: number, reply: Reply, heldMs: number): void {
    const request = this.#inFlight.get(id);
    if (this.#draining || request?.cancelled === true || request?.sink.disconnected === true)
      return this.#answer(id, reply);
    const answer = (): void => {
      this.#held.delete(id);
      this.#answer(id, reply);
    };
    const stop = this.#options.after(heldMs, answer);
    this.#held.set(id, () => {
      stop();
      answer();
    });
  }

  #answer(id: number, reply: Reply): void {
    const request = this.#inFlight.take(id);
    assert(request !== undefined, 'a request is answered once');
    if (!request.waits) this.#options.counts.inFlight[request.shard]!.give();
    this.#loads.give(request.part ?? request);
    if (!request.cancelled && !request.sink.disconnected) request.sink.deliver(reply);
    else if (reply.grant !== undefined) this.#returnGrant(reply.grant);
    this.#checkIdle();
  }

  #answerItems(answer: Extract<Answer, { kind: 'items' }>): void {
    this.#arrays.answer(answer);
    this.#checkIdle();
  }

  #returnGrant(grant: Grant): void {
    const shard = ownerOf(grant.account, grant.id, this.#options.links.length);
    this.#send(shard, { kind: 'grant.return', grant });
    if (grant.also !== undefined) this.#returnGrant(grant.also);
  }

  /** The shard answers in any case: the request has left the wait queue, or was granted before. */
  #cancel(id: number): void {
    const request = this.#inFlight.get(id);
    if (request === undefined || request.cancelled) return;
    request.cancelled = true;
    const letGo = this.#held.get(id);
    if (letGo !== undefined) return letGo();
    this.#send(request.shard, { kind: 'cancel', id, account: request.use.account });
  }

  #coordinate(command: Command, { shards, footprint, request }: Spanning): Cancelable {
    const queue = this.#options.links.length;
    const id = this.#enter(shards[0]!, request);
    if (id === undefined) return uncancellable;
    this.#transactions += 1;
    const name = `${this.#options.index}:${this.#transactions}`;
    const coordinator = new Coordinator(name, command.account, this.#participants);
    let keepsOrder = true;
    const endOrder = (): void => {
      if (keepsOrder) this.#order.end(command.account, footprint);
      keepsOrder = false;
    };
    this.#order.begin(footprint);
    const reply =
      command.kind === 'batch'
        ? coordinator.batch(command, shards, endOrder)
        : coordinator.list(listOf(command), shards);
    // A rejection is a bug: as it is unhandled, it takes the process down.
    void reply.then((done) => {
      // Its messages to all shards have been sent: later commands cannot overtake it any more.
      endOrder();
      this.#gate.pass(queue, done.rev, () => this.#finish(id, done));
    });
    return {
      waits: request.waits,
      cancel: () => {
        if (this.#inFlight.get(id) === undefined || request.cancelled) return;
        request.cancelled = true;
        const letGo = this.#held.get(id);
        if (letGo !== undefined) return letGo();
        coordinator.cancel();
      },
    };
  }

  #refuse(sink: ReplySink, why: Failure): Cancelable {
    sink.deliver(failureReply(this.#gate.durable, why));
    return uncancellable;
  }

  #send(shard: number, message: ToShard): void {
    this.#outgoing[shard]!.push(message);
    if (this.#flushing) return;
    this.#flushing = true;
    this.#options.defer(() => this.#flush());
  }

  #flush(): void {
    this.#flushing = false;
    this.#outgoing.forEach((messages, shard) => {
      if (messages.length === 0) return;
      this.#outgoing[shard] = [];
      this.#options.links[shard]!.send(messages);
    });
  }

  #newId(): number {
    this.#nextId += 1;
    return this.#nextId;
  }

  get #isIdle(): boolean {
    return this.#inFlight.size + this.#arrays.size + this.#transactionAnswers.size === 0;
  }

  #checkIdle(): void {
    if (this.#idle === undefined || !this.#isIdle) return;
    this.#idle();
    this.#idle = undefined;
  }
}

/** A command over several shards. */
interface Spanning {
  readonly shards: readonly number[];
  readonly footprint: Footprint;
  readonly request: InFlight;
}

const goingDown = failure('draining', 'The server is going down; nothing was done. Try again soon.');
const uncancellable: Cancelable = { cancel: () => {} };

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

function listOf(command: Exclude<Command, Batch>): ListCommand {
  assert('list' in commands[command.kind], 'only batches and lists span shards');
  return command as ListCommand;
}

function take<Value>(map: Map<number, Value>, id: number): Value | undefined {
  const value = map.get(id);
  map.delete(id);
  return value;
}
