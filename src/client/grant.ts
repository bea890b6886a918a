/** What a batch says of a lock that it has taken. */

/** A lock that a batch has taken. */
export interface Grant {
  /** The fencing token. Grows with every holder of the lock. */
  readonly fence: number;
  /** When the lock ends: milliseconds since the epoch, by the server's clock. */
  readonly till: number;
  /** Set if the previous holder did not release the lock. */
  readonly recover?: Recover;
}

/** How the lease of the previous holder ended, if that holder did not release the lock. */
export interface Recover {
  /** The fencing token of that holder. */
  readonly fence: number;
  /** What that holder has passed as `meta`. */
  readonly meta?: unknown;
  /** Its lease ran out, or was ended by force. */
  readonly why: 'expired' | 'forced';
}
