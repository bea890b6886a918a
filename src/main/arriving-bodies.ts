/**
 * Clients that send slowly. What has arrived of a body is kept until the rest is there, and only the client decides how
 * long that takes, up to `http.request_timeout_ms`. So when more than `bytesMax` is kept of bodies that are not complete,
 * those are given up that have been arriving for longest: oldest first, because a client that sends is soon done, and one
 * that does not grows old. One body alone is never given up; it has a limit of its own.
 *
 * The twin of `UnreadReplies`.
 */
export interface ArrivingBody {
  /** Lets go of what is kept of it. */
  giveUp(): void;
}

export class ArrivingBodies {
  readonly #bytesMax: number;
  /** Oldest first → bytes that are kept of it. */
  readonly #arriving = new Map<ArrivingBody, number>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** So many bytes are kept of it by now, and more will come. */
  keeps(body: ArrivingBody, bytes: number): void {
    this.#bytes += bytes - (this.#arriving.get(body) ?? 0);
    this.#arriving.set(body, bytes);
    for (const [oldest] of this.#arriving) {
      if (this.#bytes <= this.#bytesMax || this.#arriving.size === 1) break;
      this.ended(oldest);
      oldest.giveUp();
    }
  }

  /** Complete, refused or broken off. Harmless for one that was never counted. */
  ended(body: ArrivingBody): void {
    this.#bytes -= this.#arriving.get(body) ?? 0;
    this.#arriving.delete(body);
  }
}
