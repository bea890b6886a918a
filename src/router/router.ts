/**
 * The router of one front end: which shard gets a command, what becomes of its reply.
 *
 * Commands of one turn of the event loop travel to a shard as one message. Replies come back finished; the gate holds
 * each until what it depends on is durable; a reply that hands out a lock to a client that has vanished is turned into
 * taking the lock back. Batches over several shards are carried by a `Coordinator`.
 */
import { failure } from '../protocol/errors.ts';
import type { AccountId, Revision } from '../protocol/ids.ts';
import type { Answer, TransactionAnswer, FromShard, ToShard } from '../protocol/wire/shard-messages.ts';
import { failureReply, type Grant, type Reply } from '../protocol/replies.ts';
import { ownerOf } from '../protocol/partition.ts';
import { footprintOf, type Footprint } from '../protocol/footprint.ts';
import { assert } from '../shared/assert.ts';
import type { After } from '../shared/clock.ts';
import type { Limits } from '../shared/limits.ts';
import { BatchArrayItem } from './batch-array/batch-array-item.ts';
import { BatchArrayRequests, type BegunMessages } from './batch-array/batch-array-requests.ts';
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
import { shardsOf } from './route.ts';
import type { ShardLink } from './shard-link.ts';
import {
  commands,
  waitsForLock,
  type Batch,
  type Command,
  type ListCommand,
} from '../protocol/operations/operations.ts';

export interface RouterOptions {
  /** Index of this front end; part of every transaction's name. */
  readonly index: number;
  readonly links: readonly ShardLink[];
  /** The highest revision on disk, at this very moment. */
  readonly durable: () => Revision;
  readonly limits: Limits;
  /** What all front ends count together. */
  readonly counts: RouterCounts;
  /** Changes over prefixes come from the journal, not from the shards. */
  readonly prefixWatches: PrefixWatches;
  readonly journalStats: () => Promise<JournalStats>;
  /** Runs at the end of the current turn of the event loop. */
  readonly defer: (run: () => void) => void;
  readonly after: After;
}

interface InFlight {
  readonly client: ReplySink;
  readonly shard: number;
  /** Waits for a lock: not counted against the limit of requests in flight. */
  readonly waits: boolean;
  /** The client has vanished, whether or not it says so itself. */
  cancelled: boolean;
}

export class Router implements Dispatcher {
  readonly #options: RouterOptions;
  readonly #gate: ReplyGate;
  readonly #keyWatches: KeyWatches;
  readonly #outgoing: ToShard[][];
  #flushing = false;
  readonly #inFlight = new InFlightTable<InFlight>(() => this.#newId());
  readonly #arrays: BatchArrayRequests;
  readonly #transactionAnswers = new InFlightTable<(answer: TransactionAnswer) => void>(() => this.#newId());
  readonly #statsAnswers = new Map<number, (stats: ShardStats) => void>();
  readonly #closeAnswers = new Map<number, () => void>();
  #nextId = 0;
  #transactions = 0;
  #draining = false;
  #idle: (() => void) | undefined;
  readonly #carrier: Participants;
  readonly #order: TransactionOrder;

