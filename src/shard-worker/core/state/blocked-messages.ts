/** Messages that need a held key, in order of arrival, with their footprints. */
import { FootprintQueue, type WaitingCommand } from '../../../protocol/footprint-queue.ts';
import type { Footprint } from '../../../protocol/footprint.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import type { CoreMessage } from './core-message.ts';
import type { Holds } from './holds.ts';
import type { RequestRef } from './outbox.ts';
import { refName } from './wait-queue.ts';

export interface BlockedMessage extends WaitingCommand {
  readonly router: number;
  readonly message: CoreMessage;
}

export class BlockedMessages {
  readonly #queue = new FootprintQueue<BlockedMessage>();
  /** Where each request stands that its client may cancel. */
  readonly #requests = new Map<string, { readonly account: AccountId; readonly place: number }>();

  get size(): number {
    return this.#queue.size;
  }

  add(blocked: BlockedMessage): void {
    const place = this.#queue.add(blocked);
    const request = requestOf(blocked);
    if (request !== undefined) this.#requests.set(refName(request), { account: blocked.account, place });
  }

  /** Returns whether an earlier blocked message needs a key of this footprint; if so, this one must wait after it. */
  conflicts(footprint: Footprint): boolean {
    return this.#queue.conflicts(footprint);
  }

  /** Removes and returns the message of a request. */
  take(request: RequestRef): BlockedMessage | undefined {
    if (this.#requests.size === 0) return undefined;
    const name = refName(request);
    const at = this.#requests.get(name);
    if (at === undefined) return undefined;
    this.#requests.delete(name);
    return this.#queue.remove(at.account, at.place);
  }

  /**
   * Runs messages of an account that are no longer blocked, in order of arrival, so that the order per key is kept.
   *
   * @returns true: more of them may run; the caller must call again soon
   */
  retry(account: AccountId, holds: Holds, run: (blocked: BlockedMessage) => void): boolean {
    if (this.#queue.size === 0) return false;
    return this.#queue.release(
      account,
      (footprint) => holds.conflicts(footprint),
      (blocked) => {
        const request = requestOf(blocked);
        if (request !== undefined) this.#requests.delete(refName(request));
        run(blocked);
      },
    );
  }
}

function requestOf({ router, message }: BlockedMessage): RequestRef | undefined {
  const isRequest = message.kind === 'request' || message.kind === 'transaction.reserve';
  return isRequest ? { router, id: message.id } : undefined;
}
