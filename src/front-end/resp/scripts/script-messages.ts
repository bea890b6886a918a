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

/** A script with what it is given. */
export interface ScriptCall {
  readonly kind: 'script';
  /** SHA-1 of the source, in hex. */
  readonly sha: string;
  /** Bytes, each as one character, as are `names` and `args`. */
  readonly source: string;
  /** The keys that it may use, as text. */
  readonly keys: readonly string[];
  /** The same as bytes. */
  readonly names: readonly string[];
  readonly args: readonly string[];
  readonly readOnly: boolean;
}

/** One step of a run: a script, or what else stands in a transaction with scripts. */
export type ScriptPart =
  | ScriptCall
  /** A command that works on keys. */
  | { readonly kind: 'command'; readonly args: readonly string[] }
  /** The reply is known. */
  | { readonly kind: 'text'; readonly text: string };

export interface ScriptRequest {
  readonly account: AccountId;
  /** SHA-1 of the first script. */
  readonly sha: string;
  readonly parts: readonly ScriptPart[];
  /** The reply is a list of those of the parts. */
  readonly transaction: boolean;
  /** What was read of the keys of all parts. */
  readonly read: readonly ScriptKey[];
  /** Milliseconds. */
  readonly now: number;
  readonly protocol: 2 | 3;
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
