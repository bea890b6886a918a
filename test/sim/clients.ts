/**
 * The clients of a simulated server. They send requests, wait and disconnect, and check every answer when it arrives.
 * They also check what must hold between answers, as far as clients can know it: wait queues are FIFO, mutex fences
 * grow, no client waits for something that is available.
 */
import { kinds } from '../../src/protocol/record.ts';
import type { Reply } from '../../src/protocol/replies.ts';
import type { BatchReplySink, ReplySink, Cancelable, WatchedKey } from '../../src/router/dispatcher.ts';
import { surelyCommitted, type Answer, type Operation, type Restart } from '../support/checkers/history.ts';
import { Span, type Body } from '../support/contract/expected.ts';
import type { ReplyBody } from '../support/reply-body.ts';
import { decodeLockRecord } from '../../src/shard-worker/core/state/lock-record.ts';
import type { LockRecord } from '../../src/shard-worker/core/state/lease.ts';
import { isOfSharedLocks, sharedNames } from '../support/generators/shared-lock.ts';
import { checkReply } from './check-reply.ts';
import { WaitOrder, SendOrder } from './order.ts';
import { readyMessage } from './ready-messages.ts';
import { Violation } from './trace.ts';
import { checkKeyWatch, PrefixWatcher } from './watchers.ts';
import { accounts, keys, type Request } from './workload.ts';
import type { World } from './world.ts';
import type { Batch, Command } from '../../src/protocol/operations/operations.ts';
import { replyStatus } from '../support/reply-status.ts';

interface Asked extends ReplySink {
  disconnected: boolean;
  readonly request: Request;
  readonly router: number;
  readonly sentAt: number;
  /** The highest fence of its mutex that any client knew. */
  readonly mutexFloor: number;
  pending: Cancelable | undefined;
  /** All requests of the same body, this one included: they have one client. */
  together: readonly Asked[];
}

interface KeyWatch extends ReplySink {
  disconnected: boolean;
  readonly account: (typeof accounts)[number];
  readonly asked: ReadonlyMap<string, number>;
  /** The highest revision that any client had seen when it was sent. */
  readonly shown: number;
  pending: Cancelable | undefined;
}

const underWayMax = 14;

export class Clients {
  readonly waitOrder = new WaitOrder();
  readonly #order: SendOrder;
  /** Recorded for checkers that replay a whole history. */
  readonly operations: Operation[] = [];
  readonly restarts: Restart[] = [];
  readonly #world: World;
  readonly #underWay = new Set<Asked>();
  readonly #keyWatches = new Set<KeyWatch>();
  readonly #prefixWatchers: PrefixWatcher[];
  readonly #mutexHandles = new Map<string, number>();
  readonly #unanswered = new Map<number, Operation>();
  readonly #expected = new Map<number, (body: ReplyBody) => void>();
  #diedAt = 0;

  constructor(world: World) {
    this.#world = world;
    const { counts, random, timeline } = world;
    this.#order = new SendOrder(world.routers);
    const seen = { show: (rev: number, what: string) => world.show(rev, what), counts, random, timeline };
    const make = (account: number, prefix: string, streams: boolean): PrefixWatcher =>
      new PrefixWatcher(seen, accounts[account]!, prefix, streams);
    this.#prefixWatchers = [make(0, '', false), make(0, 'd/', true), make(0, '', true), make(1, '', false)];
  }

  get waiting(): number {
    return this.#underWay.size + this.#keyWatches.size;
  }

