/**
 * Rows for one process in which 400 writers share a client: ours, or ioredis with auto-pipelining. Both send the calls
 * of one event-loop turn together. The client is the generator, so its CPU is part of the measurement.
 */
import { runClient } from '../load/client.ts';
import { oursTitle, withResp } from './contestants.ts';
import type { ServerContestant, Row, ServerSpec } from './row.ts';

const load = { writers: 400, keys: 100_000, bytes: 64 } as const;
const peerTitle = 'ioredis';

export const clientRows: readonly Row[] = [
  clientRow('client', 'each with an idempotency id (the default)', { ids: true, goal: { value: 0.35, stretch: 0.5 } }),
  clientRow('client-no-ids', 'without idempotency ids', { ids: false, goal: { value: 0.65, stretch: 1 } }),
  {
    name: 'ioredis',
    title: `durable write of 64B through ioredis on both, ${load.writers} writers in one process`,
    group: 'goals',
    unit: 'writes/s',
    better: 'more',
    note: 'enableAutoPipelining; ours by its door for Redis clients',
    goals: [{ bound: 'at least', value: 0.6, against: peerTitle }],
    local: true,
    contestants: [
      throughClient(oursTitle, withResp, { ids: false, ioredis: true }),
      throughClient(peerTitle, { kind: 'redis' }, { ids: false }),
    ],
  },
];

interface Variant {
  readonly ids: boolean;
  readonly goal: { readonly value: number; readonly stretch: number };
}

function clientRow(name: string, variant: string, { ids, goal }: Variant): Row {
  return {
    name,
    title: `durable write of 64B through the client, ${load.writers} writers in one process, ${variant}`,
    group: 'goals',
    unit: 'writes/s',
    better: 'more',
    note: 'ioredis with enableAutoPipelining; the CPU of the client and its process is part of the measurement',
    goals: [{ bound: 'at least', ...goal, against: peerTitle }],
    contestants: [
      throughClient(oursTitle, { kind: 'dragonlock', settings: {} }, { ids }),
      throughClient(peerTitle, { kind: 'redis' }, { ids: false }),
    ],
  };
}

function throughClient(
  title: string,
  server: ServerSpec,
  how: { readonly ids: boolean; readonly ioredis?: true },
): ServerContestant {
  return {
    title,
    server,
    measure: (run, running) => {
      const spec = { ...load, ...how, target: running.target, seconds: run.seconds };
      return run.observe(running, (clock) => runClient(spec, clock, run.onSpawn));
    },
  };
}
