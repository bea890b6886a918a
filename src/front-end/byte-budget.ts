import { InvariantError } from '../shared/assert.ts';

/**
 * Bytes that the server holds for slow clients: requests that have not fully arrived, replies that are not read. Only
 * the client decides how long that takes. Over `bytesMax` in total, evict the owners whose bytes have been held
 * longest, of the account that holds the most: a client that is making progress finishes soon, and no account loses
 * anything because of one that holds more. A single owner is never evicted; it has a limit of its own.
 */
export class ByteBudget<Owner> {
  readonly #bytesMax: number;
  readonly #evict: (owner: Owner) => void;
  /** Oldest first. */
  readonly #owners = new Map<Owner, Held>();
  readonly #byAccount = new Map<string, number>();
  #bytes = 0;

  /** @param evict must free the owner's bytes, which are not counted any more */
  constructor(bytesMax: number, evict: (owner: Owner) => void) {
    this.#bytesMax = bytesMax;
    this.#evict = evict;
  }

  heldFor(owner: Owner): number {
    return this.#owners.get(owner)?.bytes ?? 0;
  }

  /**
   * Sets how many bytes are held for an owner; may evict others.
   * @param account for which the owner's bytes count, from the first on; '': of no account
   */
  hold(owner: Owner, bytes: number, account = ''): void {
    const held = this.#owners.get(owner) ?? { bytes: 0, account };
    this.#add(held.account, bytes - held.bytes);
    held.bytes = bytes;
    this.#owners.set(owner, held);
    while (!(this.#bytes <= this.#bytesMax || this.#owners.size === 1)) {
      const oldest = this.#oldestOf(this.#heaviest());
      this.release(oldest);
      this.#evict(oldest);
    }
  }

  /** Nothing is held for the owner any more. Harmless for one that was never counted. */
  release(owner: Owner): void {
    const held = this.#owners.get(owner);
    if (held === undefined) return;
    this.#owners.delete(owner);
    this.#add(held.account, -held.bytes);
  }

  #add(account: string, bytes: number): void {
    this.#bytes += bytes;
    const ofAccount = (this.#byAccount.get(account) ?? 0) + bytes;
    if (ofAccount > 0) this.#byAccount.set(account, ofAccount);
    else this.#byAccount.delete(account);
  }

  #heaviest(): string {
    let heaviest = '';
    let most = 0;
    for (const [account, bytes] of this.#byAccount) {
      if (bytes > most) [heaviest, most] = [account, bytes];
    }
    return heaviest;
  }

  #oldestOf(account: string): Owner {
    for (const [owner, held] of this.#owners) if (held.account === account) return owner;
    throw new InvariantError('invariant broken: an account that holds bytes has an owner');
  }
}

interface Held {
  bytes: number;
  readonly account: string;
}
