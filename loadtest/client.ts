/**
 * `node loadtest/client.ts [--seconds 5]`: what one process gets done through the client, beside what ioredis with
 * auto-pipelining gets done against a Redis that syncs each write. 400 writers share one client, each sets one 64-byte
 * value at a time. Both clients put together what is asked for in one turn of the event loop.
 *
 * Three rounds, in each everyone in turn, so that a machine that gets busy is as busy for each; the median is shown.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { ClientOrder, ClientResult } from './load/client-process.ts';
import { cpuTimes } from './process-stats.ts';
import { DragonLock } from './servers/dragon-lock.ts';
import type { LoadedServer } from './servers/loaded-server.ts';
import { findPeer, startPeer } from './servers/peers.ts';
import { medianBy, short, thousands } from './statistics.ts';

interface Run {
  readonly rate: number;
  readonly clientCpu: number;
  readonly serverCpu: number;
}

const writers = 400;
const rounds = 3;
const processFile = path.resolve(import.meta.dirname, 'load/client-process.ts');
const { values: flags } = parseArgs({ options: { seconds: { type: 'string', default: '5' } } });
const seconds = Number(flags.seconds);
if (!(seconds >= 1 && seconds <= 600)) throw new TypeError('--seconds: wanted 1 to 600');

const children = new Set<ChildProcess>();
const work = fs.mkdtempSync(path.resolve('.loadtest-'));
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  fs.rmSync(work, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));

const redis = findPeer('redis');
if ('program' in redis) process.stdout.write(`Without ${redis.program}, which ${redis.install} brings\n`);
const kinds = (['dragonlock', 'ioredis', 'dragonlock-ids'] as const).filter(
  (kind) => kind !== 'ioredis' || !('program' in redis),
);
const runs = new Map<ClientOrder['client'], Run[]>(kinds.map((kind) => [kind, []]));
for (let round = 0; round < rounds; round += 1) {
  for (const kind of kinds) {
    const directory = fs.mkdtempSync(path.join(work, 'data-'));
    const server =
      kind === 'ioredis' ? await startPeer('redis', directory, track) : await DragonLock.start(directory, {}, track);
    runs.get(kind)!.push(await measure(kind, server));
    await server.stop();
  }
}
for (const [kind, all] of runs)
  process.stdout.write(
    `median ${lineOf(
      kind,
      medianBy(all, ({ rate }) => rate),
    )}\n`,
  );

async function measure(kind: ClientOrder['client'], server: LoadedServer): Promise<Run> {
  const pid = server.pid!;
  const child = fork(processFile, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  track(child);
  const before = cpuTimes(pid).micros;
  const ended = once(child, 'exit').then(() => Promise.reject(new Error(`${kind} ended without a result`)));
  const told = once(child, 'message') as Promise<[ClientResult]>;
  child.send({ client: kind, port: server.target.port, writers, seconds } satisfies ClientOrder);
  const [result] = await Promise.race([told, ended]);
  ended.catch(() => undefined);
  const { writes } = result;
  const run = {
    rate: writes / result.seconds,
    clientCpu: result.cpuMicros / writes,
    serverCpu: (cpuTimes(pid).micros - before) / writes,
  };
  process.stdout.write(`${lineOf(kind, run)}\n`);
  return run;
}

function lineOf(kind: string, { rate, clientCpu, serverCpu }: Run): string {
  const cpu = `CPU of a write: ${short(clientCpu)} µs client, ${short(serverCpu)} µs server`;
  return `${kind.padEnd(15)}${thousands(rate).padStart(8)} writes/s, ${cpu}`;
}

function track(child: ChildProcess): void {
  children.add(child);
  child.once('exit', () => children.delete(child));
}
