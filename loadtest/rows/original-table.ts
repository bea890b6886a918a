/**
 * The table that Dragon Lock was asked for with: same scenarios, names and number of clients, with the same simulated
 * latency in the client, a delay before each request. What its program counts wrongly is counted here as it happened.
 */
import type { Load } from './contestants.ts';
import { ours } from './contestants.ts';
import type { OnServer, Row } from './row.ts';
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
  'a pair is two requests, and is counted once when its unlock is answered; the original reports 100 pairs where 50 ran';

export function seedRows(latencyMs: number): readonly Row[] {
  const at = latencyMs === 0 ? '' : `@${latencyMs}ms`;
  const row = (name: string, title: string, unit: string, contestant: OnServer, note?: string): Row => ({
    name: `seed-${name}${at}`,
    title: latencyMs === 0 ? title : `${title}, latency ${latencyMs} ms`,
    group: 'seed',
    unit,
    better: unit === 'ms' ? 'less' : 'more',
    repeats: 1,
    contestants: [contestant],
    ...(note !== undefined && { note }),
  });
  const watch = (keys: number, watchersPerKey: number): OnServer =>
    watchReaction({ keys, watchersPerKey, by: 'key', latencyMs });
  const load = (load: Load): Load => ({ ...load, latencyMs });
  const lock = ({ accounts, keys }: { accounts: number; keys: number }): OnServer =>
    ours(({ id }) => load({ connections: clients, workload: { kind: 'lock', accounts, keys, run: id } }));
  return [
    row('watch-1x1', 'WatchReaction 1 key 1 watcher', 'ms', watch(1, 1)),
    row('watch-1x100', 'WatchReaction 1 key 100 watchers', 'ms', watch(1, 100)),
    row('watch-1x1000', 'WatchReaction 1 key 1000 watchers', 'ms', watch(1, 1000)),
    row(
      'watch-1x10000',
      'WatchReaction 1 key 10000 watchers',
      'ms',
      watch(1, 10_000),
      '10,000 watchers wait and are answered; the original runs 1,000 where it says 10,000',
    ),
    row(
      'watch-1000x5',
      'WatchReaction 1000 keys 5 watchers per key',
      'ms',
      watch(1000, 5),
      'from the first write to the last answer; least, mean and most of a key are in the details',
    ),
    row(
      'lock-1a-1k',
      'LockUnlock for 1 account and 1 key (sequential)',
      'pairs/s',
      lock({ accounts: 1, keys: 1 }),
      pairsCounted,
    ),
    row(
      'lock-1a-1000k',
      'LockUnlock for 1 account and 1000 keys',
      'pairs/s',
      lock({ accounts: 1, keys: 1000 }),
      pairsCounted,
    ),
    row(
      'lock-1000a-1000k',
      'LockUnlock for 1000 accounts and 1000 keys',
      'pairs/s',
      lock({ accounts: 1000, keys: 1000 }),
      pairsCounted,
    ),
    ...sizes.flatMap(({ short, title, bytes }) =>
      spaces.map((space, index) =>
        row(
          `kv-${short}-${nameOf(space)}`,
          `${title} write KV for ${textOf(space)}`,
          'req/s',
          withMegabytes(ours(load({ connections: clients, workload: { kind: 'kv.write', ...space, bytes } })), bytes),
          bytes === 64 && index === 0
            ? 'timed on its own; the original’s clock runs on from the row before'
            : undefined,
        ),
      ),
    ),
    ...spaces.map((space) =>
      row(
        `atomic-${nameOf(space)}`,
        `atomic for ${textOf(space)}`,
        'req/s',
        ours(load({ connections: clients, workload: { kind: 'counter', ...space } })),
      ),
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

function withMegabytes(contestant: OnServer, bytes: number): OnServer {
  return {
    ...contestant,
    async measure(run, server) {
      const sample = await contestant.measure(run, server);
      return { ...sample, extra: { ...sample.extra, 'MB/s': (sample.value * bytes) / 1e6 } };
    },
  };
}
