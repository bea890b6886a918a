/** The fast clients, in a thread of their own, so that work of the test does not count as delay of the server. */
import { parentPort, workerData } from 'node:worker_threads';
import { RawConnection } from '../support/raw-connection.ts';

const { port, clients, perSecond } = workerData as { port: number; clients: number; perSecond: number };
const target = '/db/fast';

const connections = await Promise.all(
  Array.from({ length: clients }, async (_, i) => {
    const connection = await RawConnection.open(port);
    if (connection === undefined) throw new Error(`Fast client ${i} was refused`);
    return connection;
  }),
);

/** One window: requests at fixed times, each measured from the time at which it was due. */
async function measure(ms: number): Promise<{ latencies: number[]; failed: string[] }> {
  const latencies: number[] = [];
  const failed: string[] = [];
  const start = performance.now();
  const gap = 1000 / perSecond;
  const each = async (connection: RawConnection, i: number): Promise<void> => {
    for (let n = i; n * gap < ms; n += clients) {
      const due = start + n * gap;
      const early = due - performance.now();
      if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
      const from = Math.max(due, early > 0 ? performance.now() : due);
      const body =
        n % 2 === 0 ? { KVSet: [{ Key: `f/${n % 64}`, Value: n }] } : { Atomic: [{ Key: `f/${n % 8}`, Add: 1 }] };
      const reply = await connection.ask('POST', target, body);
      if (reply?.status === 200) latencies.push(performance.now() - from);
      else
        failed.push(
          reply === undefined ? `no answer after ${performance.now() - from} ms` : `${reply.status} ${reply.body}`,
        );
    }
  };
  await Promise.all(connections.map(each));
  return { latencies, failed };
}

parentPort!.on('message', (message: { ms: number } | 'close') => {
  if (message === 'close') {
    for (const { socket } of connections) socket.destroy();
    parentPort!.close();
    return;
  }
  void measure(message.ms).then((window) => parentPort!.postMessage(window));
});
parentPort!.postMessage('ready');
