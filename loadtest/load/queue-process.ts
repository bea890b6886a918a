/**
 * A process of producers or consumers of another queue. It speaks the protocol of `generator-process.ts`: it gets a
 * `QueueSpec`, opens its clients, warms up, sends "ready", waits for "go", works, and sends its result. A unit is a
 * message that was enqueued, delivered and settled.
 */
import { LatencyHistogram } from './histogram.ts';
import type { GeneratorMessage } from './generator-process.ts';
import { tellParent, tellParentAndExit } from './parent.ts';
import { openSide, type QueueLoop, type QueuePeerSpec, type QueueSide } from './queue-peers.ts';

export interface QueueSpec extends QueuePeerSpec {
  readonly role: 'produce' | 'consume' | 'both';
  readonly seconds: number;
}

const warmUpMs = 500;
/** A consumer that found nothing asks again so much later. */
const pauseMs = 2;

process.once('message', (spec: QueueSpec) => void run(spec).catch(fail));

async function run(spec: QueueSpec): Promise<void> {
  const side = await openSide(spec, spec.role);
  const { open } = side;
  const loops = open === undefined ? [] : await Promise.all(Array.from({ length: spec.concurrency }, () => open()));
  await work(side, loops, warmUpMs);
  const go = new Promise((resolve) => process.once('message', resolve));
  tellParent({ kind: 'ready' } satisfies GeneratorMessage);
  await go;
  const latency = new LatencyHistogram();
  const startedAt = performance.now();
  const cpu = process.cpuUsage();
  const units = await work(side, loops, spec.seconds * 1000, latency);
  const { user, system } = process.cpuUsage(cpu);
  const result = {
    seconds: (performance.now() - startedAt) / 1000,
    requests: latency.total,
    units,
    buckets: latency.buckets(),
    cpuMicros: user + system,
    late: new LatencyHistogram().buckets(),
  };
  tellParentAndExit({ kind: 'done', result } satisfies GeneratorMessage);
}

/** @returns the lives that were completed meanwhile */
async function work(
  { done }: QueueSide,
  loops: readonly QueueLoop[],
  forMs: number,
  latency?: LatencyHistogram,
): Promise<number> {
  const endsAt = performance.now() + forMs;
  if (done !== undefined) {
    const before = done();
    await sleep(forMs);
    return done() - before;
  }
  let units = 0;
  const one = async (loop: QueueLoop): Promise<void> => {
    for (let sentAt = performance.now(); sentAt < endsAt; ) {
      const completed = await loop.turn();
      const now = performance.now();
      latency?.record((now - sentAt) * 1000);
      units += completed;
      sentAt = now;
      if (completed === 0 && loops.length > 1 && latency === undefined) await sleep(pauseMs);
    }
  };
  await Promise.all(loops.map(one));
  return units;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function fail(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  tellParentAndExit({ kind: 'failed', message } satisfies GeneratorMessage, 1);
}
