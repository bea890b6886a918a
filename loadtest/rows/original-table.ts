/**
 * The original table, which came with the request for Dragon Lock: same scenarios, names and number of clients, and
 * the same simulated latency, a delay in the client before each request. Where the original program counts wrongly,
 * these rows count correctly.
 */
import { type Load, ours } from './contestants.ts';
import type { ServerContestant, Row } from './row.ts';
import { watchReaction } from './watchers.ts';

const clients = 400;
const spaces = [
  { accounts: 1, keys: 1 },
  { accounts: 1, keys: 1000 },
  { accounts: 1000, keys: 1 },
  { accounts: 1000, keys: 1000 },
] as const;
const sizes = [
  { short: '64B', title: '64byte', bytes: 64 },
  { short: '1KB', title: '1KB', bytes: 1024 },
  { short: '10KB', title: '10 KB', bytes: 10_240 },
] as const;

const pairsCounted =
  'a pair is two requests, counted once when its unlock is answered; the original reports 100 pairs where 50 ran';

interface Scenario {
  /** As in `--only`, without prefix and latency. */
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly contestant: ServerContestant;
  readonly note?: string;
}

export function originalTableRows(latencyMs: number): readonly Row[] {
  const at = latencyMs === 0 ? '' : `@${latencyMs}ms`;
  const row = ({ name, title, unit, contestant, note }: Scenario): Row => ({
    name: `seed-${name}${at}`,
    title: latencyMs === 0 ? title : `${title}, latency ${latencyMs} ms`,
    group: 'seed',
    unit,
    better: unit === 'ms' ? 'less' : 'more',
    repeats: 1,
    contestants: [contestant],
    ...(note !== undefined && { note }),
  });
  const watch = (keys: number, watchersPerKey: number): ServerContestant =>
    watchReaction({ keys, watchersPerKey, by: 'key', latencyMs });
  const load = (load: Load): Load => ({ ...load, latencyMs });
  const lock = ({ accounts, keys }: { accounts: number; keys: number }): ServerContestant =>
    ours(({ id }) => load({ connections: clients, workload: { kind: 'lock', accounts, keys, run: id } }));
  return [
    row({ name: 'watch-1x1', title: 'WatchReaction 1 key 1 watcher', unit: 'ms', contestant: watch(1, 1) }),
    row({ name: 'watch-1x100', title: 'WatchReaction 1 key 100 watchers', unit: 'ms', contestant: watch(1, 100) }),
    row({ name: 'watch-1x1000', title: 'WatchReaction 1 key 1000 watchers', unit: 'ms', contestant: watch(1, 1000) }),
    row({
      name: 'watch-1x10000',
      title: 'WatchReaction 1 key 10000 watchers',
      unit: 'ms',
      contestant: watch(1, 10_000),
      note: '10,000 watchers wait and are answered; the original runs 1,000 where it says 10,000',
    }),
    row({
      name: 'watch-1000x5',
      title: 'WatchReaction 1000 keys 5 watchers per key',
      unit: 'ms',
      contestant: watch(1000, 5),
      note: 'from the first write to the last answer; the details have the least, mean and most of a key',
    }),
    row({
      name: 'lock-1a-1k',
      title: 'LockUnlock for 1 account and 1 key (sequential)',
      unit: 'pairs/s',
      contestant: lock({ accounts: 1, keys: 1 }),
      note: pairsCounted,
    }),
    row({
      name: 'lock-1a-1000k',
      title: 'LockUnlock for 1 account and 1000 keys',
      unit: 'pairs/s',
      contestant: lock({ accounts: 1, keys: 1000 }),
      note: pairsCounted,
    }),
    row({
      name: 'lock-1000a-1000k',
      title: 'LockUnlock for 1000 accounts and 1000 keys',
      unit: 'pairs/s',
      contestant: lock({ accounts: 1000, keys: 1000 }),
      note: pairsCounted,
    }),
    ...sizes.flatMap(({ short, title, bytes }) =>
      spaces.map((space, index) =>
        row({
          name: `kv-${short}-${nameOf(space)}`,
          title: `${title} write KV for ${textOf(space)}`,
          unit: 'req/s',
          contestant: withMegabytes(
            ours(load({ connections: clients, workload: { kind: 'kv.write', ...space, bytes } })),
            bytes,
          ),
          ...(bytes === 64 &&
            index === 0 && { note: 'timed on its own; the original’s clock runs on from the row before' }),
        }),
      ),
    ),
    ...spaces.map((space) =>
      row({
        name: `atomic-${nameOf(space)}`,
        title: `atomic for ${textOf(space)}`,
        unit: 'req/s',
        contestant: ours(load({ connections: clients, workload: { kind: 'counter', ...space } })),
      }),
    ),
  ];
}

function nameOf({ accounts, keys }: { accounts: number; keys: number }): string {
  return `${accounts}a-${keys}k`;
}

/** The original says "1 key" and "1 keys". */
function textOf({ accounts, keys }: { accounts: number; keys: number }): string {
  return `${accounts} account${accounts === 1 ? '' : 's'} and ${keys} key${accounts === 1 && keys === 1 ? '' : 's'}`;
}

function withMegabytes(contestant: ServerContestant, bytes: number): ServerContestant {
  return {
    ...contestant,
    async measure(run, server) {
      const sample = await contestant.measure(run, server);
      return { ...sample, extra: { ...sample.extra, 'MB/s': (sample.value * bytes) / 1e6 } };
    },
  };
}
