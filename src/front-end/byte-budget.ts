/**
 * What slow clients make us keep: of requests that have not arrived whole, of replies that nobody takes. Only the client
 * decides how long that takes. So when more than `bytesMax` is kept of all of them together, those are let go of whom
 * something has been kept for longest: oldest first, because a client that sends, or reads, is soon done, and one that
 * does not grows old. One alone is never let go; it has a limit of its own.
 */
export class ByteBudget<Owner> {
  readonly #bytesMax: number;
  readonly #letGo: (owner: Owner) => void;
  /** Oldest first. */
  readonly #owners = new Map<Owner, number>();
  #bytes = 0;

  /** @param letGo must end it: nothing of it is counted any more */
  constructor(bytesMax: number, letGo: (owner: Owner) => void) {
    this.#bytesMax = bytesMax;
    this.#letGo = letGo;
  }

  of(owner: Owner): number {
    return this.#owners.get(owner) ?? 0;
  }

  /** So many bytes are kept of it by now. */
  keeps(owner: Owner, bytes: number): void {
    this.#bytes += bytes - this.of(owner);
    this.#owners.set(owner, bytes);
    for (const [oldest] of this.#owners) {
      if (this.#bytes <= this.#bytesMax || this.#owners.size === 1) break;
      this.forget(oldest);
      this.#letGo(oldest);
    }
  }

  /** Nothing is kept of it. Harmless for one that was never counted. */
  forget(owner: Owner): void {
    this.#bytes -= this.of(owner);
    this.#owners.delete(owner);
  }
}
