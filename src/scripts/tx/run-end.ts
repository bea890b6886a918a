/** How a run ends that does not end by itself: the script cannot catch it. */
import type { ScriptNeeds } from '../script-run.ts';

type End =
  | { readonly kind: 'needs'; readonly needs: ScriptNeeds }
  /** By `tx.fail`; `details` is JSON text. */
  | { readonly kind: 'refused'; readonly reason: string; readonly details: string | undefined }
  | { readonly kind: 'limit'; readonly message: string }
  | { readonly kind: 'timeout' };

/**
 * Thrown through the virtual machine, which has no frame that catches it. quickjs-wasi makes an exception of the script
 * out of what a host function throws, and takes `String(thrown)` for that: this one throws itself there, too.
 */
export class RunEnd extends Error {
  readonly end: End;

  constructor(end: End) {
    super(`The run has ended: ${end.kind}`);
    this.end = end;
  }
}

/** What a host function throws to end the run: no `Error`, so that quickjs-wasi asks for its text. */
export function uncaught(end: RunEnd): unknown {
  return {
    toString(): never {
      throw end;
    },
  };
}

/** A mistake in a call of `tx`, which the script may catch. */
export class TxMistake extends Error {}

export function overLimit(message: string): never {
  throw new RunEnd({ kind: 'limit', message });
}

export function mistaken(message: string): never {
  throw new TxMistake(message);
}
