/**
 * `dragonlock usage --recount`: compares the counts that the checkpoint of a stopped server has of each account with its
 * content. It changes nothing; the journal is not read, because a start adds what it has to both by the same code.
 */
import { shardId } from '../../protocol/ids.ts';
import { kinds } from '../../protocol/record.ts';
import type { EntryCount } from '../../storage/checkpoint-store.ts';
import { LmdbStore } from '../../storage/lmdb/lmdb-store.ts';
import { ShardStore } from '../../storage/shard-store.ts';
import { lockDataDirectory } from './data-directory-lock.ts';

export interface Recounted {
  readonly entries: number;
  readonly bytes: number;
  readonly differences: readonly Difference[];
}

/** Empty: there is none. */
type Amount = readonly [entries: number, bytes: number];

export interface Difference {
  readonly shard: number;
  readonly account: string;
  /** `kv`, `queue`, …; of a part of a queue with its name, letter and state. */
  readonly what: string;
  readonly stored: Amount;
  readonly counted: Amount;
}

const none: Amount = [0, 0];
const names = new Map(Object.entries(kinds).map(([name, letter]) => [letter, name]));

/** @throws Error if there is no store, or a server uses it */
export async function recountDataDirectory(dataDirectory: string): Promise<Recounted> {
  if (!LmdbStore.exists(dataDirectory))
    throw new Error(`There is no store in ${dataDirectory}; expected the data directory of a server.`);
  const lock = lockDataDirectory(dataDirectory);
  const store = new LmdbStore(dataDirectory);
  try {
    return recountStore(store);
  } finally {
    await store.close();
    lock.release();
  }
}

function recountStore(store: LmdbStore): Recounted {
  const differences: Difference[] = [];
  let [entries, bytes] = [0, 0];
  for (let shard = 0; shard < (store.layout()?.shards ?? 0); shard += 1) {
    const content = new ShardStore(store.shard(shardId(shard)));
    const counted = byName(content.recount());
    const stored = byName(content.counts());
    for (const [name, { account, part, amount }] of counted) {
      if (part === '') {
        entries += amount[0];
        bytes += amount[1];
      }
      const other = stored.get(name)?.amount ?? none;
      if (!isSame(other, amount))
        differences.push({ shard, account, what: whatOf(name), stored: other, counted: amount });
    }
    for (const [name, { account, amount }] of stored) {
      if (!counted.has(name)) differences.push({ shard, account, what: whatOf(name), stored: amount, counted: none });
    }
  }
  return { entries, bytes, differences };
}

interface Named {
  readonly account: string;
  readonly part: string;
  readonly amount: Amount;
}

function byName(counts: Iterable<EntryCount>): Map<string, Named> {
  return new Map(
    Array.from(counts, ({ account, kind, part, entries, bytes }) => {
      return [`${account}\n${names.get(kind)}\n${part}`, { account, part, amount: [entries, bytes] }];
    }),
  );
}

function whatOf(name: string): string {
  const [, kind, part] = name.split('\n');
  return part === '' ? kind! : `${kind} ${part!.replaceAll('\0', ' ')}`;
}

function isSame(a: Amount, b: Amount): boolean {
  return a[0] === b[0] && a[1] === b[1];
}
