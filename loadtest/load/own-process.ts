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
  const startedAt = performance.now();
  tellParent({ kind: 'started' } satisfies FromOwnProcess);
  opened.forEach((connection, index) => {
    const conversation = converse(workload, index);
    let ask = conversation.next({ status: 0, body: '' }).value;
    const send = (): void => {
      const sentAt = performance.now();
      connection.post(ask.path, ask.body, (reply) => {
        if (reply.status !== 200) return fail(new Error(`${ask.path} was answered ${reply.status}: ${reply.body}`));
        latency.record(Math.max(1, Math.round((performance.now() - sentAt) * 1000)));
        requests += 1;
        units += ask.units;
        ask = conversation.next(reply).value;
        send();
      });
    };
    send();
  });
  setTimeout(() => {
    const elapsed = (performance.now() - startedAt) / 1000;
    const [p50Micros, p99Micros] = [latency.percentile(50), latency.percentile(99)];
    for (const connection of opened) connection.close();
    tellLast({ kind: 'done', result: { seconds: elapsed, requests, units, p50Micros, p99Micros } });
  }, seconds * 1000);
}

const tellLast: (message: FromOwnProcess, code?: number) => void = tellParentAndExit;

function fail(error: Error): void {
  tellLast({ kind: 'failed', message: error.message }, 1);
}
