import type { AccountId } from '../../protocol/ids.ts';
import { watchesLookedMax } from '../../shared/limits.ts';
import type { WatchInfo } from '../dispatcher.ts';
import { StreamReader, type PrefixReader } from './prefix-readers.ts';

/** Describes some of the open watches, for administrators. Looks at a bounded number, whoever is asked for. */
export function someWatches<Watch extends { readonly account: AccountId }>(
  watches: Iterable<Watch>,
  { of, limit }: { readonly of: AccountId | undefined; readonly limit: number },
  describe: (watch: Watch) => WatchInfo,
): WatchInfo[] {
  const found: WatchInfo[] = [];
  let looked = 0;
  for (const watch of watches) {
    looked += 1;
    if (found.length >= limit || looked > watchesLookedMax) break;
    if (of === undefined || watch.account === of) found.push(describe(watch));
  }
  return found;
}

/** As `someWatches`, of watches over a prefix. */
export function prefixWatchInfos(
  readers: Iterable<PrefixReader>,
  which: { readonly of: AccountId | undefined; readonly limit: number },
): WatchInfo[] {
  return someWatches(readers, which, (reader) => {
    const Kind = reader instanceof StreamReader ? 'stream' : 'prefix';
    return { Account: reader.account, Kind, Key: reader.prefix, Rev: reader.position };
  });
}
