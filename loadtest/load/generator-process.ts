/**
 * A process of the built-in generator. It gets a `LoadSpec`, opens its connections, sends "ready", waits for "go",
 * sends load, and sends its result. Every reply must be a success.
 */
import { HttpConnection } from './http-connection.ts';
import { OpenLoop, poissonArrivals } from './arrivals.ts';
import { LatencyHistogram, type Buckets } from './histogram.ts';
import { openNats, openRedis } from './line-connection.ts';
import type { LoadSpec } from './load-spec.ts';
import { startTicker } from './ticker.ts';
import { tellParent, tellParentAndExit } from './parent.ts';
import { dialogueOf, type Dialogue } from './workloads.ts';
import type { LoadRequest, Reply, Target } from './types.ts';

export type GeneratorMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly result: GeneratorResult }
  | { readonly kind: 'failed'; readonly message: string };

export interface GeneratorResult {
  readonly seconds: number;
  readonly requests: number;
  readonly units: number;
  readonly buckets: Buckets;
  readonly cpuMicros: number;
  /** Open loop only: time from due to sent, if a connection was free. */
  readonly late: Buckets;
}

/** A connection and its dialogue. `request` is the next one to send. */
interface LoadConnection {
  readonly send: (request: LoadRequest, onReply: (reply: Reply) => void) => void;
  readonly close: () => void;
  readonly dialogue: Dialogue;
  request: LoadRequest;
}

process.once('message', (spec: LoadSpec) => void run(spec));

async function run(spec: LoadSpec): Promise<void> {
  const opening = Array.from({ length: spec.connections }, (_, index) => open(spec, index));
  const connections = await Promise.all(opening);
  tell({ kind: 'ready' });
  process.once('message', () =>
    spec.arrivalsPerSecond === undefined ? closedLoop(connections, spec) : openLoop(connections, spec),
  );
}

async function open({ target, workload }: LoadSpec, index: number): Promise<LoadConnection> {
  const dialogue = dialogueOf(workload, target.dialect, index);
  const request = dialogue.next({ status: 0, body: '' }).value;
  return { ...(await connect(target)), dialogue, request };
}

async function connect(target: Target): Promise<Pick<LoadConnection, 'send' | 'close'>> {
  if (target.dialect === 'dragonlock' || target.dialect === 'etcd') {
    const connection = await HttpConnection.open(target, fail);
    return {
      send: (request, onReply) =>
        'path' in request
          ? connection.send(request, onReply)
          : fail(new Error('expected an HTTP request, got a command')),
      close: () => connection.close(),
    };
  }
  const connection = await (target.dialect === 'nats' ? openNats : openRedis)(target, fail);
  return {
    send: (request, onReply) =>
      'command' in request
        ? connection.send(request, onReply)
        : fail(new Error('expected a command, got an HTTP request')),
    close: () => connection.close(),
  };
}

/** Counts answers until `end`, and then sends the result. */
class AnswerCount {
  readonly latency = new LatencyHistogram();
  readonly late = new LatencyHistogram();
  requests = 0;
  units = 0;
  ended = false;
  readonly #startedAt = performance.now();
  readonly #cpu = process.cpuUsage();

  answered(request: LoadRequest, reply: Reply, sinceMs: number): void {
    if (reply.status !== 200) {
      const what = 'path' in request ? request.path : request.command[0];
      return fail(new Error(`${what} was answered ${reply.status}: ${reply.body.slice(0, 300)}`));
    }
    if (this.ended) return;
    this.latency.record((performance.now() - sinceMs) * 1000);
    this.requests += 1;
    this.units += request.units;
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

function closedLoop(connections: readonly LoadConnection[], { seconds, latencyMs = 0 }: LoadSpec): void {
  const count = new AnswerCount();
  let open = connections.length;
  for (const connection of connections) {
    const send = (): void => {
      const { request } = connection;
      const sentAt = performance.now();
      connection.send(request, (reply) => {
        count.answered(request, reply, sentAt);
        // Finish the dialogue first: a lock that stays held would block the next run.
        if (count.ended && request.units > 0) {
          connection.close();
          open -= 1;
          if (open === 0) process.exit();
          return;
        }
        connection.request = connection.dialogue.next(reply).value;
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

function openLoop(connections: readonly LoadConnection[], { seconds, arrivalsPerSecond }: LoadSpec): void {
  const count = new AnswerCount();
  const startedAt = performance.now();
  const loop = new OpenLoop(poissonArrivals(arrivalsPerSecond!, Math.random), connections, (connection, dueMs) => {
    const { request } = connection;
    const dueAt = startedAt + dueMs;
    if (loop.waiting === 0) count.late.record((performance.now() - dueAt) * 1000);
    connection.send(request, (reply) => {
      count.answered(request, reply, dueAt);
      connection.request = connection.dialogue.next(reply).value;
      loop.release(connection);
    });
  });
  const ticker = startTicker(() => {
    if (!count.ended) loop.tick(performance.now() - startedAt);
  });
  setTimeout(() => {
    // Count requests without an answer as waits so far. Leaving them out would hide a stall at the end.
    for (const waitedMs of loop.unanswered(performance.now() - startedAt)) count.latency.record(waitedMs * 1000);
    count.end();
    ticker.stop();
    setTimeout(() => process.exit(), 100);
  }, seconds * 1000);
}

function tell(message: GeneratorMessage): void {
  tellParent(message);
}

function fail(error: Error): void {
  tellParentAndExit({ kind: 'failed', message: error.message } satisfies GeneratorMessage, 1);
}
