/**
 * What a command touches, and sets of that: how commands over several shards keep out of each other's way.
 *
 * A client's name has no NUL: the front end refuses it. So an entry that is a part of a thing has the key
 * `name NUL letter rest`. Shards, footprints and holds look at the name alone: a thing and all its parts are on one
 * shard, and one hold covers them.
 */
import type { AccountId } from './ids.ts';
import { operationsOf, sectionNames, sections, specOf, type Batch, type Command } from './operations/operations.ts';

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

/** Every key, lock id and idempotency id that a batch names: what routes it, and what a transaction holds. */
export function batchKeys(batch: Batch): string[] {
  const keys: string[] = [];
  for (const name of sectionNames) {
    if (batch[name] === undefined) continue;
    const { key } = sections[name];
    for (const operation of operationsOf(batch, name)) keys.push(key(operation));
  }
  if (batch.idempotency !== undefined) keys.push(...batch.idempotency.ids);
  return keys;
}

/** What a transaction would have to hold for this command. Mutexes live in memory, apart from all else. */
export function footprintOf(command: Command): Footprint {
  const { account } = command;
  if (command.kind === 'batch') return { names: batchKeys(command).map((key) => nameOf(account, key)) };
  const spec = specOf(command);
  if ('prefix' in spec) return { names: [], prefix: nameOf(account, spec.prefix(command as never)) };
  return { names: spec.apart === true ? [] : spec.keys(command as never).map((key) => nameOf(account, key)) };
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
