/**
 * The own generator's process: `fork`ed, it is sent a `LoadOrder`; it opens its connections and says "ready"; told to go,
 * it sends load, and then what came of it. Every reply must be a success.
 */
import { HttpConnection } from './http-connection.ts';
import { OpenLoop, poissonArrivals } from './arrivals.ts';
import { LatencyHistogram, type Buckets } from './histogram.ts';
import { openNats, openRedis } from './line-connection.ts';
import type { LoadOrder } from './load-spec.ts';
import { startPacemaker } from './ticker.ts';
import { tellParent, tellParentAndExit } from './parent.ts';
import { converse, type Conversation } from './workloads.ts';
import type { Ask, Reply, Target } from './types.ts';

export type FromOwnProcess =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly result: OwnResult }
  | { readonly kind: 'failed'; readonly message: string };

export interface OwnResult {
  readonly seconds: number;
  readonly requests: number;
  readonly units: number;
  readonly buckets: Buckets;
  readonly cpuMicros: number;
  /** Open loop only: from due to sent, where a connection was free. */
  readonly late: Buckets;
}

/** One connection's talk: `ask` is what it sends next. */
interface Speaker {
  readonly send: (ask: Ask, onReply: (reply: Reply) => void) => void;
  readonly close: () => void;
  readonly conversation: Conversation;
  ask: Ask;
}

process.once('message', (order: LoadOrder) => void run(order));

async function run(order: LoadOrder): Promise<void> {
  const { connections } = order;
  const speakers = await Promise.all(Array.from({ length: connections }, (_, index) => open(order, index)));
  tell({ kind: 'ready' });
  process.once('message', () =>
    order.arrivalsPerSecond === undefined ? closedLoop(speakers, order) : openLoop(speakers, order),
  );
}

async function open({ target, workload }: LoadOrder, index: number): Promise<Speaker> {
  const conversation = converse(workload, target.dialect, index);
  const ask = conversation.next({ status: 0, body: '' }).value;
  return { ...(await connect(target)), conversation, ask };
}

async function connect(target: Target): Promise<Pick<Speaker, 'send' | 'close'>> {
  if (target.dialect === 'dragonlock' || target.dialect === 'etcd') {
    const connection = await HttpConnection.open(target, fail);
    return {
      send: (ask, onReply) =>
        'path' in ask ? connection.send(ask, onReply) : fail(new Error('HTTP sends no commands')),
      close: () => connection.close(),
    };
  }
  const connection = await (target.dialect === 'redis' ? openRedis : openNats)(target, fail);
  return {
    send: (ask, onReply) => ('command' in ask ? connection.send(ask, onReply) : fail(new Error('wanted a command'))),
    close: () => connection.close(),
  };
}

/** What has been answered while it counts. */
class Count {
  readonly latency = new LatencyHistogram();
  readonly late = new LatencyHistogram();
  requests = 0;
  units = 0;
  ended = false;
  readonly #startedAt = performance.now();
  readonly #cpu = process.cpuUsage();

  answered(ask: Ask, reply: Reply, sinceMs: number): void {
    if (reply.status !== 200) {
      const what = 'path' in ask ? ask.path : ask.command[0];
      return fail(new Error(`${what} was answered ${reply.status}: ${reply.body.slice(0, 300)}`));
    }
    if (this.ended) return;
    this.latency.record((performance.now() - sinceMs) * 1000);
    this.requests += 1;
    this.units += ask.units;
  }

  end(): void {
    this.ended = true;
    const { user, system } = process.cpuUsage(this.#cpu);
    const result = {
      seconds: (performance.now() - this.#startedAt) / 1000,
      requests: this.requests,
      units: this.units,
      buckets: this.latency.buckets(),
      cpuMicros: user + system,
      late: this.late.buckets(),
    };
    tell({ kind: 'done', result });
  }
}

function closedLoop(speakers: readonly Speaker[], { seconds, latencyMs = 0 }: LoadOrder): void {
  const count = new Count();
  let talking = speakers.length;
  for (const speaker of speakers) {
    const send = (): void => {
      const { ask } = speaker;
      const sentAt = performance.now();
      speaker.send(ask, (reply) => {
        count.answered(ask, reply, sentAt);
        // With nothing half done: a lock that is left behind would stand in the way of the next run.
        if (count.ended && ask.units > 0) {
          speaker.close();
          talking -= 1;
          if (talking === 0) process.exit();
          return;
        }
        speaker.ask = speaker.conversation.next(reply).value;
        later();
      });
    };
    const later = (): void => {
      if (latencyMs === 0) send();
      else setTimeout(send, latencyMs);
    };
    later();
  }
  setTimeout(() => count.end(), seconds * 1000);
}

function openLoop(speakers: readonly Speaker[], { seconds, arrivalsPerSecond }: LoadOrder): void {
  const count = new Count();
  const startedAt = performance.now();
  const loop = new OpenLoop(poissonArrivals(arrivalsPerSecond!, Math.random), speakers, (speaker, dueMs) => {
    const { ask } = speaker;
    const dueAt = startedAt + dueMs;
    if (loop.waiting === 0) count.late.record((performance.now() - dueAt) * 1000);
    speaker.send(ask, (reply) => {
      count.answered(ask, reply, dueAt);
      speaker.ask = speaker.conversation.next(reply).value;
      loop.release(speaker);
    });
  });
  const pacemaker = startPacemaker(() => {
    if (!count.ended) loop.tick(performance.now() - startedAt);
  });
  setTimeout(() => {
    // To leave out who is not answered yet would hide a stall at the end: they have waited at least so long.
    for (const waitedMs of loop.unanswered(performance.now() - startedAt)) count.latency.record(waitedMs * 1000);
    count.end();
    pacemaker.stop();
    setTimeout(() => process.exit(), 100);
  }, seconds * 1000);
}

function tell(message: FromOwnProcess): void {
  tellParent(message);
}

function fail(error: Error): void {
  tellParentAndExit({ kind: 'failed', message: error.message } satisfies FromOwnProcess, 1);
}
