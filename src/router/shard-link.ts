/**
 * The wire between a router and one shard. `ThreadShardLink` crosses to the shard's thread, `LocalShardLink` calls an
 * actor in the same thread (unit tests, simulation, debugging): the same router and the same actor either way.
 */
import type { MessagePort } from 'node:worker_threads';
import type { FromShard, ToShard } from '../protocol/messages.ts';
import { decodeFromShard, encodeToShard, type FromShardWire } from '../protocol/shard-wire.ts';
import type { ShardActor } from '../shard-worker/shard-actor.ts';

export interface ShardLink {
  send(messages: readonly ToShard[]): void;
  onMessage(listener: (message: FromShard) => void): void;
}

export class ThreadShardLink implements ShardLink {
  readonly #port: MessagePort;

  constructor(port: MessagePort) {
    this.#port = port;
  }

  send(messages: readonly ToShard[]): void {
    this.#port.postMessage(encodeToShard(messages));
  }

  onMessage(listener: (message: FromShard) => void): void {
    this.#port.on('message', (wire: FromShardWire) => listener(decodeFromShard(wire)));
  }
}

/** `defer` decides when the actor's turn comes: the next macrotask in a debugger, the scheduler's pick in a simulation. */
export class LocalShardLink implements ShardLink {
  readonly #actor: ShardActor;
  readonly #router: number;
  readonly #defer: (run: () => void) => void;
  #listener: (message: FromShard) => void = () => {};

  constructor(actor: ShardActor, router: number, defer: (run: () => void) => void) {
    this.#actor = actor;
    this.#router = router;
    this.#defer = defer;
  }

  send(messages: readonly ToShard[]): void {
    this.#actor.receive(this.#router, messages);
    this.#defer(() => this.#actor.turn());
  }

  onMessage(listener: (message: FromShard) => void): void {
    this.#listener = listener;
  }

  /** The actor's `send` for this router ends here. */
  deliver(message: FromShard): void {
    this.#defer(() => this.#listener(message));
  }
}
