/**
 * Measures what src/router/memory-costs.ts estimates: `node test/load-faults/memory-costs.ts`. For each kind of request
 * it starts a server, opens many that do not end, and divides the growth of the resident memory by their number. The
 * budgets hold for what is in memory at rest; garbage that no collection has found yet comes on top of it for a moment.
 */
import { CrashServer } from '../support/crash-server.ts';
import { closeAll, openMany, requestBytes, type RawConnection } from '../support/raw-connection.ts';
import { eventually } from '../support/server-under-test.ts';
import { Memory, mib } from './memory.ts';

interface Kind {
  readonly name: string;
  readonly count: number;
  /** Requests on one connection. */
  readonly pipelined: number;
  /** Sends so many, then waits until they wait. */
  readonly atOnce: number;
  readonly gauge: RegExp;
  readonly request: (n: number) => string;
}

const waiters = /^dragonlock_shard_waiters\S* (\d+)$/m;
const watchers = /^dragonlock_watchers\S* (\d+)$/m;
const lock = (n: number, value: string): string =>
  requestBytes('POST', '/db/a', { LockID: 'l', LockDur: 30, LockWait: 300, KVSet: { Key: `k${n}`, Value: value } });
const kinds: readonly Kind[] = [
  {
    name: 'waiter, own connection',
    count: 6000,
    pipelined: 1,
    atOnce: 500,
    gauge: waiters,
    request: (n) => lock(n, ''),
  },
  {
    name: 'waiter, pipelined',
    count: 20_000,
    pipelined: 250,
    atOnce: 500,
    gauge: waiters,
    request: (n) => lock(n, ''),
  },
  {
    name: 'waiter, 1 MB body',
    count: 100,
    pipelined: 1,
    atOnce: 10,
    gauge: waiters,
    request: (n) => lock(n, 'x'.repeat(1e6)),
  },
  {
    name: 'watch, own connection',
    count: 6000,
    pipelined: 1,
    atOnce: 500,
    gauge: watchers,
    request: (n) => requestBytes('POST', '/watch/a', { ID: `k${n}`, Version: 0, Wait: 300 }),
  },
  {
    name: 'watch of 1,000 keys',
    count: 200,
    pipelined: 1,
    atOnce: 20,
    gauge: watchers,
    request: (n) => {
      const IDs = Array.from({ length: 1000 }, (_, i) => ({ ID: `watched-by-${n}-key-${i}`, Version: 0 }));
      return requestBytes('POST', '/watch/a', { IDs, Wait: 300 });
    },
  },
];

for (const kind of kinds.filter(({ name }) => name.includes(process.argv[2] ?? ''))) await measure(kind);

async function measure({ name, count, pipelined, atOnce, gauge, request }: Kind): Promise<void> {
  const server = new CrashServer('memory-costs');
  const limits = ['waiting', 'watching', 'inflight'].flatMap((one) => [
    `${one}_bytes_max: ${4096 * mib}`,
    `account_${one}_bytes_max: ${4096 * mib}`,
  ]);
  await server.start({ shards: 1, config: ['http: { threads: 2 }', `limits: { ${limits.join(', ')} }`] });
  const client = server.client();
  await client.must('POST', '/db/a/lock/l?id=holder&dur=600');
  const connections: RawConnection[] = [];
  for (let n = 0; n < 200; n += 1) await client.must('POST', `/db/a/kv/warm${n}`, n);
  const memory = new Memory(server.pid);
  await memory.level();
  let sent = 0;
  const open = async (): Promise<boolean> => {
    const metrics = await client.ask('GET', '/metrics');
    return Number(gauge.exec(metrics?.text ?? '')?.[1]) >= sent;
  };
  while (sent < count) {
    const [connection] = (await openMany(server.port, 1)) as [RawConnection];
    connections.push(connection);
    void connection.reply().then((reply) => reply !== undefined && console.log('answered', reply.body.slice(0, 200)));
    for (let n = 0; n < pipelined; n += 1) connection.socket.write(request((sent += 1)));
    if (sent % atOnce === 0) await eventually(`${sent} wait`, open, 60_000);
  }
  await eventually(`${sent} wait`, open, 60_000);
  // Work for others, so that collections happen.
  for (let n = 0; n < 300; n += 1) await client.must('POST', `/db/a/kv/warm${n}`, 'x'.repeat(10_000));
  await memory.level();
  const [before, after] = memory.levelsMib as [number, number];
  console.log(
    `${name}: ${Math.round(((after - before) * mib) / count)} bytes each (${before} → ${after} MiB, peak ${memory.peakMib})`,
  );
  await closeAll(connections);
  await client.close();
  await server.kill();
  await server.dispose(false);
}
