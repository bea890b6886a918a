/** Types that must not be mixed up. They are plain values at run time; only the compiler tells them apart. */
declare const brand: unique symbol;
type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** A tenant: 1–64 characters of `A-Za-z0-9._-`. */
export type AccountId = Brand<string, 'AccountId'>;

/** The index of a shard, 0 … shards-1. */
export type ShardId = Brand<number, 'ShardId'>;

/**
 * A commit number of the whole server: dense, increasing, below 2^53. It is the `Version` of every key that the commit
 * wrote, the fencing token of a lock that it granted, and the cursor of a watch.
 */
export type Revision = Brand<number, 'Revision'>;

export const accountPattern = /^[A-Za-z0-9._-]{1,64}$/;

export function accountId(text: string): AccountId {
  return text as AccountId;
}

export function shardId(index: number): ShardId {
  return index as ShardId;
}

export function revision(value: number): Revision {
  return value as Revision;
}

/** The account of the server's own records (the last epoch). No client can name it. */
export const serverAccount = accountId('');
