/**
 * The requests that shards have not answered. Each is counted when it enters, until its reply comes from the gate, even
 * if its client has disconnected meanwhile:
 *
 *   counted ──enter──► in flight ──reply──► [held for a rate limit] ──► answered; a grant that nobody takes is returned
 *      └──refused──► dropped
 */
import type { Failure } from '../protocol/errors.ts';
import { ownerOf } from '../protocol/partition.ts';
import type { Command } from '../protocol/operations/operations.ts';
import type { Grant, Reply } from '../protocol/replies.ts';
import { assert } from '../shared/assert.ts';
import type { After } from '../shared/clock.ts';
import type { Limits } from '../shared/limits.ts';
import { overloaded } from './batch-array/batch-array-requests.ts';
import type { Cancelable, ReplySink } from './dispatcher.ts';
import { InFlightTable } from './in-flight-table.ts';
import type { Load, RequestLoads } from './request-loads.ts';
import type { RouterCounts } from './router-counts.ts';
import type { ShardMail } from './shard-mail.ts';

/** A request whose memory is counted. */
export interface InFlight extends Load {
  readonly sink: ReplySink;
  /** What it is a part of, if that is counted as one: an array body. */
  readonly part: Load | undefined;
  shard: number;
  /** The client has disconnected, even if `sink` does not say so. */
  cancelled: boolean;
}

export interface InFlightRequestsOptions {
  readonly mail: ShardMail;
  readonly loads: RequestLoads;
  readonly limits: Limits;
  readonly counts: Pick<RouterCounts, 'inFlight'>;
  readonly nextId: () => number;
  readonly refuse: (sink: ReplySink, why: Failure) => Cancelable;
  /** Called after each answer. */
  readonly onAnswered: () => void;
  readonly defer: (run: () => void) => void;
  readonly after: After;
}

export class InFlightRequests {
  readonly #options: InFlightRequestsOptions;
  readonly #table: InFlightTable<InFlight>;
  /** Replies that are held for a rate limit: what ends each hold early. */
  readonly #held = new Map<number, () => void>();
  #draining = false;

  constructor(options: InFlightRequestsOptions) {
    this.#options = options;
    this.#table = new InFlightTable(options.nextId);
  }

  get size(): number {
    return this.#table.size;
  }

  toShard(command: Command, shard: number, request: InFlight): Cancelable {
    const id = this.enter(shard, request);
    if (id === undefined) return uncancellable;
    this.#options.mail.send(shard, { kind: 'request', id, command });
    return request.waits ? { waits: true, cancel: () => this.cancel(id) } : uncancellable;
  }

  /** Counts a request as in flight at `shard`, the first that it needs, or refuses it. */
  enter(shard: number, request: InFlight): number | undefined {
    const { limits, counts, loads } = this.#options;
    if (!request.waits && !counts.inFlight[shard]!.take(limits.inflight_per_shard_max)) {
      this.drop(request, overloaded);
      return undefined;
    }
    const refused = loads.takeOne(request);
    if (refused !== undefined) {
      if (!request.waits) counts.inFlight[shard]!.give();
      this.drop(request, refused);
      return undefined;
    }
    request.shard = shard;
    return this.#table.add(request);
  }

  /** Refuses a request whose memory is counted. */
  drop(request: InFlight, why: Failure): Cancelable {
    this.#options.loads.drop(request.part ?? request);
    return this.#options.refuse(request.sink, why);
  }

  /**
   * Answers a request. A client may have disconnected while it stood in line for a lock. Deferring twice runs this in the next
   * turn of the event loop, after libuv has polled the sockets, so that a pending disconnect is seen before the grant
   * is sent. Deferring once would run it in this turn, whose poll may be long past if the thread was busy or had no
   * CPU.
   */
  finish(id: number, reply: Reply): void {
    if (reply.heldMs !== undefined) return this.#hold(id, reply, reply.heldMs);
    const { defer } = this.#options;
    if (reply.grant?.waited === true) defer(() => defer(() => this.#answer(id, reply)));
    else this.#answer(id, reply);
  }

  /**
   * The shard answers in any case: the request has left the wait queue, or was granted before.
   * @param stop stops a request over several shards
   */
  cancel(id: number, stop?: () => void): void {
    const request = this.#table.get(id);
    if (request === undefined || request.cancelled) return;
    request.cancelled = true;
    const letGo = this.#held.get(id);
    if (letGo !== undefined) return letGo();
    if (stop !== undefined) return stop();
    this.#options.mail.send(request.shard, { kind: 'cancel', id, account: request.use.account });
  }

  returnGrant(grant: Grant): void {
    const { mail } = this.#options;
    mail.send(ownerOf(grant.account, grant.id, mail.shards), { kind: 'grant.return', grant });
    if (grant.also !== undefined) this.returnGrant(grant.also);
  }

  /** Holds no reply any more: they say for how long they would have been held, and their clients wait for the rest. */
  drain(): void {
    this.#draining = true;
    for (const letGo of this.#held.values()) letGo();
  }

  #hold(id: number, reply: Reply, heldMs: number): void {
    const request = this.#table.get(id);
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
    const request = this.#table.take(id);
    assert(request !== undefined, 'a request is answered once');
    if (!request.waits) this.#options.counts.inFlight[request.shard]!.give();
    this.#options.loads.give(request.part ?? request);
    if (!request.cancelled && !request.sink.disconnected) request.sink.deliver(reply);
    else if (reply.grant !== undefined) this.returnGrant(reply.grant);
    this.#options.onAnswered();
  }
}

export const uncancellable: Cancelable = { cancel: () => {} };
