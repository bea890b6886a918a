/**
 * A process full of writers that share one client: each sets a key, waits for the answer, sets the next. The client is
 * ours, or ioredis with auto-pipelining: both put what is asked for in one turn of the event loop together. `fork`ed, it
 * speaks as `generator-process.ts` does: it is sent a `ClientOrder`, warms up, says "ready"; told to go, it writes, and tells
 * what came of it. Every answer must be what the server answers to a write that was made.
 */
import { Redis } from 'ioredis';
import { DragonLock } from '../../src/client/exports.ts';
import { LatencyHistogram } from './histogram.ts';
import { originOf } from './load-spec.ts';
import type { FromOwnProcess } from './generator-process.ts';
import { tellParent, tellParentAndExit } from './parent.ts';
import { below, valueOf } from './workloads.ts';
import type { Target } from './types.ts';

export interface ClientOrder {
  /** Its dialect says whose client it is. */
  readonly target: Target;
  readonly writers: number;
  readonly keys: number;
  readonly bytes: number;
  /** Ours: each write has an idempotency id, so that it may be sent again. */
  readonly ids: boolean;
  readonly seconds: number;
}

/** Until the client's code has been compiled. */
const warmUpMs = 500;

process.once('message', (order: ClientOrder) => void run(order).catch(fail));

async function run(order: ClientOrder): Promise<void> {
  const { open, close } = clientOf(order);
  await write(open, order, warmUpMs);
  const told = new Promise((resolve) => process.once('message', resolve));
  tell({ kind: 'ready' });
  await told;
  const latency = new LatencyHistogram();
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  await write(open, order, order.seconds * 1000, latency);
  const { user, system } = process.cpuUsage(cpu);
  const result = {
    seconds: (performance.now() - startedAt) / 1000,
    requests: latency.total,
    units: latency.total,
    buckets: latency.buckets(),
    cpuMicros: user + system,
    late: new LatencyHistogram().buckets(),
  };
  await close();
  tellParentAndExit({ kind: 'done', result } satisfies FromOwnProcess);
}

/** All writers, until time is up and the last of them has its answer. */
async function write(
  open: () => Write,
  { writers, keys, bytes }: ClientOrder,
  forMs: number,
  latency?: LatencyHistogram,
): Promise<void> {
  const value = valueOf(bytes);
  const endsAt = performance.now() + forMs;
  const one = async (): Promise<void> => {
    const set = open();
    for (let sentAt = performance.now(); sentAt < endsAt; ) {
      await set(`key-${below(keys)}`, value);
      const now = performance.now();
      latency?.record((now - sentAt) * 1000);
      sentAt = now;
    }
  };
  await Promise.all(Array.from({ length: writers }, one));
}

/** One writer's. @throws when the answer is not that of a write that was made */
type Write = (key: string, value: string) => Promise<void>;

interface Client {
  /** For one writer more. */
  readonly open: () => Write;
  readonly close: () => Promise<unknown>;
}

function clientOf(order: ClientOrder): Client {
  const { dialect } = order.target;
  if (dialect === 'dragonlock') return ours(order);
  if (dialect === 'redis') return ioredis(order);
  throw new Error(`There is no client for ${dialect} here`);
}

function ours({ target, ids }: ClientOrder): Client {
  const { token } = target;
  const account = 'loadtest-client';
  const client = new DragonLock({
    url: originOf(target),
    account,
    retryWrites: ids,
    ...(token !== undefined && { token }),
  });
  const open = (): Write => {
    let last = 0;
    return async (key, value) => {
      const version = await client.kv.set(key, value);
      // Versions are revisions: what was asked for behind an answer has a later one.
      if (!(version > last)) throw new Error(`a write has version ${version}; wanted one behind ${last}`);
      last = version;
    };
  };
  return { open, close: () => client.close() };
}

function ioredis({ target: { host, port } }: ClientOrder): Client {
  const client = new Redis({ host, port, enableAutoPipelining: true });
  const set: Write = async (key, value) => {
    if ((await client.set(key, value)) !== 'OK') throw new Error('SET was not answered OK');
  };
  return { open: () => set, close: () => client.quit() };
}

function tell(message: FromOwnProcess): void {
  tellParent(message);
}

function fail(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  tellParentAndExit({ kind: 'failed', message } satisfies FromOwnProcess, 1);
}
