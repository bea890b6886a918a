/**
 * The wire between a router and one shard. `ThreadShardLink` crosses to the shard's thread; `QueueShardLink` uses a
 * queue in the same thread (tests, simulation, debugging). Router and shard actor are the same either way.
 */
import type { MessagePort } from 'node:worker_threads';
import type { FromShard, ToShard } from '../protocol/wire/shard-messages.ts';
import { ReplyCredit } from '../protocol/wire/reply-credit.ts';
import {
  decodeFromShard,
  encodeToShard,
  messageLength,
  type FromShardWire,
  type ToShardWire,
} from '../protocol/wire/shard-wire.ts';

export interface ShardLink {
  send(messages: readonly ToShard[]): void;
  /** @param listener calls `taken`, if given, once it keeps nothing of the message any more */
  onMessage(listener: (message: FromShard, taken?: () => void) => void): void;
}

export class ThreadShardLink implements ShardLink {
  readonly #port: MessagePort;
  readonly #credit: ReplyCredit;

  constructor(port: MessagePort, credit: ReplyCredit) {
    this.#port = port;
    this.#credit = credit;
  }

  send(messages: readonly ToShard[]): void {
    this.#port.postMessage(encodeToShard(messages));
  }

  onMessage(listener: (message: FromShard, taken?: () => void) => void): void {
    this.#port.on('message', (wire: FromShardWire) => {
      const message = decodeFromShard(wire);
      const length = messageLength(message);
      if (length < ReplyCredit.small) listener(message);
      else listener(message, () => setImmediate(() => this.#credit.taken(length)));
    });
  }
}

/** Passes the same wire arrays through a queue that is not a MessagePort. */
export class QueueShardLink implements ShardLink {
  readonly #post: (wire: ToShardWire) => void;
  #listener: (message: FromShard) => void = () => {};

  constructor(post: (wire: ToShardWire) => void) {
    this.#post = post;
  }

  send(messages: readonly ToShard[]): void {
    this.#post(encodeToShard(messages));
  }

  onMessage(listener: (message: FromShard) => void): void {
    this.#listener = listener;
  }

  /** Takes a message that the shard has posted to this router. */
  deliver(wire: FromShardWire): void {
    this.#listener(decodeFromShard(wire));
  }
}
