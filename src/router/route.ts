/** Which shards a command needs, ascending. */
import { batchKeys } from '../protocol/batch-keys.ts';
import type { Command } from '../protocol/commands.ts';
import type { AccountId } from '../protocol/ids.ts';
import { ownerOf } from '../protocol/partition.ts';
import { unreachable } from '../shared/assert.ts';

export function shardsOf(command: Command, shards: number): number[] {
  if (shards === 1) return [0];
  const { account } = command;
  switch (command.kind) {
    case 'batch':
      return owners(account, batchKeys(command), shards);
    case 'kv.list':
    case 'lock.list':
      return Array.from({ length: shards }, (_, shard) => shard);
    case 'lock.inspect':
      return [ownerOf(account, command.id, shards)];
    case 'mutex.lock':
      return [ownerOf(account, command.lock.id, shards)];
    case 'mutex.unlock':
      return [ownerOf(account, command.unlock.id, shards)];
    case 'watch.key':
      return [ownerOf(account, command.key, shards)];
    default:
      return unreachable(command);
  }
}

export function owners(account: AccountId, keys: readonly string[], shards: number): number[] {
  const first = ownerOf(account, keys[0]!, shards);
  // Most commands name one key.
  if (keys.every((key, i) => i === 0 || ownerOf(account, key, shards) === first)) return [first];
  return [...new Set(keys.map((key) => ownerOf(account, key, shards)))].toSorted((a, b) => a - b);
}
