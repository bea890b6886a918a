/**
 * The server works with every value that it accepts: it is started with the smallest and the largest value of each key
 * of config.yml, and asked for a bit of everything, the largest allowed requests included. The keys come from the
 * schema, so a new key is tried without a line here.
 *
 * `npm test` tries all keys of a section at once. `npm run torture` (`DRAGONLOCK_LOAD_SCALE=full`) starts a server for
 * each value, also for those that take long: threads by the hundred, gigabytes of zeros.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, test } from 'node:test';
import { configDefaults, configSchema, type Config } from '../../../src/front-end/config-schema.ts';
import { loadConfig } from '../../../src/main/config/config.ts';
import { limitRelations } from '../../../src/shared/limits.ts';
import { ServerUnderTest, type Method } from '../../support/server-under-test.ts';

type Value = number | string | boolean;
type Values = Record<string, Value>;

const mib = 1024 * 1024;
const full = process.env['DRAGONLOCK_LOAD_SCALE'] === 'full';
/** They have no smallest and no largest value. */
const others = [
  'listen',
  'admin.listen',
  'data_dir',
  'tokens',
  'tokens_file',
  'http.hosts',
  'http.trusted_proxies',
  'http.cors_origins',
  'http.socket_mode',
  'http.tls',
  'resp.listen',
  'resp.tls',
  'accounts',
  'backup.url',
  'backup.prune',
  'backup.recipients',
  'backup.s3',
  'tasks.allow',
  'machines.here',
  'machines.list',
  'cluster.engine',
  'cluster.engine_single',
  'cluster.require_sync',
];
/** Too slow for `npm test`. */
const slow: Values = { shards: 256, 'http.threads': 64, 'journal.segment_bytes': 2 ** 30 };

interface Node {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly anyOf?: readonly Node[];
  readonly enum?: readonly Value[];
  readonly minimum?: number;
  readonly maximum?: number;
}

interface Extremes {
  /** Nested keys have a dot. */
  readonly name: string;
  readonly smallest: Value;
  readonly largest: Value;
}

function* extremes(node: Node, name: string): Generator<Extremes> {
  if (others.includes(name)) return;
  if (node.properties !== undefined) {
    for (const [key, child] of Object.entries(node.properties)) {
      yield* extremes(child, name === '' ? key : `${name}.${key}`);
    }
  } else if (node.anyOf !== undefined) {
    for (const branch of node.anyOf) if (branch.type === 'integer') yield* extremes(branch, name);
  } else if (node.enum !== undefined) {
    yield { name, smallest: node.enum[0]!, largest: node.enum.at(-1)! };
  } else if (node.type === 'integer') {
    assert(Number.isSafeInteger(node.minimum) && Number.isSafeInteger(node.maximum), `${name} has both ends`);
    yield { name, smallest: node.minimum!, largest: node.maximum! };
  } else if (node.type === 'boolean') {
    yield { name, smallest: false, largest: true };
  } else assert.fail(`${name}: what are its smallest and its largest value?`);
}

/** Moves other keys as far as `limitRelations` demands. */
function withRoom(values: Values): Values {
  const all: Values = { ...values };
  const valueOf = (name: string): number => {
    const [section = '', key = ''] = name.split('.');
    return Number(all[name] ?? (configDefaults as unknown as Record<string, Record<string, number>>)[section]![key]);
  };
  for (let round = 0; round < limitRelations.length; round += 1) {
    for (const { inner, times, outer } of limitRelations) {
      if (times * valueOf(inner) <= valueOf(outer)) continue;
      if (all[outer] === undefined) all[outer] = times * valueOf(inner);
      else all[inner] = Math.floor(valueOf(outer) / times);
    }
  }
  return all;
}

/** YAML; a server without a word about it has one shard and one front end, as two cores would give it. */
function yamlOf(values: Values): string {
  const sections: Record<string, Value | Record<string, Value>> = {};
  for (const [name, value] of Object.entries(values)) {
    const [section = '', key] = name.split('.');
    if (key === undefined) sections[section] = value;
    else sections[section] = { ...(sections[section] as object), [key]: value };
  }
  return JSON.stringify(sections);
}

/** @param parallelBytes of the values that are written at once */
async function works(values: Values, parallelBytes = full ? 64 * mib : 16 * mib): Promise<void> {
  const config = yamlOf(withRoom({ 'http.threads': 1, shards: 1, ...values }));
  const accepted = loadConfig({ argv: ['--config', 'x'], env: {}, cores: 2, readFile: () => config });
  const server = ServerUnderTest.prepare({ config });
  let passed = false;
  try {
    await start(server, accepted.log.level === 'silent' || !isPatient(accepted));
    await askEverything(server, accepted, parallelBytes);
    assert.equal(await server.terminate(), 0);
    passed = true;
  } finally {
    await server.dispose(passed);
  }
}

/** No request of this test meets a timeout. */
function isPatient({ http }: Config): boolean {
  const times = Object.entries(http).filter(([name]) => name.endsWith('_ms'));
  return times.every(([, value]) => Number(value) >= 1000);
}

/** A server that logs nothing does not say where it listens, and an impatient one may not answer at once. */
async function start(server: ServerUnderTest, quiet: boolean): Promise<void> {
  if (!quiet) return server.start();
  const listen = `127.0.0.1:${await freePort()}`;
  server.launch({ listen });
  server.url = `http://${listen}`;
  const ready = (): Promise<number> =>
    fetch(`${server.url}/readyz`).then(
      ({ status }) => status,
      () => 0,
    );
  assert.equal(await until200(ready), 200);
}

