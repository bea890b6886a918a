/**
 * The schema of config.yml and its defaults. The schema describes the file; `Config` is what the server gets: complete,
 * checked, and with tokens only as hashes.
 */
import { Type, type Static } from 'typebox';
import { backupDefaults, type BackupSettings } from '../backup/backup-settings.ts';
import { accountsSchema, type AccountConfig } from './accounts-schema.ts';
import { backupSchema } from './backup-schema.ts';
import { clusterDefaults, clusterSchema, type ClusterConfig } from './cluster-schema.ts';
import { count, countMax, quotaMax, threadsUpTo } from './config-numbers.ts';
import { httpSchema } from './http-schema.ts';
import type { Listen } from './listen.ts';
import type { MachinesConfig } from './machines.ts';
import { machinesDefaults, machinesSchema } from './machines-schema.ts';
import { logDefaults, logSchema, type LogSettings } from './request-log-settings.ts';
import { taskDefaults, tasksSchema, type TaskSettings } from './tasks-schema.ts';
import { scriptsDefaults, scriptsSchema, type ScriptSettings } from './script-settings.ts';
import { tlsDefaults, tlsSchema, type TlsFiles } from './tls-schema.ts';
import { defaultLimits, replyBytesMax, segmentBytesMax, segmentBytesMin, type Limits } from '../shared/limits.ts';

const mib = 1024 * 1024;
const closed = { additionalProperties: false };

export const scopes = ['read', 'write', 'force', 'task', 'script', 'admin', 'operator'] as const;
export type Scope = (typeof scopes)[number];

const tokenSchema = Type.Object(
  {
    token: Type.Optional(Type.String({ pattern: '^\\S+$', expected: 'the token as text, without spaces' })),
    token_file: Type.Optional(Type.String({ minLength: 1, expected: 'a path of a file with the token' })),
    sha256: Type.Optional(
      Type.String({ pattern: '^[0-9a-fA-F]{64}$', expected: 'the SHA-256 of the token: 64 hex digits' }),
    ),
    name: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9._-]{1,64}$',
        expected: 'a name for logs, not a secret: 1 to 64 characters of A-Z a-z 0-9 . _ -',
      }),
    ),
    accounts: Type.Union(
      [Type.Literal('*'), Type.Array(Type.String({ pattern: '^[A-Za-z0-9._-]{1,64}$' }), { minItems: 1 })],
      { expected: '"*", or a list of accounts (1 to 64 characters of A-Z a-z 0-9 . _ - each)' },
    ),
    scopes: Type.Array(Type.Enum(scopes, { expected: `one of ${scopes.join(', ')}` }), {
      minItems: 1,
      uniqueItems: true,
      expected: `a list of ${scopes.join(', ')}`,
    }),
  },
  { ...closed, expected: '{token, token_file or sha256, name, accounts, scopes}' },
);
export const tokensSchema = Type.Array(tokenSchema, {
  expected: 'a list of {token, token_file or sha256, accounts, scopes}',
});

/** Of memory that clients may hold: any more is a mistake in the unit. */
const budgetMax = 2 ** 38;
/** Each may have 32 idempotency ids, which are entries of one `Map`. */
const shardWaitersMax = 500_000;

/**
 * The smallest and the largest value with which a server works: a test starts one with each of them.
 *
 * A text in V8 has at most 2^29 − 24 characters, and a reply may be eight times as long as its request.
 */
const limitRanges: Readonly<Record<keyof Limits, readonly [min: number, max: number]>> = {
  body_bytes_max: [1024, 32 * mib],
  value_bytes_max: [1, replyBytesMax],
  batch_operations_max: [1, 10_000],
  inflight_per_shard_max: [1, countMax],
  waiters_per_lock_max: [0, countMax],
  consumers_per_queue_max: [0, countMax],
  waiters_per_shard_max: [0, shardWaitersMax],
  mutexes_per_shard_max: [0, countMax],
  watchers_max: [0, countMax],
  connections_max: [1, countMax],
  connections_per_address_max: [1, countMax],
  stream_buffer_bytes_max: [1024, budgetMax],
  unread_bytes_max: [1024, budgetMax],
  arriving_bytes_max: [1024, budgetMax],
  inflight_bytes_max: [1024, budgetMax],
  waiting_bytes_max: [1024, budgetMax],
  watching_bytes_max: [1024, budgetMax],
  history_bytes_max: [1024, budgetMax],
  account_inflight_max: [0, countMax],
  account_waiters_max: [0, shardWaitersMax],
  account_watchers_max: [0, countMax],
  account_mutexes_per_shard_max: [0, countMax],
  account_connections_max: [0, countMax],
  account_inflight_bytes_max: [0, budgetMax],
  account_waiting_bytes_max: [0, budgetMax],
  account_watching_bytes_max: [0, budgetMax],
  account_requests_per_second: [0, countMax],
  account_bytes_max: [0, quotaMax],
  account_entries_max: [0, quotaMax],
  account_messages_max: [0, quotaMax],
  account_tasks_max: [0, quotaMax],
  // Half of the address space that LMDB gets.
  store_bytes_max: [mib, 2 ** 39],
  // A memtable's places are numbers of 31 bits, in units of 8 bytes.
  memtable_bytes_max: [mib, 2 ** 32],
  write_wait_ms: [0, 60_000],
};

function limitUnit(name: string): string {
  const none = name.startsWith('account_') ? '0 = no limit' : '';
  const unit = name.includes('bytes')
    ? 'bytes'
    : name.endsWith('per_second')
      ? 'requests a second'
      : name.endsWith('_ms')
        ? 'ms'
        : '';
  return unit !== '' && none !== '' ? `${unit}, ${none}` : `${unit}${none}`;
}

