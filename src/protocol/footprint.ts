/**
 * What a command touches, and sets of that: how commands over several shards keep out of each other's way.
 *
 * A client's name has no NUL: the front end refuses it. So an entry that is a part of a thing has the key
 * `name NUL letter rest`. Shards, footprints and holds look at the name alone: a thing and all its parts are on one
 * shard, and one hold covers them.
 */
import { unreachable } from '../shared/assert.ts';
import { batchKeys } from './batch-keys.ts';
import type { Command } from './commands.ts';
import type { AccountId } from './ids.ts';

/** The name of a key's thing across accounts: of the key, only what is before its first NUL. Accounts have no NUL. */
export function nameOf(account: AccountId, key: string): string {
  const nul = key.indexOf('\0');
  return `${account}\0${nul === -1 ? key : key.slice(0, nul)}`;
}

/** What a command needs: single names, or all names that start with a prefix. */
export interface Footprint {
  readonly names: readonly string[];
  readonly prefix?: string;
}

/** The keys a command reads or writes. Mutexes live in memory, apart from all else, and are never held. */
export function footprintOf(command: Command): Footprint {
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

export class FootprintSet {
  readonly #names = new Map<string, number>();
  readonly #prefixes = new Map<string, number>();

  get empty(): boolean {
    return this.#names.size === 0 && this.#prefixes.size === 0;
  }

  add(scope: Footprint): void {
    for (const name of scope.names) increment(this.#names, name);
    if (scope.prefix !== undefined) increment(this.#prefixes, scope.prefix);
  }

  remove(scope: Footprint): void {
    for (const name of scope.names) decrement(this.#names, name);
    if (scope.prefix !== undefined) decrement(this.#prefixes, scope.prefix);
  }

  conflicts(scope: Footprint): boolean {
    for (const name of scope.names) {
      if (this.#names.has(name)) return true;
      for (const prefix of this.#prefixes.keys()) if (name.startsWith(prefix)) return true;
    }
    const wanted = scope.prefix;
    if (wanted === undefined) return false;
    for (const prefix of this.#prefixes.keys()) if (prefix.startsWith(wanted) || wanted.startsWith(prefix)) return true;
    for (const name of this.#names.keys()) if (name.startsWith(wanted)) return true;
    return false;
  }
}

function increment(counts: Map<string, number>, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

function decrement(counts: Map<string, number>, name: string): void {
  const left = (counts.get(name) ?? 0) - 1;
  if (left > 0) counts.set(name, left);
  else counts.delete(name);
}
