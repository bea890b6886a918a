/** Which shards a command needs, ascending. */
import { batchKeys } from '../protocol/footprint.ts';
import type { AccountId } from '../protocol/ids.ts';
import { specOf, type Command } from '../protocol/operations/operations.ts';
import { ownerOf } from '../protocol/partition.ts';

export function shardsOf(command: Command, shards: number): number[] {
  if (shards === 1) return [0];
  if (command.kind === 'batch') {
    if ((command.clear ?? command.range ?? command.wipe ?? command.same) !== undefined) return allOf(shards);
    return owners(command.account, batchKeys(command), shards);
  }
  const spec = specOf(command);
  if ('prefix' in spec) return allOf(shards);
  return owners(command.account, spec.keys(command as never), shards);
}

function allOf(shards: number): number[] {
  return Array.from({ length: shards }, (_, shard) => shard);
}

export function owners(account: AccountId, keys: readonly string[], shards: number): number[] {
  const first = ownerOf(account, keys[0]!, shards);
  // Most commands name one key.
  if (keys.every((key, i) => i === 0 || ownerOf(account, key, shards) === first)) return [first];
  return [...new Set(keys.map((key) => ownerOf(account, key, shards)))].toSorted((a, b) => a - b);
}
