/**
 * The transactions of one front end: a command starts once every earlier transaction that shares a key with it has
 * ended (`TransactionOrder`), and a `Coordinator` runs each command over several shards.
 */
import { takesSet } from '../../protocol/operations/lock-sets.ts';
import { footprintOf, type Footprint } from '../../protocol/footprint.ts';
import { commands, type Batch, type Command, type ListCommand } from '../../protocol/operations/operations.ts';
import type { Revision } from '../../protocol/ids.ts';
import type { TransactionAnswer } from '../../protocol/wire/shard-messages.ts';
import { assert } from '../../shared/assert.ts';
import type { SharedCount } from '../../shared/shared-count.ts';
import { overloaded } from '../batch-array/batch-array-requests.ts';
import type { Cancelable } from '../dispatcher.ts';
import { uncancellable, type InFlight, type InFlightRequests } from '../in-flight-requests.ts';
import { InFlightTable } from '../in-flight-table.ts';
import type { RequestLoads } from '../request-loads.ts';
import { shardsOf } from '../route.ts';
import type { ShardMail } from '../shard-mail.ts';
import { Coordinator, type Participants } from './coordinator.ts';
import { TransactionOrder } from './transaction-order.ts';

export interface TransactionsOptions {
  /** Index of this front end; part of every transaction's name. */
  readonly index: number;
  readonly mail: ShardMail;
  readonly requests: InFlightRequests;
  readonly loads: RequestLoads;
  readonly nextId: () => number;
  /** Calls `release` once `rev` is durable. */
  readonly whenDurable: (rev: Revision, release: () => void) => void;
  readonly awaiting: SharedCount;
  readonly awaitingMax: number;
  readonly defer: (run: () => void) => void;
}

/** A question of a transaction to a shard. */
interface Asked {
  readonly resolve: (answer: TransactionAnswer) => void;
  readonly onWaiting: (() => void) | undefined;
}

/** A command over several shards. */
interface Spanning {
  readonly shards: readonly number[];
  readonly footprint: Footprint;
  readonly request: InFlight;
}

export class Transactions {
  readonly #options: TransactionsOptions;
  readonly #asked: InFlightTable<Asked>;
  readonly #participants: Participants;
  readonly #order: TransactionOrder;
  #names = 0;

  constructor(options: TransactionsOptions) {
    this.#options = options;
    const { mail, whenDurable, awaiting, awaitingMax, defer, nextId } = options;
    this.#asked = new InFlightTable(nextId);
    this.#order = new TransactionOrder({ count: awaiting, waitingMax: awaitingMax, defer });
    this.#participants = {
      shards: mail.shards,
      ask: (shard, message, onWaiting) => {
        const { promise: answer, resolve } = Promise.withResolvers<TransactionAnswer>();
        const id = this.#asked.add({ resolve, onWaiting });
        mail.send(shard, { ...message, id });
        return { id, answer };
      },
      tell: (shard, message) => mail.send(shard, message),
      durable: (rev) => new Promise((resolve) => whenDurable(rev, resolve)),
    };
  }

  /** Questions that shards have not answered. */
  get size(): number {
    return this.#asked.size;
  }

  /** No transaction is under way that a command would have to stay behind. */
  get idle(): boolean {
    return this.#order.idle;
  }

  /** Starts a command when it is its turn. @param toShard starts one that needs a single shard */
  admit(command: Command, request: InFlight, toShard: (shard: number) => Cancelable): Cancelable {
    const { mail, loads, requests } = this.#options;
    const shards = shardsOf(command, mail.shards);
    // Several locks are reserved one by one, also on one shard.
    const spans = shards.length > 1 || (command.kind === 'batch' && takesSet(command));
    if (!spans && this.#order.idle) return toShard(shards[0]!);
    const footprint = footprintOf(command);
    let started: Cancelable | undefined;
    let cancelled = false;
    const admitted = this.#order.admit(command.account, footprint, () => {
      if (cancelled) return loads.drop(request.part ?? request);
      started = spans ? this.#coordinate(command, { shards, footprint, request }) : toShard(shards[0]!);
    });
    if (!admitted) return requests.drop(request, overloaded);
    return {
      waits: request.waits,
      cancel: () => {
        cancelled = true;
        started?.cancel();
      },
    };
  }

  /** A shard has answered a question. */
  answered(id: number, answer: TransactionAnswer): void {
    if (answer.kind === 'waiting') this.#asked.get(id)?.onWaiting?.();
    else this.#asked.take(id)?.resolve(answer);
  }

  #coordinate(command: Command, { shards, footprint, request }: Spanning): Cancelable {
    const { index, requests, whenDurable } = this.#options;
    const id = requests.enter(shards[0]!, request);
    if (id === undefined) return uncancellable;
    this.#names += 1;
    const coordinator = new Coordinator(`${index}:${this.#names}`, command.account, this.#participants);
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
      whenDurable(done.rev, () => requests.finish(id, done));
    });
    return { waits: request.waits, cancel: () => requests.cancel(id, () => coordinator.cancel()) };
  }
}

function listOf(command: Exclude<Command, Batch>): ListCommand {
  assert('list' in commands[command.kind], 'only batches and lists span shards');
  return command as ListCommand;
}
