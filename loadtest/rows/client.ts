/**
 * Rows for one process in which 400 writers share a client: ours, or ioredis with auto-pipelining. Both send the calls
 * of one event-loop turn together. The client is the generator, so its CPU is part of the measurement.
 */
import { runClient } from '../load/client.ts';
import { oursTitle } from './contestants.ts';
import type { ServerContestant, Row, ServerSpec } from './row.ts';

const load = { writers: 400, keys: 100_000, bytes: 64 } as const;
const peerTitle = 'ioredis';

export const clientRows: readonly Row[] = [
  clientRow('client', 'each with an idempotency id (the default)', true),
  clientRow('client-no-ids', 'without idempotency ids', false),
];

function clientRow(name: string, variant: string, ids: boolean): Row {
  return {
    name,
    title: `durable write of 64B through the client, ${load.writers} writers in one process, ${variant}`,
    group: 'goals',
    unit: 'writes/s',
    better: 'more',
    note: 'ioredis with enableAutoPipelining; the CPU of the client and its process is part of the measurement',
    goals: [{ bound: 'at least', value: 1, against: peerTitle }],
    contestants: [
      throughClient(oursTitle, { kind: 'dragonlock', settings: {} }, ids),
      throughClient(peerTitle, { kind: 'redis' }, false),
    ],
  };
}

function throughClient(title: string, server: ServerSpec, ids: boolean): ServerContestant {
  return {
    title,
    server,
    measure: (run, running) => {
      const spec = { ...load, ids, target: running.target, seconds: run.seconds };
      return run.observe(running, (clock) => runClient(spec, clock, run.onSpawn));
    },
  };
}
