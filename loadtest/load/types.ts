/** What the load's files say to each other: whom to load, with what, and one request and its reply. */

/** Whose requests: Redis and NATS speak their own protocols, PostgreSQL is left to pgbench, the others speak HTTP. */
export type Dialect = 'dragonlock' | 'etcd' | 'redis' | 'nats' | 'sql';

export interface Target {
  readonly host: string;
  readonly port: number;
  readonly token?: string;
  readonly dialect: Dialect;
}

export interface HttpReply {
  readonly status: number;
  readonly body: string;
}

export interface HttpAsk {
  readonly method?: 'GET' | 'POST' | 'DELETE';
  /** ASCII, as is the body. */
  readonly path: string;
  readonly body: string;
}

/** Redis: the words of a command. NATS: subject and payload, stored by JetStream. */
export type Command = readonly string[];

/** Keys of `accounts` accounts with `keys` keys each, picked at random; other servers have as many keys in one space. */
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
  /** A write under an idempotency id that nobody used before. */
  | (Keys & { readonly kind: 'kv.idempotent'; readonly bytes: number })
  | (Keys & { readonly kind: 'counter' })
  | (Keys & { readonly kind: 'sequence' })
  /** Lock, unlock, again: a pair is one unit. */
  | (Keys & { readonly kind: 'lock'; readonly run: string })
  | (Keys & { readonly kind: 'mutex'; readonly run: string })
  /** What a web application does: half reads, the rest writes, counters, checks, locks. A request is one unit. */
  | (Keys & { readonly kind: 'mixed'; readonly run: string });

export type WorkloadKind = Workload['kind'];

export type Ask = (HttpAsk | { readonly command: Command }) & {
  /** Of the row's unit that are done when this request is answered: 1 for the unlock of a pair. */
  readonly units: number;
};

/** What comes back, over HTTP or not: `status` 200 is success. */
export type Reply = HttpReply;
