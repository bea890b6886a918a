/**
 * Bytes that the server holds for slow clients: requests that have not fully arrived, replies that are not read. Only
 * the client decides how long that takes. Over `bytesMax` in total, evict the owners whose bytes have been held
 * longest: a client that is making progress finishes soon. A single owner is never evicted; it has a limit of its own.
 */
export class ByteBudget<Owner> {
  readonly #bytesMax: number;
  readonly #evict: (owner: Owner) => void;
  /** Oldest first. */
  readonly #owners = new Map<Owner, number>();
  #bytes = 0;

  /** @param evict must free the owner's bytes, which are not counted any more */
  constructor(bytesMax: number, evict: (owner: Owner) => void) {
    this.#bytesMax = bytesMax;
    this.#evict = evict;
  }

  heldFor(owner: Owner): number {
    return this.#owners.get(owner) ?? 0;
  }

  /** Sets how many bytes are held for an owner; may evict others. */
  hold(owner: Owner, bytes: number): void {
    this.#bytes += bytes - this.heldFor(owner);
    this.#owners.set(owner, bytes);
    for (const [oldest] of this.#owners) {
      if (this.#bytes <= this.#bytesMax || this.#owners.size === 1) break;
      this.release(oldest);
      this.#evict(oldest);
    }
  }

  /** Nothing is held for the owner any more. Harmless for one that was never counted. */
  release(owner: Owner): void {
    this.#bytes -= this.heldFor(owner);
    this.#owners.delete(owner);
  }
}
