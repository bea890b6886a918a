/**
 * One or more routers and the actors of some shards, joined by queues that the test can inspect, and a journal that
 * makes records durable on command. Nothing happens by itself: `settle` takes one step after the other (a shard's turn,
 * a message's arrival, a group commit) until none is left, in an order that a seed chooses.
 */
import { workMeter } from './work-meter.ts';
import { accountId, revision, shardId, type Revision } from '../../src/protocol/ids.ts';
import type { Journal } from '../../src/protocol/journal.ts';
import type { FromShard, ToShard } from '../../src/protocol/wire/shard-messages.ts';
import { ownerOf } from '../../src/protocol/partition.ts';
import { decodeRecord, peekRecord, type CommitRecord, type RecordChunk } from '../../src/protocol/record.ts';
import type { Reply } from '../../src/protocol/replies.ts';
import { LocalRevisions } from './local-revisions.ts';
import {
  decodeFromShard,
  decodeToShard,
  encodeFromShard,
  encodeToShard,
  type ToShardWire,
} from '../../src/protocol/wire/shard-wire.ts';
import { FileJournalSource } from '../../src/journal/file/file-journal-source.ts';
import type { ReplySink, Cancelable } from '../../src/router/dispatcher.ts';
import { PrefixWatches } from '../../src/router/watch/prefix-watches.ts';
import { RouterCounts } from '../../src/router/router-counts.ts';
import { Router } from '../../src/router/router.ts';
import { systemAfter, type After } from '../../src/shared/clock.ts';
import { defaultLimits, recordBytesMax, type Limits } from '../../src/shared/limits.ts';
import { newShardState, type ShardState } from '../../src/shard-worker/core/state/state.ts';
import { ShardActor } from '../../src/shard-worker/shard-actor.ts';
import { startOfTime, type Body } from './core-under-test.ts';
import { FaultDisk } from './fault-disk.ts';
import { MapEntries } from './map-entries.ts';
import { seededRandom, type SeededRandom } from './seeded-random.ts';
import { noCheckpoints } from './no-checkpoints.ts';
import type { Batch, Command } from '../../src/protocol/operations/operations.ts';
import { replyStatus } from './reply-status.ts';

/** A client of the router: remembers its reply, and disconnects when the test says so. */
export class AskedClient implements ReplySink {
  disconnected = false;
  reply: Reply | undefined;
  pending: Cancelable | undefined;
  /** The number of replies that this server gave before. */
  order = -1;
  readonly #next: () => number;

  constructor(next: () => number) {
    this.#next = next;
  }

  deliver(reply: Reply): void {
    if (this.reply !== undefined) throw new Error('a client is answered twice');
    if (this.disconnected) throw new Error('a client that has disconnected is answered');
    this.reply = reply;
    this.order = this.#next();
  }

