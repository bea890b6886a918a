/** The first lines of the objects of a repository. Times are milliseconds since the Unix epoch. */
import type { ObjectHeader } from './backup-object.ts';

export interface RepositoryHeader extends ObjectHeader {
  readonly kind: 'repository';
  /** Random, 32 hex digits. */
  readonly id: string;
}

/** Where a writer goes on, or begins. */
export interface ContinuedWriter {
  readonly writer: number;
  /** The last revision of that writer that is part of this line. */
  readonly revision: number;
  /** The key and the hash of the object that ended with it; absent after a restore. */
  readonly object?: string;
  readonly sha256?: string;
}

export interface WriterHeader extends ObjectHeader {
  readonly kind: 'writer';
  readonly repository: string;
  readonly writer: number;
  /** 16 hex digits. */
  readonly logId: string;
  readonly boot: string;
  readonly at: number;
  /** Absent: nothing came before. */
  readonly continues?: ContinuedWriter;
  /** How: `frames` with the next frame, `gap` with a later one, `restore` from that revision with a new log. */
  readonly by: 'first' | 'frames' | 'gap' | 'restore' | 'adopted';
}

/** How a payload is stored. */
export interface PayloadMembers {
  readonly codec: 'zstd';
  readonly age?: true;
  /** Bytes of the payload before codec and encryption. */
  readonly raw: number;
}

export interface FramesHeader extends ObjectHeader, PayloadMembers {
  readonly kind: 'tail' | 'log';
  readonly repository: string;
  readonly writer: number;
  /** Of a tail object, from 1 on. Of a log object, the last tail object that it has. */
  readonly number: number;
  /** SHA-256 of the object of the same kind before it; absent in a writer's first. */
  readonly prev?: string;
  readonly logId: string;
  /** The version of its frames, see the journal. */
  readonly frames: 1 | 2;
  /** The revision that the first frame follows: one less than the first in the object's name. */
  readonly after: number;
  /** Of the first frame; higher than `after` + 1 behind a restore or a salvage. */
  readonly first: number;
  readonly last: number;
  /** The checksum of the frame before the first one, and of the last one. */
  readonly chain: number;
  readonly crc: number;
  readonly atFirst: number;
  readonly atLast: number;
  /** The revisions between these were lost: the journal was not held long enough. */
  readonly gap?: { readonly after: number; readonly atAfter: number };
}

export interface BlockHeader extends ObjectHeader, PayloadMembers {
  readonly kind: 'block';
  readonly repository: string;
  readonly copy: string;
  readonly block: number;
  readonly rows: number;
}

export interface ManifestHeader extends ObjectHeader {
  readonly kind: 'manifest';
  readonly repository: string;
  readonly writer: number;
  readonly logId: string;
  readonly copy: string;
  /** The rows and every effect after this revision, up to any R ≥ `consistent`, are the state at R. */
  readonly from: number;
  readonly consistent: number;
  /** When it was begun and done. */
  readonly startedAt: number;
  readonly at: number;
  /** The number of shards that the rows stood in. */
  readonly shards: number;
  readonly rows: number;
  readonly raw: number;
  readonly encrypted: boolean;
  /** Which reader the rows need, and the kinds that are newer than reader 1; absent: reader 1. See protocol/readers.ts. */
  readonly reader?: number;
  readonly kinds?: readonly string[];
  /** SHA-256 of each block, in order. */
  readonly blocks: readonly string[];
  /** See row-block.ts. */
  readonly rowFormat: 1;
}

export interface CheckHeader extends ObjectHeader {
  readonly kind: 'check';
  readonly repository: string;
  readonly at: number;
  readonly what: 'lists' | 'read' | 'drill';
  readonly ok: boolean;
  readonly problems: readonly string[];
  readonly digest?: string;
  readonly revision?: number;
}
