/** Watches of a key: what a watcher is told at once, and later by an event. */
import { keyAt } from './kv.ts';
import { done, type Moment, type Outcome } from './moment.ts';
import type { KvEntry } from './state.ts';
import { describeShares, sharedAt } from './shared-lock.ts';
import type { WatchKey, WatchLock } from '../../../src/protocol/operations/watch.ts';

/** The key has the version that the watcher knows: over HTTP the wait ends with 204, a shard answers later. */
export const unchanged: Outcome = { status: 204, body: {}, changes: [] };

export const watch = {
  commands: {
    'watch.key': (at: Moment, { account, key, version }: WatchKey): Outcome => {
      const item = keyAt(at, account, key);
      if ((item?.version ?? 0) === version) return unchanged;
      // Whether it is known that it expired is up to the server.
      return done(at, keyEvent(key, item, at.said?.['Expired'] === true));
    },
    /** Of a lock the revision is not told: it may be the fence of its holder. */
    'watch.lock': (at: Moment, { account, id, version }: WatchLock): Outcome => {
      const { lease, shared, ended } = sharedAt(at, account, id);
      const Locked = (lease ?? shared) !== undefined;
      const Version = 2 * (ended[0]?.fence ?? 0) + (Locked ? 1 : 0);
      if (Version === version) return unchanged;
      const shown = lease === undefined ? shared && describeShares(shared) : { Meta: lease.meta, Since: lease.since };
      return { status: 200, body: { LockID: id, Version, Locked, ...shown }, changes: [] };
    },
  },
};

/** What a watcher is told of a key, but for the revision. */
export function keyEvent(Key: string, item: KvEntry | undefined, expired: boolean): object {
  if (item !== undefined) return { Key, Version: item.version, Value: item.value };
  return { Key, Version: 0, Deleted: true, ...(expired ? { Expired: true } : {}) };
}
