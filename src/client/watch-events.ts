/** What watches are asked, and what they show. */
import type { Entry } from './batch-result.ts';

/** Options of every watch. */
export interface WatchOptions {
  /** Ends the watch from outside: its loop throws the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of a watch of one key. */
export interface WatchKeyOptions extends WatchOptions {
  /** Begin with the first state of another version; 0: the key does not exist. Default: the current state. */
  readonly version?: number | undefined;
}

/** What a watch of keys shows: the key has a value, or there is no such key. */
export type KeyState<Value = unknown> =
  | {
      /** The key exists. */
      readonly kind: 'value';
      /** The key. */
      readonly key: string;
      /** Its version. */
      readonly version: number;
      /** Its value. */
      readonly value: Value;
    }
  | {
      /** There is no such key. */
      readonly kind: 'none';
      /** The key. */
      readonly key: string;
      /** No key has the version 0. */
      readonly version: 0;
      /** Whether it has expired. Otherwise it was deleted, or never there. */
      readonly expired: boolean;
    };

/** Options of a watch of a prefix. */
export interface WatchPrefixOptions extends WatchOptions {
  /** Begin with the commits after this revision instead of a list: `rev` of the last event seen. */
  readonly after?: number | undefined;
}

/** What a watch of a prefix shows. */
export type PrefixEvent<Value = unknown> =
  | {
      /** Everything under the prefix. It replaces what the watcher knew before. */
      readonly kind: 'list';
      /** In byte order of the keys. */
      readonly entries: readonly Entry<Value>[];
      /** The revision from which the commits follow. */
      readonly rev: number;
    }
  | {
      /** One commit. */
      readonly kind: 'commit';
      /** What it has changed under the prefix. */
      readonly changes: readonly Change<Value>[];
      /** The revision of the commit. */
      readonly rev: number;
    };

/** One change of a commit. */
export type Change<Value = unknown> =
  | {
      /** The key was written. */
      readonly kind: 'set';
      /** The key. */
      readonly key: string;
      /** Its new version. */
      readonly version: number;
      /** Its new value. */
      readonly value: Value;
      /** When it expires, if it does: milliseconds since the epoch, by the server's clock. */
      readonly till?: number;
    }
  | {
      /** The key is gone. */
      readonly kind: 'delete';
      /** The key. */
      readonly key: string;
      /** Whether it has expired. Otherwise it was deleted. */
      readonly expired: boolean;
    };

/** What a watch of a lock shows. */
export interface LockState {
  /** Name of the lock. */
  readonly id: string;
  /** Differs from one state to the next; 0: nobody has held it for an hour. It is no fence. */
  readonly version: number;
  /** Whether anybody holds it. */
  readonly locked: boolean;
  /** What the holder has passed as `meta`. */
  readonly meta?: unknown;
  /** When it was taken: milliseconds since the epoch, by the server's clock. */
  readonly since?: number;
  /** Of a lock that several hold: how many. */
  readonly holders?: number;
}
