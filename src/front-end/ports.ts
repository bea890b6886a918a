import type { MessagePort } from 'node:worker_threads';

/** The ports of one front end to shards and journal. */
export interface FrontEndPorts {
  readonly shards: readonly MessagePort[];
  /** Shared by all front ends and shards; see `ReplyCredit`. */
  readonly credit: SharedArrayBuffer;
  /** Reports the durable revision; absent with one shard, which reports it itself. */
  readonly journal: MessagePort | undefined;
}
