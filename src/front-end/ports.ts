import type { MessagePort } from 'node:worker_threads';

/** The ports of one front end to shards and journal. */
export interface FrontEndPorts {
  readonly shards: readonly MessagePort[];
  /** Shared by all front ends and shards; see `ReplyCredit`. */
  readonly credit: SharedArrayBuffer;
  /** Reports the durable revision; absent with one shard, which reports it itself. */
  readonly journal: MessagePort | undefined;
}

/** URLs of files that a front end needs. */
export interface FrontEndFiles {
  /** The URL of the file that reads large bodies. */
  readonly bodyThread: string;
  /** The URL of the directory with the admin page's files. */
  readonly pageFiles: string;
  /** The URL of the file that runs scripts of Redis clients. */
  readonly scriptThread: string;
}
