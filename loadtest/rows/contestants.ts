/** The usual contestants: a workload on ours, on etcd, on Redis, on NATS, on PostgreSQL. */
import { runPgbench, type PgScript } from '../load/pgbench.ts';
import { runRedisBenchmark, type RedisLoad } from '../load/redis-benchmark.ts';
import type { LoadOrder } from '../load/load-spec.ts';
import type { Sample } from '../results.ts';
import type { ServerSettings } from '../servers/dragon-lock.ts';
import { makeNatsBucket } from '../servers/peers.ts';
import type { OnServer, Run, ServerSpec } from './row.ts';

export const oursTitle = 'Dragon Lock';

export type Load = Omit<LoadOrder, 'target' | 'seconds'>;

export interface HttpOptions {
  readonly title?: string;
  readonly server?: ServerSpec;
  readonly settings?: ServerSettings;
  readonly generator?: 'own';
  /** What the row is about, if not the rate. */
  readonly value?: (sample: Sample) => number;
}

export function ours(load: Load | ((run: Run) => Load), options: HttpOptions = {}): OnServer {
  const { title = oursTitle, server = { kind: 'dragonlock', settings: options.settings ?? {} } } = options;
  return overOwnWire(title, server, load, options);
}

export function etcd(load: Load | ((run: Run) => Load), options: HttpOptions = {}): OnServer {
  return overOwnWire('etcd', { kind: 'etcd' }, load, options);
}

/** Redis by the own generator, where its official one cannot: dialogues, fixed arrival rates. */
export function redisDialogue(load: Load | ((run: Run) => Load), options: HttpOptions = {}): OnServer {
  return overOwnWire('Redis', { kind: 'redis' }, load, { ...options, generator: 'own' });
}

export function nats(load: Load, options: HttpOptions = {}): OnServer {
  const contestant = overOwnWire('NATS', { kind: 'nats' }, load, { ...options, generator: 'own' });
  return { ...contestant, prepare: (_, server) => makeNatsBucket(server.target) };
}

function overOwnWire(
  title: string,
  server: ServerSpec,
  load: Load | ((run: Run) => Load),
  { generator, value }: HttpOptions,
): OnServer {
  return {
    title,
    server,
    async measure(run, running) {
      const order = typeof load === 'function' ? load(run) : load;
      const sample = await run.load(running, { ...order, seconds: run.seconds }, generator);
      return value === undefined ? sample : { ...sample, value: value(sample) };
    },
  };
}

/** Of the warm-up, which shows how many requests make a run of the wanted length. */
const calibratingPerConnection = 400;
const calibratingMax = 20_000;

export function redis(load: Omit<RedisLoad, 'port'>, value?: (sample: Sample) => number): OnServer {
  let perSecond: number | undefined;
  return {
    title: 'Redis',
    server: { kind: 'redis' },
    async measure(run, server) {
      const full = { ...load, port: server.target.port };
      // Requests that last about as long as the others' runs.
      const calibrating = Math.min(calibratingMax, load.connections * calibratingPerConnection) * (load.pipeline ?? 1);
      const requests = perSecond === undefined ? calibrating : Math.ceil(perSecond * run.seconds);
      const sample = await run.observe(server, (clock) => runRedisBenchmark(full, requests, clock, run.onSpawn));
      perSecond = sample.requests / sample.seconds;
      return value === undefined ? sample : { ...sample, value: value(sample) };
    },
  };
}

export function postgres(script: PgScript, connections: number, value?: (sample: Sample) => number): OnServer {
  return {
    title: 'PostgreSQL',
    server: { kind: 'postgres' },
    prepare: (_, { target }) => script.prepare(target.port),
    async measure(run, server) {
      const sample = await run.observe(server, (clock) =>
        runPgbench(
          { port: server.target.port, script, connections, seconds: run.seconds, threads: run.generators },
          clock,
          { directory: run.newDirectory(), onSpawn: run.onSpawn },
        ),
      );
      return value === undefined ? sample : { ...sample, value: value(sample) };
    },
  };
}