  /** Makes one client do one thing. */
  act(): void {
    const { random, server } = this.#world;
    if (server === undefined) return;
    const draw = random.below(20);
    if (draw === 0) return this.#vanish(this.#underWay);
    if (draw === 1) return random.below(3) === 0 ? this.#vanish(this.#keyWatches) : this.#watchKeys();
    if (draw <= 3) return this.#watchPrefix();
    if (this.#underWay.size >= underWayMax) return;
    if (random.below(8) === 0) this.#askArray();
    else this.#ask(this.#world.workload.next());
  }

  restarted(boot: { readonly at: number; readonly rev: number }, upAt: number): void {
    this.restarts.push({ downAt: this.#diedAt, startedAt: boot.at, upAt, rev: boot.rev });
  }

  serverDied(): void {
    this.#diedAt = this.#world.now;
    for (const asked of this.#underWay) this.operations.push(this.#unanswered.get(asked.request.number)!);
    this.waitOrder.restarted();
    this.#order.restarted();
    this.#unanswered.clear();
    this.#underWay.clear();
    this.#keyWatches.clear();
    for (const watcher of this.#prefixWatchers) watcher.forget();
  }

  /** Call when all messages have arrived and all is durable: every request that still waits must have a reason. */
  checkIdle(): void {
    const { timeline, now } = this.#world;
    for (const watcher of this.#prefixWatchers) watcher.checkIdle();
    // Writes that wait for a checkpoint, and what is behind them, are looked at when it is made.
    if (this.#world.server?.holdsWrites() === true) return;
    for (const { account, asked } of this.#keyWatches) {
      for (const [key, version] of asked) {
        const entry = timeline.at(kinds.kv, account, key, Infinity);
        const over = entry !== undefined && entry.till !== 0 && entry.till <= now;
        if (!over && (entry?.rev ?? 0) !== version)
          throw new Violation(`I10: a watcher of ${key}@${version} was not told of ${entry?.rev ?? 0}`);
      }
    }
    for (const { request } of this.#underWay) {
      const { command, number } = request;
      if (mayBeHeld(command)) continue;
      const consumer = command.kind === 'batch' ? command.dequeue : undefined;
      if (consumer !== undefined && consumer.waitMs > 0) {
        const ready = readyMessage(timeline, command.account, consumer.key, Math.floor(now));
        if (ready === undefined) continue;
        throw new Violation(`request ${number} waits for a message of ${consumer.key}, and ${ready} is ready`);
      }
      if (isOfSharedLocks(command)) {
        this.#checkSharedWait(request);
        continue;
      }
      const ask = command.kind === 'batch' || command.kind === 'mutex.lock' ? command.lock : undefined;
      if (ask === undefined || ask.waitMs === 0)
        throw new Violation(`request ${number} was never answered: ${JSON.stringify(command)}`);
      if (command.kind === 'mutex.lock') continue;
      const lock = timeline.lock(command.account, ask.id, Infinity);
      if (lock?.record.lease === undefined) throw new Violation(`request ${number} waits for ${ask.id}, which is free`);
    }
    for (const account of accounts) {
      for (const [id, { value }] of timeline.entries(kinds.lock, account, Infinity)) {
        const record = decodeLockRecord(value!);
        const lease = record.mode === 'exclusive' ? record.holders[0] : undefined;
        if (lease !== undefined && lease.fence > timeline.boot.rev && this.waitOrder.heldByVanished(lease.owner))
          throw new Violation(`the lock ${id} is kept for ${lease.owner}, which has vanished`);
      }
    }
  }

  /** Who waits for locks that several hold waits for a holder, and readers alone never wait for readers. */
  #checkSharedWait({ number, command }: Request): void {
    const { timeline } = this.#world;
    const { account, lock, locks = [] } = command as Batch;
    const wanted = lock === undefined ? locks : [lock];
    if (!wanted.some(({ waitMs }) => waitMs > 0))
      throw new Violation(`request ${number} was never answered: ${JSON.stringify(command)}`);
    const recordOf = (id: string): LockRecord | undefined => {
      const stored = timeline.at(kinds.lock, account, id, Infinity);
      return stored && decodeLockRecord(stored.value!);
    };
    const isHeld = (id: string): boolean => {
      const record = recordOf(id);
      return record !== undefined && (record.mode === 'exclusive' ? record.holders.length : record.count) > 0;
    };
    // A set may wait in the lines of some while it waits for the holder of another one.
    const setsWait = [...this.#underWay].some(({ request }) => (request.command as Batch).locks !== undefined);
    const names = setsWait ? sharedNames : wanted.map(({ id }) => id);
    if (!names.some(isHeld)) throw new Violation(`request ${number} waits for ${names.join(', ')}, free`);
    if (setsWait || lock?.read !== true || recordOf(lock.id)?.mode !== 'read') return;
    const isBehindWriter = [...this.#underWay].some(({ request: { command: other } }) => {
      const { lock: ask } = other as Batch;
      return ask?.id === lock.id && other.account === account && ask.read !== true;
    });
    if (!isBehindWriter) throw new Violation(`request ${number} waits to read ${lock.id}, which only readers hold`);
  }

  /** Call when nothing moves any more: every request that still waits must have a reason. */
  finish(): void {
    const { timeline } = this.#world;
    for (const watcher of this.#prefixWatchers) watcher.resume();
    for (const watcher of this.#prefixWatchers) watcher.leave();
    if (timeline.synced !== timeline.last) throw new Violation(`revision ${timeline.last} never becomes durable`);
  }

  /** Sends this request, whatever the workload has next. */
  askFor(command: Command): Promise<ReplyBody> {
    return new Promise((answered) => {
      const request = this.#world.workload.numbered(command);
      this.#expected.set(request.number, answered);
      this.#ask(request);
    });
  }

  describeWaiting(): string {
    return [
      ...Array.from(this.#underWay, ({ request }) => JSON.stringify(request.command)),
      ...Array.from(this.#keyWatches, ({ asked }) => `watch ${[...asked].join(' ')}`),
    ].join('\n  ');
  }

  #ask(request: Request): void {
    const { server, random, routers } = this.#world;
    const router = random.below(routers);
    const asked = this.#begin(request, router);
    asked.pending = server!.routers[router]!.request(request.command, asked);
  }

  /** Sends the next requests: those that may be in an array body as one array, the others before it, one by one. */
  #askArray(): void {
    const { server, random, routers, workload, counts } = this.#world;
    const requests = Array.from({ length: 2 + random.below(5) }, () => workload.next());
    const { account } = requests[0]!.command;
    const inArray = requests.filter(({ command }) => mayBeInArray(command) && command.account === account);
    for (const request of requests) if (!inArray.includes(request)) this.#ask(request);
    // No door passes on an empty array.
    if (inArray.length === 0) return;
    if (inArray.length > 1) counts.add('array');
    const router = random.below(routers);
    const asked = inArray.map((request) => this.#begin(request, router));
    const client: BatchReplySink = {
      get disconnected() {
        return asked[0]!.disconnected;
      },
      deliver: (place, reply) => asked[place]!.deliver(reply),
    };
    const batches = inArray.map(({ command }) => command as Batch);
    const pending = server!.routers[router]!.requestAll(batches, client);
    for (const each of asked) {
      each.pending = pending;
      each.together = asked;
    }
  }

  /** Records that the request is sent now. */
  #begin(request: Request, router: number): Asked {
    const world = this.#world;
    const { number, command, what } = request;
    world.trace.note(`ask ${number} ${what} ${JSON.stringify(command)}`);
    const asked: Asked = {
      disconnected: false,
      request,
      router,
      sentAt: Math.floor(world.now),
      mutexFloor:
        command.kind === 'mutex.lock' ? (this.#mutexHandles.get(`${command.account}/${command.lock.id}`) ?? 0) : 0,
      pending: undefined,
      together: [],
      deliver: (reply) => this.#answered(asked, reply),
    };
    asked.together = [asked];
    this.#underWay.add(asked);
    this.waitOrder.asked(request);
    this.#order.sent(router, number);
    // Time may stand still while the server starts, but requests of two lives must be distinguishable.
    const sentAt = Math.max(world.now, this.#diedAt + 0.001);
    this.#unanswered.set(number, { id: number, client: number, call: command, sentAt });
    return asked;
  }

  #answered(asked: Asked, reply: Reply): void {
    const { trace, counts, timeline, workload, now } = this.#world;
    const { request, sentAt } = asked;
    const { number, command, what } = request;
    trace.note(`answer ${number} ${reply.rev} ${replyStatus(reply)} ${reply.body}`);
    if (asked.disconnected) throw new Violation(`request ${number} is answered, but its client has disconnected`);
    if (!this.#underWay.delete(asked)) throw new Violation(`request ${number} is answered twice`);
    this.#world.show(reply.rev, `the answer to request ${number}`);
    const body = JSON.parse(reply.body) as ReplyBody;
    const asOperation = this.#unanswered.get(number)!;
    const at = Math.max(now, asOperation.sentAt);
    const whole = { at, status: replyStatus(reply), body: JSON.parse(reply.body) as Body, rev: reply.rev };
    const answer: Answer = reply.replayed ? { ...whole, replayed: true } : whole;
    checkReply(timeline, asOperation, answer, new Span(sentAt, Math.floor(now)));
    counts.add(`${what}: ${replyStatus(reply) === 200 ? 'ok' : body.Code}`);
    if (command.kind === 'mutex.lock' && replyStatus(reply) === 200)
      this.#mutexGranted(command, body.Lock, asked.mutexFloor);
    workload.answered(command, replyStatus(reply), body);
    if (replyStatus(reply) === 200) {
      this.waitOrder.granted(request, body);
      timeline.shares.checkTold(command, body.Lock);
    }
    // A refusal may come early, before what it shares with others was looked at.
    const happened = replyStatus(reply) === 200 && !reply.replayed;
    if (happened) this.#order.answered(asked.router, request, reply.rev, surelyCommitted(command, answer));
    this.operations.push({ ...asOperation, answer });
    this.#expected.get(number)?.(body);
    this.#unanswered.delete(number);
    // A watch after a write that an earlier watcher may not have heard of yet.
    if (happened && command.kind === 'batch' && command.set !== undefined && this.#keyWatches.size > 0) {
      if (this.#world.random.below(4) === 0) this.#watchKeys();
    }
  }

  /** Handles that were known when the request was sent are lower, except the owner's own: over restarts too. */
  #mutexGranted(command: Extract<Command, { kind: 'mutex.lock' }>, fence: number, floor: number): void {
    const name = `${command.account}/${command.lock.id}`;
    if (fence < floor) throw new Violation(`I8: mutex fence ${fence} after ${floor}`);
    this.#mutexHandles.set(name, Math.max(this.#mutexHandles.get(name) ?? 0, fence));
  }

  #vanish(from: Set<Asked> | Set<KeyWatch>): void {
    const client = [...from][this.#world.random.below(from.size || 1)];
    if (client === undefined) return;
    this.#world.trace.note('a client vanishes');
    let again: Command | undefined;
    this.#world.counts.add('client vanished');
    if ('request' in client) {
      for (const each of client.together) {
        each.disconnected = true;
        if (!this.#underWay.delete(each)) continue;
        this.operations.push(this.#unanswered.get(each.request.number)!);
        this.waitOrder.vanished(each.request);
      }
      again = client.request.command;
    } else {
      client.disconnected = true;
      this.#keyWatches.delete(client);
    }
    client.pending?.cancel();
    // Who has lost the connection while it asked for a share may ask again, before the server knows of that.
    if (again !== undefined && isOfSharedLocks(again) && this.#world.random.below(2) === 0)
      this.#ask(this.#world.workload.numbered(again, 'shared lock'));
  }

  #watchKeys(): void {
    const { random, server, routers, timeline, trace } = this.#world;
    if (this.#keyWatches.size > 4) return;
    const account = accounts[random.below(5) === 0 ? 1 : 0]!;
    const asked = new Map<string, number>();
    for (let i = 1 + random.below(2); i > 0; i -= 1) {
      const key = keys[random.below(keys.length)]!;
      // Mostly the current version, so that there is something to wait for.
      const version = timeline.at(kinds.kv, account, key, timeline.shown)?.rev ?? 0;
      asked.set(key, random.below(5) === 0 ? 0 : version);
    }
    const watch: KeyWatch = {
      disconnected: false,
      account,
      asked,
      shown: timeline.shown,
      pending: undefined,
      deliver: (reply) => this.#changed(watch, reply),
    };
    trace.note(`watch ${[...asked].join(' ')}`);
    this.#keyWatches.add(watch);
    const list: WatchedKey[] = Array.from(asked, ([key, version]) => ({ key, version }));
    watch.pending = server!.routers[random.below(routers)]!.watchKeys(account, list, random.below(4000), watch);
  }

  #changed(watch: KeyWatch, reply: Reply): void {
    const { counts, timeline, now, trace } = this.#world;
    trace.note(`changed ${reply.rev} ${replyStatus(reply)} ${reply.body}`);
    if (!this.#keyWatches.delete(watch)) throw new Violation('a key watch is answered twice');
    counts.add(`watch key: ${replyStatus(reply)}`);
    this.#world.show(reply.rev, 'a key watch');
    checkKeyWatch({ ...watch, timeline, now: Math.floor(now) }, reply);
  }

  #watchPrefix(): void {
    const { random, server, routers, trace } = this.#world;
    const index = random.below(this.#prefixWatchers.length);
    const watcher = this.#prefixWatchers[index]!;
    trace.note(`prefix watcher ${index}`);
    if (!watcher.waits) watcher.start(server!.routers[random.below(routers)]!);
    else if (random.below(8) === 0) watcher.leave();
    else watcher.resume();
  }
}

function mayBeInArray(command: Command): boolean {
  return (
    command.kind === 'batch' &&
    command.format === 'batch' &&
    command.locks === undefined &&
    !(command.lock ?? command.dequeue)?.waitMs
  );
}

/** Whether its reply may be held until what it has taken of a limit begins, or what the first request of its id has. */
function mayBeHeld(command: Command): boolean {
  if (command.kind !== 'batch') return false;
  return command.idempotency?.mode === 'replay' || command.limit?.some(({ waitMs }) => waitMs > 0) === true;
}
