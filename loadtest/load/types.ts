/** Types of the generators: the target, the workload, and a request with its reply. */

/**
 * Redis and NATS have their own protocols, pgbench loads PostgreSQL, the others speak HTTP. `resp`: commands of Dragon
 * Lock over the protocol of Redis.
 */
export type Dialect = 'dragonlock' | 'resp' | 'etcd' | 'redis' | 'nats' | 'sql';

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly token?: string;
  readonly dialect: Dialect;
  /** Ours: where Redis clients are served, if they are. */
  readonly respPort?: number;
}

/** Returns our server as Redis clients see it. */
export function overResp(target: Target, dialect: 'redis' | 'resp'): Target {
  if (target.respPort === undefined) throw new Error('expected a server that serves Redis clients (resp.listen)');
  return { host: target.host, port: target.respPort, dialect };
}

export interface HttpReply {
  readonly status: number;
  readonly body: string;
}

export interface HttpRequest {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  /** Path and body are ASCII. */
  readonly path: string;
  readonly body: string;
}

/** Redis: the words of a command. NATS: subject and payload, stored by JetStream. */
export type Command = readonly string[];

/** Random keys of `accounts` accounts with `keys` keys each. Other servers have as many keys in one space. */
export interface Keys {
  readonly accounts: number;
  readonly keys: number;
}

export type Workload =
  /** One value of `bytes` a request. */
  | (Keys & { readonly kind: 'kv.write'; readonly bytes: number })
  | (Keys & { readonly kind: 'kv.read' })
  /** An array of `writes` single-key batches a request. */
  | (Keys & { readonly kind: 'kv.array'; readonly bytes: number; readonly writes: number })
  /** One atomic batch that writes `writes` keys, wherever their shards are. */
  | (Keys & { readonly kind: 'kv.batch'; readonly bytes: number; readonly writes: number })
  /** A write under a new idempotency id. */
  | (Keys & { readonly kind: 'kv.idempotent'; readonly bytes: number })
  | (Keys & { readonly kind: 'counter' })
  /** A take from a rate limit that never refuses. */
  | (Keys & { readonly kind: 'limit' })
  | (Keys & { readonly kind: 'queue.enqueue'; readonly bytes: number })
  /** Enqueue; ack and dequeue. With more than one: arrays of so many, and one dequeue for all. A life is one unit. */
  | (Keys & QueueLives & { readonly kind: 'queue.life'; readonly run: string })
  /** Acks the message of a group and takes the next one, on a queue that is full of them. */
  | (Keys & { readonly kind: 'queue.handover'; readonly queue: string })
  /** Moves one from an account of a bank to another, in a script. */
  | (Keys & { readonly kind: 'script.transfer' })
  /** Makes a task of a new name, which is due in a day, into a queue. */
  | (Keys & { readonly kind: 'task.create'; readonly bytes: number })
  | (Keys & { readonly kind: 'sequence' })
  /** Lock and unlock in a loop: a pair is one unit. As a reader, or one of several with a permit, with `among`. */
  | (Keys & { readonly kind: 'lock'; readonly run: string; readonly among?: 'readers' | 'permits' })
  | (Keys & { readonly kind: 'mutex'; readonly run: string })
  /** The mix of a web application: half reads, the rest writes, counters, batches, locks. A request is one unit. */
  | (Keys & { readonly kind: 'mixed'; readonly run: string });

export interface QueueLives {
  readonly bytes: number;
  readonly messages: number;
  /** A queue that is filled before; absent: one of the run's own. */
  readonly queue?: string;
  /** Each message has a group of its own. */
  readonly groups?: true;
}

export type WorkloadKind = Workload['kind'];

export type LoadRequest = (HttpRequest | { readonly command: Command }) & {
  /** Units that are complete when this request is answered: 1 for the unlock of a pair, 0 for its lock. */
  readonly units: number;
};

/** A reply over any protocol: `status` 200 is success. */
export type Reply = HttpReply;