const limitsSchema = Type.Object(
  Object.fromEntries(Object.entries(limitRanges).map(([name, [min, max]]) => [name, count(min, limitUnit(name), max)])),
  { ...closed, expected: 'an object' },
);

const section = { ...closed, expected: 'an object' };
const address = Type.String({ expected: 'host:port, [IPv6]:port, unix:/PATH or fd:NAME' });
const optionalAddress = Type.String({ expected: 'host:port, [IPv6]:port, unix:/PATH or fd:NAME, or "" for none' });

export const configSchema = Type.Object(
  {
    listen: Type.Optional(
      Type.Union([address, Type.Array(address, { minItems: 1, uniqueItems: true })], {
        expected: 'host:port, [IPv6]:port, unix:/PATH or fd:NAME, or a list of them',
      }),
    ),
    ui: Type.Optional(Type.Boolean({ expected: 'true or false' })),
    admin: Type.Optional(Type.Object({ listen: Type.Optional(optionalAddress) }, section)),
    metrics: Type.Optional(
      Type.Object({ accounts: Type.Optional(Type.Boolean({ expected: 'true or false' })) }, section),
    ),
    data_dir: Type.Optional(Type.String({ minLength: 1, expected: 'a path' })),
    shards: threadsUpTo(256),
    tokens: Type.Optional(tokensSchema),
    tokens_file: Type.Optional(Type.String({ expected: 'a path of a file with a list as in tokens' })),
    http: httpSchema,
    resp: Type.Optional(
      Type.Object(
        {
          listen: Type.Optional(optionalAddress),
          tls: tlsSchema,
        },
        section,
      ),
    ),
    limits: Type.Optional(limitsSchema),
    accounts: accountsSchema,
    scripts: scriptsSchema,
    journal: Type.Optional(
      Type.Object(
        {
          segment_bytes: count(segmentBytesMin, 'bytes', segmentBytesMax),
          keep_bytes: count(0, 'bytes', 2 ** 50),
        },
        section,
      ),
    ),
    backup: Type.Optional(backupSchema),
    tasks: tasksSchema,
    machines: Type.Optional(machinesSchema),
    cluster: Type.Optional(clusterSchema),
    log: logSchema,
  },
  section,
);

export type ConfigFile = Omit<Static<typeof configSchema>, 'limits'> & { readonly limits?: Partial<Limits> };

export interface TokenConfig {
  /** Hex, lower case. */
  readonly sha256: string;
  /** Says in logs whose token it is; unique, and no secret. */
  readonly name: string;
  readonly accounts: readonly string[] | '*';
  readonly scopes: readonly Scope[];
  /** It could be guessed. */
  readonly isShort?: boolean;
}

export interface Config {
  /** At least one, and, where it is configured, the one of the admin page. */
  readonly listen: readonly Listen[];
  /** The admin page is served. */
  readonly ui: boolean;
  /** Whether `/metrics`, which needs no token, tells of single accounts. */
  readonly metrics: { readonly accounts: boolean };
  readonly data_dir: string;
  readonly shards: number;
  readonly tokens: readonly TokenConfig[];
  readonly http: {
    readonly threads: number;
    /** Plain requests pass Node's HTTP server by. */
    readonly fast_lane: boolean;
    /** Names under which a server without tokens is served, besides loopback addresses. */
    readonly hosts: readonly string[];
    /** Other machines reach the server only over a proxy, which speaks TLS with them. */
    readonly behind_proxy: boolean;
    /** Addresses and ranges whose `X-Forwarded-For` the log of requests believes. */
    readonly trusted_proxies: readonly string[];
    /** Origins of web pages that may call the server; only with tokens. */
    readonly cors_origins: readonly string[];
    /** Of Unix sockets. */
    readonly socket_mode: number;
    /** Absent: no TLS. */
    readonly tls: TlsFiles | undefined;
    readonly header_timeout_ms: number;
    readonly request_timeout_ms: number;
    readonly keep_alive_timeout_ms: number;
    readonly write_timeout_ms: number;
  };
  readonly resp: {
    /** Absent: no door for Redis clients. */
    readonly listen: Listen | undefined;
    /** Absent: no TLS. */
    readonly tls: TlsFiles | undefined;
  };
  readonly limits: Limits;
  readonly accounts: readonly AccountConfig[];
  readonly scripts: ScriptSettings;
  readonly journal: { readonly segment_bytes: number; readonly keep_bytes: number };
  readonly backup: BackupSettings;
  readonly tasks: TaskSettings;
  readonly machines: MachinesConfig;
  readonly cluster: ClusterConfig;
  readonly log: LogSettings;
}

/** As in config.yml at the root of the repository; a test compares the two. */
export const configDefaults = {
  listen: '127.0.0.1:8081',
  ui: true,
  admin: { listen: '' },
  metrics: { accounts: false },
  data_dir: './data',
  shards: 'auto',
  tokens: [],
  tokens_file: '',
  http: {
    threads: 'auto',
    fast_lane: true,
    hosts: [],
    behind_proxy: false,
    trusted_proxies: [],
    cors_origins: [],
    socket_mode: '0600',
    tls: tlsDefaults,
    header_timeout_ms: 10_000,
    request_timeout_ms: 60_000,
    keep_alive_timeout_ms: 72_000,
    write_timeout_ms: 30_000,
  },
  resp: { listen: '', tls: tlsDefaults },
  limits: defaultLimits,
  accounts: [],
  scripts: scriptsDefaults,
  journal: { segment_bytes: 64 * mib, keep_bytes: 256 * mib },
  backup: backupDefaults,
  tasks: taskDefaults,
  machines: machinesDefaults,
  cluster: clusterDefaults,
  log: logDefaults,
} as const satisfies Required<ConfigFile>;