  hangUp(): void {
    this.disconnected = true;
    this.pending?.cancel();
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

export interface RouterTestOptions {
  readonly shards: number;
  readonly routers?: number;
  readonly limits?: Partial<Limits>;
  readonly recordBytesMax?: number;
  /** The last revision before the test. */
  readonly last?: Revision;
  /** Seeds the order of steps; absent: first come, first served. */
  readonly seed?: number;
}

interface Step {
  readonly run: () => void;
}

export class RouterUnderTest {
  now = startOfTime;
  /** While set, nothing becomes durable. */
  journalStands = false;
  journalSpace: ReturnType<Journal['space']> = 'open';
  /** Front ends that get no message from any shard for now: those stay on their way. */
  readonly deaf = new Set<number>();
  readonly counts: RouterCounts;
  readonly routers: readonly Router[];
  readonly states: readonly ShardState[];
  readonly records: CommitRecord[] = [];
  readonly #revisions: LocalRevisions;
  readonly #handedOver = new Map<number, CommitRecord>();
  readonly #listeners: ((durable: Revision) => void)[] = [];
  readonly #actors: ShardActor[];
  /** [router][shard] */
  readonly #toShard: ToShardWire[][][];
  readonly #fromShard: ReturnType<typeof encodeFromShard>[][][];
  readonly #arrive: ((message: FromShard, taken: () => void) => void)[][];
  readonly #wakeAt: number[];
  /** Messages for which the router has not given the credit back. */
  #untaken = 0;
  readonly #timers = new Set<{ readonly at: number; readonly run: () => void }>();
  #deferred: (() => void)[] = [];
  readonly #random: SeededRandom | undefined;
  #replies = 0;

  constructor(options: RouterTestOptions) {
    const { shards, routers = 1 } = options;
    const limits = { ...defaultLimits, ...options.limits };
    this.#revisions = new LocalRevisions(options.last ?? revision(1000));
    this.#random = options.seed === undefined ? undefined : seededRandom(options.seed);
    const grid = <Item>(make: () => Item): Item[][] =>
      Array.from({ length: routers }, () => Array.from({ length: shards }, make));
    this.#toShard = grid(() => []);
    this.#fromShard = grid(() => []);
    this.#arrive = grid(() => () => {});
    this.#wakeAt = Array.from({ length: shards }, () => Infinity);
    this.states = Array.from({ length: shards }, (_, index) =>
      newShardState({
        shard: shardId(index),
        limits,
        entries: new MapEntries(),
        revisions: this.#revisions,
        owns: (account, key) => ownerOf(account, key, shards) === index,
        recordBytesMax: options.recordBytesMax ?? recordBytesMax(64 * 1024 * 1024),
        boot: { epoch: 1, rev: revision(0), at: this.now },
      }),
    );
    this.#actors = this.states.map(
      (state, index) =>
        new ShardActor({
          state,
          clock: { now: () => this.now },
          journal: this.#journal(),
          checkpoints: noCheckpoints,
          send: (router, message) => this.#fromShard[router]![index]!.push(encodeFromShard(message)),
          congestion: () => 'none',
          meter: workMeter(),
          wake: (delayMs) => (this.#wakeAt[index] = this.now + delayMs),
        }),
    );
    const counts = new RouterCounts(RouterCounts.allocate(shards), shards);
    this.counts = counts;
    this.routers = Array.from({ length: routers }, (_, index) => {
      const router = new Router({
        index,
        links: this.states.map((_, shard) => ({
          send: (messages: readonly ToShard[]) => void this.#toShard[index]![shard]!.push(encodeToShard(messages)),
          onMessage: (listener) => (this.#arrive[index]![shard] = listener),
        })),
        durable: () => this.#revisions.durable(),
        awaitDurable: () => {},
        limits,
        counts,
        prefixWatches: new PrefixWatches({
          source: new FileJournalSource(new FaultDisk(1), '/journal'),
          durable: () => this.#revisions.durable(),
          limits,
          counts,
          defer: (run) => this.#deferred.push(run),
          after: systemAfter,
        }),
        journalStats: () => Promise.reject(new Error('there is none')),
        defer: (run) => this.#deferred.push(run),
        after: this.after,
      });
      this.#listeners.push((durable) => this.#deferred.push(() => router.advance(durable)));
      return router;
    });
  }

  readonly after: After = (delayMs, run) => {
    const timer = { at: this.now + delayMs, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  };

  get router(): Router {
    return this.routers[0]!;
  }

  /** Sends a command; nothing happens before `settle`. */
  send(command: Command, router = 0): AskedClient {
    const client = this.client();
    client.pending = this.routers[router]!.request(command, client);
    return client;
  }

  /** Sends batches as one array. Each has a client of its own, and all have disconnected when the first has. */
  sendArray(batches: readonly Batch[], router = 0): AskedClient[] {
    const clients = batches.map(() => this.client());
    const pending = this.routers[router]!.requestAll(batches, {
      get disconnected() {
        return clients[0]!.disconnected;
      },
      deliver: (place, reply) => clients[place]!.deliver(reply),
    });
    for (const client of clients) client.pending = pending;
    return clients;
  }

  /** Returns the messages on their way to a shard, as the shard will see them. */
  onTheirWay(shard: number, router = 0): ToShard[] {
    return this.#toShard[router]![shard]!.flatMap((wire) => decodeToShard(wire));
  }

  client(): AskedClient {
    return new AskedClient(() => this.#replies++);
  }

  async ask(command: Command, router = 0): Promise<AskedClient> {
    const client = this.send(command, router);
    await this.settle();
    return client;
  }

  /** Asks and expects success. */
  async ok(command: Command, router = 0): Promise<Body> {
    const client = await this.ask(command, router);
    if (client.waits || client.status !== 200) throw new Error(`refused: ${client.reply?.body ?? 'it waits'}`);
    return client.body;
  }

  /** Takes steps until none is left at this moment. */
  async settle(): Promise<void> {
    while (await this.step());
  }

  /** Takes one step, and runs the promises that it resolves. Returns false if there is nothing to do. */
  async step(): Promise<boolean> {
    await promisesSettle();
    const steps = this.#steps();
    if (steps.length === 0) return false;
    steps[this.#random === undefined ? 0 : this.#random.below(steps.length)]!.run();
    await promisesSettle();
    return true;
  }

  /** Time passes for the router alone: its timers run, and no message arrives. */
  tick(ms: number): void {
    this.now += ms;
    for (const timer of this.#timers) {
      if (timer.at <= this.now && this.#timers.delete(timer)) timer.run();
    }
  }

  /** Settles at every deadline on the way. */
  async advance(ms: number): Promise<void> {
    const end = this.now + ms;
    for (;;) {
      await this.settle();
      const at = Math.min(...this.#wakeAt, ...Array.from(this.#timers, (timer) => timer.at));
      if (at > end) break;
      this.tick(Math.max(0, at - this.now));
      this.#wakeAt.forEach((wake, shard) => {
        if (wake > this.now) return;
        this.#wakeAt[shard] = Infinity;
        this.#actors[shard]!.turn();
      });
    }
    this.now = end;
    await this.settle();
  }

  /** Asserts that no state in memory is left that only a request in flight may keep. */
  leftovers(): Record<string, number> {
    const { accounts, inFlight, inFlightBytes, waitingBytes, watchingBytes, awaitingTransactions } = this.counts;
    const left: Record<string, number> = Object.fromEntries(
      Object.entries({
        accounts: accounts.used,
        inFlightBytes: inFlightBytes.value,
        waitingBytes: waitingBytes.value,
        watchingBytes: watchingBytes.value,
        awaitingTransactions: awaitingTransactions.value,
        inFlight: inFlight.reduce((sum, { value }) => sum + value, 0),
        untaken: this.#untaken,
      }).filter(([, count]) => count > 0),
    );
    for (const state of this.states) {
      const sizes = {
        holds: state.holds.size,
        blocked: state.blocked.size,
        leasesExpired: state.locks.expired,
        transactions: state.transactions.size,
        waiters: state.waitQueues.size,
        inProgress: state.inProgress.size,
        waitQueues: state.waitQueues.openQueues,
        blockedQueues: state.waitQueues.blockedQueues,
        watched: state.watched.size,
      };
      for (const [name, size] of Object.entries(sizes)) if (size > 0) left[name] = (left[name] ?? 0) + size;
    }
    return left;
  }

  #steps(): Step[] {
    const steps: Step[] = [];
    if (this.#deferred.length > 0) steps.push({ run: () => this.#deferred.shift()!() });
    this.#actors.forEach((actor, shard) => {
      this.#toShard.forEach((queues, router) => {
        const queue = queues[shard]!;
        if (queue.length === 0) return;
        steps.push({
          run: () => {
            actor.receive(router, decodeToShard(queue.shift()!));
            actor.turn();
          },
        });
      });
    });
    this.#wakeAt.forEach((wake, shard) => {
      if (wake > this.now) return;
      const run = (): void => {
        this.#wakeAt[shard] = Infinity;
        this.#actors[shard]!.turn();
      };
      steps.push({ run });
    });
    this.#fromShard.forEach((queues, router) => {
      if (this.deaf.has(router)) return;
      queues.forEach((queue, shard) => {
        if (queue.length === 0) return;
        const run = (): void => {
          this.#untaken += 1;
          this.#arrive[router]![shard]!(decodeFromShard(queue.shift()!), () => (this.#untaken -= 1));
        };
        steps.push({ run });
      });
    });
    if (!this.journalStands && this.#handedOver.has(this.#revisions.durable() + 1)) {
      steps.push({ run: () => this.#groupCommit() });
    }
    return steps;
  }

  #journal(): Journal {
    return {
      append: (chunk: RecordChunk) => {
        const bytes = Buffer.from(chunk.bytes);
        for (let at = 0; at < bytes.length; at += peekRecord(bytes, at).length) {
          const record = decodeRecord(bytes, at);
          this.#handedOver.set(record.rev, record);
        }
      },
      whenDurable: () => {},
      space: () => this.journalSpace,
      checkpointed: () => {},
    };
  }

  #groupCommit(): void {
    let durable: number = this.#revisions.durable();
    for (let next = this.#handedOver.get(durable + 1); next !== undefined; ) {
      durable += 1;
      this.records.push(next);
      this.#handedOver.delete(durable);
      next = this.#handedOver.get(durable + 1);
    }
    this.#revisions.setDurable(revision(durable));
    for (const listener of this.#listeners) listener(revision(durable));
  }
}

/** Returns a key of account `acme` that this shard owns, one for each number. */
export function keyOn(shard: number, shards: number, number = 0, start = 'k'): string {
  let left = number;
  for (let i = 0; ; i++) {
    const key = `${start}${i}`;
    if (ownerOf(accountId('acme'), key, shards) === shard && left-- === 0) return key;
  }
}

function promisesSettle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
