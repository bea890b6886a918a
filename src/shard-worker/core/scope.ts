import { batchKeys } from '../../protocol/batch-keys.ts';
import type { Command } from '../../protocol/commands.ts';
import { unreachable } from '../../shared/assert.ts';
import type { Scope } from './holds.ts';
import { nameOf } from './state.ts';

/** The keys a command reads or writes. Mutexes live in memory, apart from all else, and are never held. */
export function scopeOf(command: Command): Scope {
  const { account } = command;
  switch (command.kind) {
    case 'batch':
      return { names: batchKeys(command).map((key) => nameOf(account, key)) };
    case 'kv.list':
    case 'lock.list':
      return { names: [], prefix: nameOf(account, command.prefix) };
    case 'lock.inspect':
      return { names: [nameOf(account, command.id)] };
    case 'watch.key':
      return { names: [nameOf(account, command.key)] };
    case 'mutex.lock':
    case 'mutex.unlock':
      return { names: [] };
    default:
      return unreachable(command);
  }
}
