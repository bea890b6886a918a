/** Messages that need a held key, in order of arrival, with their footprints. */
import { FootprintSet, type Footprint } from '../../../protocol/footprint.ts';
import type { CoreMessage } from './core-message.ts';
import type { Holds } from './holds.ts';

export interface BlockedMessage {
  readonly router: number;
  readonly message: CoreMessage;
  readonly footprint: Footprint;
}

export class BlockedMessages {
  #messages: BlockedMessage[] = [];
  readonly #footprints = new FootprintSet();

  get size(): number {
    return this.#messages.length;
  }

  add(blocked: BlockedMessage): void {
    this.#messages.push(blocked);
    this.#footprints.add(blocked.footprint);
  }

  /** Returns whether an earlier blocked message needs a key of this footprint; if so, this one must wait after it. */
  conflicts(footprint: Footprint): boolean {
    return this.#footprints.conflicts(footprint);
  }

  /** Removes and returns the first message that fits. */
  take(fits: (blocked: BlockedMessage) => boolean): BlockedMessage | undefined {
    const at = this.#messages.findIndex(fits);
    const [taken] = at < 0 ? [] : this.#messages.splice(at, 1);
    if (taken !== undefined) this.#footprints.remove(taken.footprint);
    return taken;
  }

  /** Runs each message that is no longer blocked, in order of arrival, so that the order per key is kept. */
  retry(holds: Holds, run: (blocked: BlockedMessage) => void): void {
    if (this.#messages.length === 0) return;
    const waiting = this.#messages;
    this.#messages = [];
    const still = new FootprintSet();
    for (const blocked of waiting) {
      if (holds.conflicts(blocked.footprint) || still.conflicts(blocked.footprint)) {
        this.#messages.push(blocked);
        still.add(blocked.footprint);
        continue;
      }
      this.#footprints.remove(blocked.footprint);
      run(blocked);
    }
  }
}
