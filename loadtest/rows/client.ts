/**
 * What one process gets done through a client that puts together what is asked for in one turn of the event loop: ours,
 * beside ioredis with auto-pipelining. 400 writers share it. The client's own CPU is a part of what is measured: the
 * generator is the client.
 */
import { runClient } from '../load/client.ts';
import { oursTitle } from './contestants.ts';
import type { OnServer, Row, ServerSpec } from './row.ts';

const load = { writers: 400, keys: 100_000, bytes: 64 } as const;
const peerTitle = 'ioredis';

export const clientRows: readonly Row[] = [
  clientRow('client', 'each with an idempotency id (the default)', true),
  clientRow('client-no-ids', 'without idempotency ids', false),
];

function clientRow(name: string, how: string, ids: boolean): Row {
  return {
    name,
    title: `durable write of 64B through the client, ${load.writers} writers in one process, ${how}`,
    group: 'goals',
    unit: 'writes/s',
    better: 'more',
    note: 'ioredis with enableAutoPipelining; what one client and its process take is a part of it',
    goals: [{ bound: 'at least', value: 1, against: peerTitle }],
    contestants: [
      throughClient(oursTitle, { kind: 'dragonlock', settings: {} }, ids),
      throughClient(peerTitle, { kind: 'redis' }, false),
    ],
  };
}

function throughClient(title: string, server: ServerSpec, ids: boolean): OnServer {
  return {
    title,
    server,
    measure: (run, running) => {
      const order = { ...load, ids, target: running.target, seconds: run.seconds };
      return run.observe(running, (clock) => runClient(order, clock, run.onSpawn));
    },
  };
}