  constructor(options: RouterOptions) {
    this.#options = options;
    const shards = options.links.length;
    // Transactions have a lane of their own behind those of the shards.
    this.#gate = new ReplyGate(shards + 1, options.durable());
    this.#outgoing = options.links.map(() => []);
    this.#order = new TransactionOrder(options.counts.behindTransactions, options.limits.inflight_per_shard_max);
    this.#arrays = new BatchArrayRequests({
      nextId: () => this.#newId(),
      inFlight: options.counts.inFlight,
      inFlightMax: options.limits.inflight_per_shard_max,
      lastSent: (shard) => this.#outgoing[shard]!.at(-1),
      send: (shard, message) => this.#send(shard, message),
      returnGrant: (grant) => this.#returnGrant(grant),
    });
    this.#keyWatches = new KeyWatches({
      request: (command, client) => this.request(command, client),
      unwatch: (account, key) => this.#send(ownerOf(account, key, shards), { kind: 'unwatch', account, key }),
      limits: options.limits,
      count: options.counts.keyWatches,
      after: options.after,
    });
    this.#carrier = {
      shards,
      ask: (shard, message) => {
        const { promise: answer, resolve } = Promise.withResolvers<TransactionAnswer>();
        const id = this.#transactionAnswers.add(resolve);
        this.#send(shard, { ...message, id });
        return { id, answer };
      },
      tell: (shard, message) => this.#send(shard, message),
      durable: (rev) => new Promise((resolve) => this.#gate.pass(shards, rev, resolve)),
    };
    options.links.forEach((link, shard) => link.onMessage((message) => this.#receive(shard, message)));
  }

  request(command: Command, client: ReplySink): Cancelable {
    if (this.#draining) return this.#refuse(client, goingDown);
    if (this.#options.links.length === 1) return this.#toShard(command, 0, client);
    return this.#admit(command, client, (shard) => this.#toShard(command, shard, client));
  }

  requestAll(batches: readonly Batch[], client: BatchReplySink): Cancelable {
    const begun: BegunMessages = [];
    const pendings = batches.map((batch, place) => {
      if (this.#draining) return this.#refuse(new BatchArrayItem(client, place), goingDown);
      if (this.#options.links.length === 1) return this.#toArray(batch, place, 0, client, begun);
      const item = new BatchArrayItem(client, place);
      return this.#admit(batch, item, (shard) => this.#toArray(batch, place, shard, client, begun));
    });
    return { cancel: () => pendings.forEach((pending) => pending.cancel()) };
  }

  watchKeys(account: AccountId, keys: readonly WatchedKey[], waitMs: number, client: ReplySink): Cancelable {
    return this.#keyWatches.watch(account, keys, waitMs, client);
  }

  watchPrefix(watch: PrefixWatch, client: ReplySink): Cancelable {
    if (this.#draining) return this.#refuse(client, goingDown);
    return this.#options.prefixWatches.watch(watch, client);
  }

  streamPrefix(watch: Omit<PrefixWatch, 'waitMs' | 'limit'>, sink: StreamSink): Cancelable {
    if (!this.#draining) return this.#options.prefixWatches.stream(watch, sink);
    sink.end(failureReply(this.#gate.durable, goingDown));
    return uncancellable;
  }

  async stats(): Promise<ServerStats> {
    const { links, counts, durable, journalStats } = this.#options;
    // As of now: what is ahead of the question will be done when it is answered.
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
    };
  }

  /** More is on disk: told by the journal's thread, or by the shard that writes the journal itself. */
  advance(durable: Revision): void {
    this.#gate.advance(durable);
    this.#options.prefixWatches.advance();
  }

  /** Answers everyone who waits, refuses what is new, and resolves when every reply is out. */
  async drain(): Promise<void> {
    this.#draining = true;
    this.#keyWatches.drain();
    this.#options.prefixWatches.drain();
    this.#options.links.forEach((_, shard) => this.#send(shard, { kind: 'drain' }));
    if (!this.#isIdle) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  /** After `drain`: every shard commits and checkpoints. */
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

  /** Sets out when every transaction before it that shares a key is through: by itself when one shard is enough. */
  #admit(command: Command, client: ReplySink, toShard: (shard: number) => Cancelable): Cancelable {
    const shards = shardsOf(command, this.#options.links.length);
    if (shards.length === 1 && this.#order.idle) return toShard(shards[0]!);
    const scope = footprintOf(command);
    let pending: Cancelable | undefined;
    let cancelled = false;
    const admitted = this.#order.admit(scope, () => {
      if (cancelled) return;
      pending = shards.length > 1 ? this.#carry(command, shards, scope, client) : toShard(shards[0]!);
    });
    if (!admitted) return this.#refuse(client, overloaded);
    return {
      cancel: () => {
        cancelled = true;
        pending?.cancel();
      },
    };
  }

  #toArray(batch: Batch, place: number, shard: number, client: BatchReplySink, begun: BegunMessages): Cancelable {
    const taken = this.#arrays.add(batch, place, shard, client, begun);
    return taken ? uncancellable : this.#refuse(new BatchArrayItem(client, place), overloaded);
  }

  #toShard(command: Command, shard: number, client: ReplySink): Cancelable {
    const id = this.#enter(command, shard, client);
    if (id === undefined) return uncancellable;
    this.#send(shard, { kind: 'request', id, command });
    return waitsForLock(command) ? { cancel: () => this.#cancel(id) } : uncancellable;
  }

  /** Counts a request as under way, at the first shard that it needs, or refuses it. */
  #enter(command: Command, shard: number, client: ReplySink): number | undefined {
    const waits = waitsForLock(command);
    const { limits, counts } = this.#options;
    if (!waits && !counts.inFlight[shard]!.take(limits.inflight_per_shard_max)) {
      this.#refuse(client, overloaded);
      return undefined;
    }
    return this.#inFlight.add({ client, shard, waits, cancelled: false });
  }

  #receive(shard: number, message: FromShard): void {
    this.advance(message.durable);
    for (const answer of message.replies) {
      if (answer.kind === 'items') this.#gate.pass(shard, answer.rev, () => this.#answerItems(answer));
      else this.#gate.pass(shard, answer.reply.rev, () => this.#finish(answer.id, answer.reply));
    }
    for (const event of message.events) this.#gate.pass(shard, event.rev, () => this.#keyWatches.changed(event));
    for (const { id, answer } of message.transactions) this.#transactionAnswers.take(id)?.(answer);
    for (const { id, stats } of message.stats) take(this.#statsAnswers, id)?.(stats);
    for (const id of message.closed) take(this.#closeAnswers, id)?.();
    this.#checkIdle();
  }

  /**
   * Who has waited for a lock may have hung up meanwhile. The event loop looks at the connections first, so that one whose
   * end has arrived gets no grant. What is deferred once would still run in this turn, whose look may be long over when
   * the thread was busy, or without CPU; what is deferred twice runs behind the look of the next.
   */
  #finish(id: number, reply: Reply): void {
    const waited = reply.grant !== undefined && this.#inFlight.get(id)?.waits === true;
    const { defer } = this.#options;
    if (waited) defer(() => defer(() => this.#answer(id, reply)));
    else this.#answer(id, reply);
  }

  #answer(id: number, reply: Reply): void {
    const request = this.#inFlight.take(id);
    assert(request !== undefined, 'a request is answered once');
    if (!request.waits) this.#options.counts.inFlight[request.shard]!.give();
    if (!request.cancelled && !request.client.disconnected) request.client.deliver(reply);
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
  }

  /** The shard answers in any case, whether the request has left the line or was granted before: then it is over. */
  #cancel(id: number): void {
    const request = this.#inFlight.get(id);
    if (request === undefined || request.cancelled) return;
    request.cancelled = true;
    this.#send(request.shard, { kind: 'cancel', id });
  }

  #carry(command: Command, shards: readonly number[], scope: Footprint, client: ReplySink): Cancelable {
    const lane = this.#options.links.length;
    const id = this.#enter(command, shards[0]!, client);
    if (id === undefined) return uncancellable;
    this.#transactions += 1;
    const run = new Coordinator(`${this.#options.index}:${this.#transactions}`, this.#carrier);
    const waits = waitsForLock(command);
    if (!waits) this.#order.begin(scope);
    const reply = command.kind === 'batch' ? run.batch(command, shards) : run.list(listOf(command), shards);
    // A rejection is a bug: unhandled, it takes the process down.
    void reply.then((done) => {
      // Its messages to all shards are on their way: what follows cannot overtake it any more.
      if (!waits) this.#order.end(scope);
      this.#gate.pass(lane, done.rev, () => this.#finish(id, done));
    });
    return {
      cancel: () => {
        const request = this.#inFlight.get(id);
        if (request === undefined || request.cancelled) return;
        request.cancelled = true;
        run.cancel();
      },
    };
  }

  #refuse(client: ReplySink, why: Parameters<typeof failureReply>[1]): Cancelable {
    client.deliver(failureReply(this.#gate.durable, why));
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

const goingDown = failure('draining', 'The server is going down; nothing was done. Try again soon.');
const overloaded = failure(
  'overloaded',
  'Too many requests are in flight (limits.inflight_per_shard_max); nothing was done.',
);
const uncancellable: Cancelable = { cancel: () => {} };

function listOf(command: Exclude<Command, Batch>): ListCommand {
  assert('list' in commands[command.kind], 'only batches and lists span shards');
  return command as ListCommand;
}

function take<Value>(map: Map<number, Value>, id: number): Value | undefined {
  const value = map.get(id);
  map.delete(id);
  return value;
}
