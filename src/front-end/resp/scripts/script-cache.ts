/**
 * The scripts that clients have loaded or run, by account and SHA-1. They are in memory only, as in Redis, and within
 * limits: an account that loads more loses its oldest, and so does the account that has the most when all have too much.
 * A client whose script is gone is told NOSCRIPT, and sends it again.
 */
import { createHash } from 'node:crypto';

const accountBytesMax = 1024 * 1024;
const bytesMax = 32 * 1024 * 1024;
/** An entry takes memory besides its text. */
const entryBytes = 200;

interface Loaded {
  /** Oldest first. */
  readonly scripts: Map<string, string>;
  bytes: number;
}

/** @param source bytes, each as one character */
export function shaOf(source: string): string {
  return createHash('sha1').update(source, 'latin1').digest('hex');
}

export class ScriptCache {
  readonly #accounts = new Map<string, Loaded>();
  #bytes = 0;

  get(account: string, sha: string): string | undefined {
    const loaded = this.#accounts.get(account);
    const source = loaded?.scripts.get(sha);
    if (loaded === undefined || source === undefined) return undefined;
    // Last used is last to go.
    loaded.scripts.delete(sha);
    loaded.scripts.set(sha, source);
    return source;
  }

  add(account: string, sha: string, source: string): void {
    if (this.get(account, sha) !== undefined) return;
    let loaded = this.#accounts.get(account);
    if (loaded === undefined) this.#accounts.set(account, (loaded = { scripts: new Map(), bytes: 0 }));
    loaded.scripts.set(sha, source);
    this.#count(loaded, source, 1);
    while (loaded.bytes > accountBytesMax && loaded.scripts.size > 1) this.#dropOldest(account, loaded);
    while (this.#bytes > bytesMax && this.#accounts.size > 1) this.#dropOldest(...this.#heaviest());
  }

  clear(account: string): void {
    this.#bytes -= this.#accounts.get(account)?.bytes ?? 0;
    this.#accounts.delete(account);
  }

  #heaviest(): [string, Loaded] {
    let heaviest: [string, Loaded] | undefined;
    for (const entry of this.#accounts)
      if (heaviest === undefined || entry[1].bytes > heaviest[1].bytes) heaviest = entry;
    return heaviest!;
  }

  #dropOldest(account: string, loaded: Loaded): void {
    const [sha, source] = loaded.scripts.entries().next().value!;
    loaded.scripts.delete(sha);
    this.#count(loaded, source, -1);
    if (loaded.scripts.size === 0) this.#accounts.delete(account);
  }

  #count(loaded: Loaded, source: string, sign: 1 | -1): void {
    const bytes = sign * (source.length + entryBytes);
    loaded.bytes += bytes;
    this.#bytes += bytes;
  }
}
