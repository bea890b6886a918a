/** What a front end and its script thread tell each other. */
import type { AccountId } from '../../../protocol/ids.ts';
import type { StringOp } from '../../../protocol/operations/string-op.ts';
import type { Limits } from '../../../shared/limits.ts';

/** A key that was read for a script. */
export interface ScriptKey {
  readonly key: string;
  /** JSON text; absent: there is none. */
  readonly value?: string;
  /** 0: it has no time to live. */
  readonly till: number;
  readonly version: number;
}

export interface ScriptRequest {
  readonly account: AccountId;
  /** SHA-1 of the source, in hex. */
  readonly sha: string;
  /** Bytes, each as one character, as are `keys` and `args`. */
  readonly source: string;
  readonly keys: readonly string[];
  readonly args: readonly string[];
  /** What was read of `keys`. */
  readonly read: readonly ScriptKey[];
  /** Milliseconds. */
  readonly now: number;
  readonly protocol: 2 | 3;
  readonly readOnly: boolean;
  /** It is not run: the reply is empty, or the error of its source. */
  readonly compileOnly: boolean;
}

export interface ScriptResult {
  /** The finished reply. */
  readonly reply: string;
  /** Empty: it changes nothing. */
  readonly effects: readonly StringOp[];
}

export interface ScriptThreadData {
  readonly limits: Limits;
}

export interface ToScripts {
  readonly kind: 'run';
  readonly request: ScriptRequest;
}

export interface FromScripts {
  readonly kind: 'ran';
  readonly result: ScriptResult;
}
