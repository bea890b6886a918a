/** The usual contestants: a workload on Dragon Lock, etcd, Redis, NATS or PostgreSQL. */
import { runPgbench, type PgScript } from '../load/pgbench.ts';
import { runRedisBenchmark, type RedisLoad } from '../load/redis-benchmark.ts';
import type { LoadSpec } from '../load/load-spec.ts';
import type { Sample } from '../results.ts';
import type { ServerSettings } from '../servers/dragon-lock.ts';
import { makeNatsBucket } from '../servers/peers.ts';
import type { ServerContestant, Run, ServerSpec } from './row.ts';

export const oursTitle = 'Dragon Lock';

export type Load = Omit<LoadSpec, 'target' | 'seconds'>;

export interface ContestantOptions {
  readonly title?: string;
  readonly server?: ServerSpec;
  readonly settings?: ServerSettings;
  readonly generator?: 'built-in';
  /** The value of the row, if not the rate. */
  readonly value?: (sample: Sample) => number;
}

export function ours(load: Load | ((run: Run) => Load), options: ContestantOptions = {}): ServerContestant {
  const { title = oursTitle, server = { kind: 'dragonlock', settings: options.settings ?? {} } } = options;
  return loadContestant(title, server, load, options);
}

export function etcd(load: Load | ((run: Run) => Load), options: ContestantOptions = {}): ServerContestant {
  return loadContestant('etcd', { kind: 'etcd' }, load, options);
}

/** Redis under the built-in generator, for what redis-benchmark cannot do: dialogues, fixed arrival rates. */
export function redisDialogue(load: Load | ((run: Run) => Load), options: ContestantOptions = {}): ServerContestant {
  return loadContestant('Redis', { kind: 'redis' }, load, { ...options, generator: 'built-in' });
}

export function nats(load: Load, options: ContestantOptions = {}): ServerContestant {
  const contestant = loadContestant('NATS', { kind: 'nats' }, load, { ...options, generator: 'built-in' });
  return { ...contestant, prepare: (_, server) => makeNatsBucket(server.target) };
}

function loadContestant(
  title: string,
  server: ServerSpec,
  load: Load | ((run: Run) => Load),
  { generator, value }: ContestantOptions,
): ServerContestant {
  return {
    title,
    server,
    async measure(run, running) {
      const spec = typeof load === 'function' ? load(run) : load;
      const sample = await run.load(running, { ...spec, seconds: run.seconds }, generator);
      return value === undefined ? sample : { ...sample, value: value(sample) };
    },
  };
}

/** Requests of the warm-up, which shows how many requests a run of the right length needs. */
const calibratingPerConnection = 400;
const calibratingMax = 20_000;

export function redis(load: Omit<RedisLoad, 'port'>, value?: (sample: Sample) => number): ServerContestant {
  return redisBenchmark('Redis', { kind: 'redis' }, load, value);
}

/** Our server with its door for Redis clients. */
export const withResp: ServerSpec = { kind: 'dragonlock', settings: { resp: { listen: '127.0.0.1:0' } } };

/** Ours under Redis' own generator. */
export function oursOverResp(load: Omit<RedisLoad, 'port'>, value?: (sample: Sample) => number): ServerContestant {
  return redisBenchmark(oursTitle, withResp, load, value);
}

function redisBenchmark(
  title: string,
  spec: ServerSpec,
  load: Omit<RedisLoad, 'port'>,
  value: ((sample: Sample) => number) | undefined,
): ServerContestant {
  let perSecond: number | undefined;
  return {
    title,
    server: spec,
    async measure(run, server) {
      const { respPort, port } = server.target;
      const full = { ...load, port: respPort ?? port };
      // As many requests as fill about the seconds of a run.
      const calibrating = Math.min(calibratingMax, load.connections * calibratingPerConnection) * (load.pipeline ?? 1);
      const requests = perSecond === undefined ? calibrating : Math.ceil(perSecond * run.seconds);
      const sample = await run.observe(server, (clock) => runRedisBenchmark(full, requests, clock, run.onSpawn));
      perSecond = sample.requests / sample.seconds;
      return value === undefined ? sample : { ...sample, value: value(sample) };
    },
  };
}

export function postgres(script: PgScript, connections: number, value?: (sample: Sample) => number): ServerContestant {
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
