/**
 * What a command touches, and sets of that: how commands over several shards keep out of each other's way.
 *
 * A client's name has no NUL: the front end refuses it. So an entry that is a part of a thing has the key
 * `name NUL letter rest`. Shards, footprints and holds look at the name alone: a thing and all its parts are on one
 * shard, and one hold covers them.
 */
import BTree from 'sorted-btree';
import type { AccountId } from './ids.ts';
import { commonPrefix } from './operations/script.ts';
import { operationsOf, sectionNames, sections, specOf, type Batch, type Command } from './operations/operations.ts';

/** The name of a key's thing across accounts: of the key, only what is before its first NUL. Accounts have no NUL. */
export function nameOf(account: AccountId, key: string): string {
  const nul = key.indexOf('\0');
  return `${account}\0${nul === -1 ? key : key.slice(0, nul)}`;
}

/** The name of what is watched: a key, or a lock, whose names are apart. */
export function watchName({
  account,
  key,
  lock,
}: {
  account: AccountId;
  key: string;
  lock?: true | undefined;
}): string {
  return lock === undefined ? nameOf(account, key) : `${nameOf(account, key)}\0l`;
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
    const { key, prefix } = sections[name];
    if (prefix !== undefined) continue;
    for (const operation of operationsOf(batch, name)) keys.push(key(operation));
  }
  if (batch.idempotency !== undefined) keys.push(...batch.idempotency.ids);
  return keys;
}

/** What a transaction would have to hold for this command. Mutexes live in memory, apart from all else. */
export function footprintOf(command: Command): Footprint {
  const { account } = command;
  if (command.kind === 'batch') {
    const names = batchKeys(command).map((key) => nameOf(account, key));
    const prefix = command.wipe === undefined ? prefixOf(command) : '';
    return prefix === undefined ? { names } : { names, prefix: nameOf(account, prefix) };
  }
  const spec = specOf(command);
  if ('prefix' in spec) return { names: [], prefix: nameOf(account, spec.prefix(command as never)) };
  return { names: spec.apart === true ? [] : spec.keys(command as never).map((key) => nameOf(account, key)) };
}

function prefixOf({ clear, range, same }: Batch): string | undefined {
  return (clear ?? range)?.prefix ?? (same === undefined ? undefined : commonPrefix(same));
}

/**
 * Footprints that are added and removed. Names and prefixes stand in order: those under a prefix are neighbours, so no
 * question takes longer because of how many there are, whoever added them.
 */
export class FootprintSet {
  readonly #names = new Tally();
  readonly #prefixes = new Tally();
  /** How many different prefixes there are of each length. */
  readonly #lengths = new Map<number, number>();

  get empty(): boolean {
    return this.#names.size === 0 && this.#prefixes.size === 0;
  }

  /** The number of different names and prefixes. */
  get names(): number {
    return this.#names.size + this.#prefixes.size;
  }

  add({ names, prefix }: Footprint): void {
    for (const name of names) this.#names.add(name);
    if (prefix !== undefined && this.#prefixes.add(prefix))
      this.#lengths.set(prefix.length, (this.#lengths.get(prefix.length) ?? 0) + 1);
  }

  remove({ names, prefix }: Footprint): void {
    for (const name of names) this.#names.remove(name);
    if (prefix === undefined || !this.#prefixes.remove(prefix)) return;
    const left = this.#lengths.get(prefix.length)! - 1;
    if (left > 0) this.#lengths.set(prefix.length, left);
    else this.#lengths.delete(prefix.length);
  }

  conflicts({ names, prefix }: Footprint): boolean {
    for (const name of names) if (this.#names.has(name) || this.#hasPrefixOf(name)) return true;
    if (prefix === undefined) return false;
    return this.#hasPrefixOf(prefix) || this.#prefixes.hasUnder(prefix) || this.#names.hasUnder(prefix);
  }

  #hasPrefixOf(name: string): boolean {
    for (const length of this.#lengths.keys()) {
      if (length <= name.length && this.#prefixes.has(name.slice(0, length))) return true;
    }
    return false;
  }
}

/** Counts equal texts, in order. */
class Tally {
  readonly #counts = new BTree.default<string, number>(undefined, (a, b) => (a < b ? -1 : a === b ? 0 : 1));

  get size(): number {
    return this.#counts.size;
  }

  has(text: string): boolean {
    return this.#counts.has(text);
  }

  /** Returns whether a text starts with `prefix`. */
  hasUnder(prefix: string): boolean {
    return this.#counts.nextHigherKey(prefix)?.startsWith(prefix) === true || this.#counts.has(prefix);
  }

  /** @returns true: it is the first */
  add(text: string): boolean {
    const before = this.#counts.get(text) ?? 0;
    this.#counts.set(text, before + 1);
    return before === 0;
  }

  /** @returns true: it was the last */
  remove(text: string): boolean {
    const left = (this.#counts.get(text) ?? 0) - 1;
    if (left > 0) this.#counts.set(text, left);
    else this.#counts.delete(text);
    return left <= 0;
  }
}
