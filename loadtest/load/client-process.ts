/**
 * A process in which many writers share one client: each sets a key, waits for the answer, sets the next. The client
 * is ours, or ioredis with auto-pipelining; both send the calls of one event-loop turn together. The process speaks
 * the protocol of `generator-process.ts`: it gets a `ClientSpec`, warms up, sends "ready", waits for "go", writes, and
 * sends its result. Every answer must confirm the write.
 */
import { Redis } from 'ioredis';
import { DragonLock } from '../../src/client/exports.ts';
import { LatencyHistogram } from './histogram.ts';
import { originOf } from './load-spec.ts';
import type { GeneratorMessage } from './generator-process.ts';
import { tellParent, tellParentAndExit } from './parent.ts';
import { randomBelow, valueOf } from './workloads.ts';
import { overResp, type Target } from './types.ts';

export interface ClientSpec {
  /** Its dialect selects the client. */
  readonly target: Target;
  readonly writers: number;
  readonly keys: number;
  readonly bytes: number;
  /** Through ioredis, to our server too. */
  readonly ioredis?: true;
  /** Ours: each write has an idempotency id, so that the client may retry it. */
  readonly ids: boolean;
  readonly seconds: number;
}

/** Long enough for V8 to compile the client's code. */
const warmUpMs = 500;

process.once('message', (spec: ClientSpec) => void run(spec).catch(fail));

async function run(spec: ClientSpec): Promise<void> {
  const { open, close } = clientOf(spec);
  await write(open, spec, warmUpMs);
  const go = new Promise((resolve) => process.once('message', resolve));
  tell({ kind: 'ready' });
  await go;
  const latency = new LatencyHistogram();
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  await write(open, spec, spec.seconds * 1000, latency);
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
  tellParentAndExit({ kind: 'done', result } satisfies GeneratorMessage);
}

/** Runs all writers until time is up and the last of them has its answer. */
async function write(
  open: () => Write,
  { writers, keys, bytes }: ClientSpec,
  forMs: number,
  latency?: LatencyHistogram,
): Promise<void> {
  const value = valueOf(bytes);
  const endsAt = performance.now() + forMs;
  const one = async (): Promise<void> => {
    const set = open();
    for (let sentAt = performance.now(); sentAt < endsAt; ) {
      await set(`key-${randomBelow(keys)}`, value);
      const now = performance.now();
      latency?.record((now - sentAt) * 1000);
      sentAt = now;
    }
  };
  await Promise.all(Array.from({ length: writers }, one));
}

/** Sets a key. @throws if the answer does not confirm the write */
type Write = (key: string, value: string) => Promise<void>;

interface Client {
  /** Returns the `Write` of one more writer. */
  readonly open: () => Write;
  readonly close: () => Promise<unknown>;
}

function clientOf(spec: ClientSpec): Client {
  const { dialect } = spec.target;
  if (spec.ioredis === true && dialect === 'dragonlock') return ioredis(overResp(spec.target, 'redis'));
  if (dialect === 'dragonlock') return ours(spec);
  if (dialect === 'redis') return ioredis(spec.target);
  throw new Error(`expected a server with a client here, got ${dialect}`);
}

function ours({ target, ids }: ClientSpec): Client {
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
      // Versions are revisions: a write that was sent after an answer gets a later one.
      if (!(version > last)) throw new Error(`a write has version ${version}; expected one after ${last}`);
      last = version;
    };
  };
  return { open, close: () => client.close() };
}

function ioredis({ host, port }: Target): Client {
  const client = new Redis({ host, port, enableAutoPipelining: true });
  const set: Write = async (key, value) => {
    if ((await client.set(key, value)) !== 'OK') throw new Error('SET: expected the answer OK');
  };
  return { open: () => set, close: () => client.quit() };
}

function tell(message: GeneratorMessage): void {
  tellParent(message);
}

function fail(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  tellParentAndExit({ kind: 'failed', message } satisfies GeneratorMessage, 1);
}
