/**
 * Which shard keeps a key: a pure function of account, name and the number of shards. The name is the key up to its
 * first NUL (footprint.ts). So all kinds of one name share a shard, and a thing shares it with all its parts.
 */
import { shardId, type AccountId, type ShardId } from './ids.ts';

/** FNV-1a over UTF-16 code units, up to a NUL. It must never change: the store is laid out by it. */
export function ownerOf(account: AccountId, key: string, shards: number): ShardId {
  if (shards === 1) return shardId(0);
  let hash = 0x811c9dc5;
  for (let i = 0; i < account.length; i++) hash = Math.imul(hash ^ account.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ 0x2f, 0x01000193);
  for (let i = 0; i < key.length; i++) {
    const code = key.charCodeAt(i);
    if (code === 0) break;
    hash = Math.imul(hash ^ code, 0x01000193);
  }
  // The low bits of FNV-1a follow the last characters closely; numbered keys would crowd.
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x2c1b3c6d);
  hash ^= hash >>> 12;
  return shardId((hash >>> 0) % shards);
}
