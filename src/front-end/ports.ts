import type { MessagePort } from 'node:worker_threads';

/** What one front end needs to reach everything behind it. */
export interface FrontEndPorts {
  readonly shards: readonly MessagePort[];
  /** Of all front ends and shards, see `ReplyCredit`. */
  readonly credit: SharedArrayBuffer;
  /** Tells what is durable; absent when the only shard does. */
  readonly journal: MessagePort | undefined;
}
