/** The own generator's process: `fork`ed, it is sent a `LoadOrder`, and sends "started", then a result or what went wrong. */
import { createHistogram } from 'node:perf_hooks';
import { HttpConnection } from './http-connection.ts';
import type { LoadOrder, LoadResult } from './load-order.ts';
import { tellParent, tellParentAndExit } from './parent.ts';
import { converse } from './workloads.ts';

export type FromOwnProcess =
  | { readonly kind: 'started' }
  | { readonly kind: 'done'; readonly result: LoadResult }
  | { readonly kind: 'failed'; readonly message: string };

process.once('message', (order: LoadOrder) => void run(order));

async function run({ port, connections, workload, seconds }: LoadOrder): Promise<void> {
  const opened = await Promise.all(Array.from({ length: connections }, () => HttpConnection.open(port, fail)));
  const latency = createHistogram();
  let requests = 0;
  let units = 0;
  let ended = false;
  let talking = connections;
  const startedAt = performance.now();
  tell({ kind: 'started' });
  opened.forEach((connection, index) => {
    const conversation = converse(workload, index);
    let ask = conversation.next({ status: 0, body: '' }).value;
    const send = (): void => {
      const sentAt = performance.now();
      connection.post(ask.path, ask.body, (reply) => {
        if (reply.status !== 200) return fail(new Error(`${ask.path} was answered ${reply.status}: ${reply.body}`));
        if (ended) {
          if (ask.units > 0) return leave(connection);
        } else {
          latency.record(Math.max(1, Math.round((performance.now() - sentAt) * 1000)));
          requests += 1;
          units += ask.units;
        }
        ask = conversation.next(reply).value;
        send();
      });
    };
    send();
  });

  /** With nothing half done: a lock that is left behind would stand in the way of the next run. */
  function leave(connection: HttpConnection): void {
    connection.close();
    talking -= 1;
    if (talking === 0) process.exit();
  }

  setTimeout(() => {
    ended = true;
    const elapsed = (performance.now() - startedAt) / 1000;
    const [p50Micros, p99Micros] = [latency.percentile(50), latency.percentile(99)];
    tell({ kind: 'done', result: { seconds: elapsed, requests, units, p50Micros, p99Micros } });
  }, seconds * 1000);
}

function tell(message: FromOwnProcess): void {
  tellParent(message);
}

function fail(error: Error): void {
  tellParentAndExit({ kind: 'failed', message: error.message } satisfies FromOwnProcess, 1);
}
