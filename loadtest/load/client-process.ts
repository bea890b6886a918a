/**
 * A process full of writers that share one client: each sets a key, waits for the answer, sets the next. `fork`ed, it is
 * sent a `ClientOrder` and sends what it did. The client is ours, or ioredis with auto-pipelining: both put what is asked
 * for in one turn of the event loop together.
 */
import { Redis } from 'ioredis';
import { DragonLock } from '../../src/client/exports.ts';
import { tellParentAndExit } from './parent.ts';
import { below, valueOf } from './workloads.ts';

export interface ClientOrder {
  readonly client: 'dragonlock' | 'dragonlock-ids' | 'ioredis';
  readonly port: number;
  readonly writers: number;
  readonly seconds: number;
}

export interface ClientResult {
  readonly writes: number;
  readonly seconds: number;
  /** Of this process, while it wrote. */
  readonly cpuMicros: number;
}

const keys = 100_000;
const value64 = valueOf(64);

process.once('message', (order: ClientOrder) => void run(order));

async function run(order: ClientOrder): Promise<void> {
  const { set, close } = order.client === 'ioredis' ? ofRedis(order) : ofDragonLock(order);
  await set('warm', value64);
  let writes = 0;
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  const endsAt = startedAt + order.seconds * 1000;
  const write = async (): Promise<void> => {
    while (performance.now() < endsAt) {
      await set(`key-${below(keys)}`, value64);
      writes += 1;
    }
  };
  await Promise.all(Array.from({ length: order.writers }, write));
  const { user, system } = process.cpuUsage(cpu);
  const result: ClientResult = { writes, seconds: (performance.now() - startedAt) / 1000, cpuMicros: user + system };
  await close();
  tellParentAndExit(result);
}

interface Writer {
  readonly set: (key: string, value: string) => Promise<unknown>;
  readonly close: () => Promise<unknown>;
}

function ofDragonLock({ client: kind, port }: ClientOrder): Writer {
  const retryWrites = kind === 'dragonlock-ids';
  const client = new DragonLock({ url: `http://127.0.0.1:${port}`, account: 'load', retryWrites });
  return { set: (key, value) => client.kv.set(key, value), close: () => client.close() };
}

function ofRedis({ port }: ClientOrder): Writer {
  const client = new Redis({ host: '127.0.0.1', port, enableAutoPipelining: true });
  return { set: (key, value) => client.set(key, value), close: () => client.quit() };
}