async function freePort(): Promise<number> {
  const holder = net.createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  const { port } = holder.address() as net.AddressInfo;
  holder.close();
  await once(holder, 'close');
  return port;
}

async function askEverything(server: ServerUnderTest, config: Config, parallelBytes: number): Promise<void> {
  const { limits } = config;
  const hasTime = isPatient(config);
  const hasRoom = Math.min(limits.connections_max, limits.connections_per_address_max) > 16;
  /** An answer, whatever it is, but for 500. With the shortest timeouts, or room for few, the connection may close instead. */
  const ask = async (method: Method, target: string, body?: unknown): Promise<number> => {
    try {
      return (await server.call(method, target, body)).status;
    } catch (error) {
      if ((hasTime && hasRoom) || error instanceof assert.AssertionError) throw error;
      return 0;
    }
  };
  const small: readonly (readonly [Method, string, unknown?])[] = [
    ['POST', '/db/a/kv/k', 1],
    ['GET', '/db/a/kv/k'],
    ['POST', '/db/a/counter/c?add=1'],
    ['POST', '/db/a/seq/s'],
    ['POST', '/db/a/lock/l?id=o'],
    ['POST', '/db/a/lock/l?id=p&wait=0.01'],
    ['DELETE', '/db/a/lock/l?id=o'],
    ['POST', '/db/a/mutex/m?id=o'],
    ['DELETE', '/db/a/mutex/m?id=o'],
    ['GET', '/db/a/kv?limit=1000'],
    ['POST', '/watch/a', { ID: 'k', Version: 0, Wait: 0.01 }],
    ['POST', '/watch/a', { Prefix: '', After: 0, Wait: 0.01 }],
    ['POST', '/db/a', { IdempotencyIDs: ['x', 'y'], KVSet: [{ Key: 'p', Value: 1 }], KVGet: 'k' }],
    ['POST', '/db/a', [{ KVGet: 'k' }, { KVGet: 'p' }]],
    ['GET', '/metrics'],
  ];
  for (const [method, target, body] of small) await ask(method, target, body);

  // The largest requests: of several values, of one, many at a time, and one that is too large.
  const value = 'v'.repeat(Math.max(0, Math.min(limits.value_bytes_max, limits.body_bytes_max - 100) - 2));
  const each = value.length + 40;
  const count = Math.max(1, Math.min(Math.floor((limits.body_bytes_max - 50) / each), limits.batch_operations_max));
  const sets = Array.from({ length: count }, (_, i) => ({ Key: `large-${i}`, Value: value }));
  assert.ok(JSON.stringify({ KVSet: sets }).length <= limits.body_bytes_max);
  await ask('POST', '/db/a', { KVSet: sets });
  const parallel = Math.max(2, Math.min(128, Math.floor(parallelBytes / each)));
  await Promise.all(
    Array.from({ length: parallel }, (_, i) => ask('POST', `/db/a/kv/large-${i}`, JSON.stringify(value))),
  );
  await ask('POST', '/db/a', { KVGet: sets.slice(0, 10).map(({ Key }) => Key) });
  const tooLarge = await ask('POST', '/db/a/kv/k', ' '.repeat(limits.body_bytes_max) + '1');
  if (hasTime && hasRoom) assert.equal(tooLarge, 413);
  if (hasTime && hasRoom && limits.store_bytes_max > 2 ** 20)
    assert.equal((await server.call('POST', '/db/a/kv/k', 1)).status, 200);
  assert.equal(await until200(() => ask('GET', '/livez')), 200);
}

async function until200(ask: () => Promise<number>): Promise<number> {
  for (let tries = 600; ; tries -= 1) {
    const status = await ask();
    if (status === 200 || tries === 0) return status;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const keys = [...extremes(configSchema, '')];

describe('a server works with', { concurrency: 2 }, () => {
  test('128 large values at a time, although a group of them fills several segments', () =>
    works(
      { 'limits.body_bytes_max': 262_144, 'limits.value_bytes_max': 200_000, 'journal.segment_bytes': 1_048_576 },
      64 * mib,
    ));
  for (const end of ['smallest', 'largest'] as const) {
    for (const [section, names] of Map.groupBy(keys, ({ name }) => name.split('.').slice(0, -1).join('.'))) {
      const values = names.map((key): [string, Value] => [key.name, key[end]]);
      const quick = values.filter(([name, value]) => slow[name] !== value);
      test(`the ${end} values of ${section === '' ? 'the file' : section}`, { skip: full }, () =>
        works(Object.fromEntries(quick)),
      );
      for (const [name, value] of values) {
        test(`${name}: ${value}`, { skip: !full }, () => works({ [name]: value }));
      }
    }
  }
});

test('every key of config.yml is tried', () => {
  const tried = new Set(keys.map(({ name }) => name));
  const listed = Object.entries(configDefaults).flatMap(([key, value]) =>
    typeof value === 'object' && !Array.isArray(value) ? Object.keys(value).map((inner) => `${key}.${inner}`) : [key],
  );
  assert.deepEqual(
    listed.filter((name) => !tried.has(name)),
    others,
  );
});
