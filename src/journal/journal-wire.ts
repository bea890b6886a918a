/**
 * The messages between the journal's thread and the others.
 *
 *   shard   ──append, checkpointed, await──►  journal        one port each; bytes are transferred, not copied
 *   shard   ◄──durable, when awaited────────  journal  ──durable, each time──►  router
 *   main    ──journal-stats, close──►  journal  ──journal-stats, log──►  main
 *
 * Before every commit a shard asks whether there is space: that stands in shared memory instead. So do the revision
 * counter and the durable revision, which the journal sets before it sends any `durable` message.
 */
import type { MessagePort } from 'node:worker_threads';
import { unreachable } from '../shared/assert.ts';
import type { Revision, ShardId } from '../protocol/ids.ts';
import type { JournalSpace } from '../protocol/journal.ts';
import type { JournalSettings } from './file/journal-options.ts';
import type { JournalStats } from '../protocol/stats.ts';
import type { RecoveredJournal } from './file/recovery.ts';

export type JournalFromShard =
  | {
      readonly kind: 'append';
      readonly first: Revision;
      readonly last: Revision;
      readonly count: number;
      readonly bytes: Uint8Array<ArrayBuffer>;
    }
  | { readonly kind: 'checkpointed'; readonly shard: ShardId; readonly watermark: Revision }
  /** Asks for a `durable` message once this revision is durable. */
  | { readonly kind: 'await'; readonly rev: Revision };

export interface DurableMessage {
  readonly kind: 'durable';
  readonly durable: Revision;
}

export type JournalFromMain =
  | { readonly kind: 'journal-stats'; readonly id: number }
  | { readonly kind: 'ping'; readonly id: number }
  | { readonly kind: 'close' };

export type JournalToMain =
  | { readonly kind: 'journal-stats'; readonly id: number; readonly stats: JournalStats }
  | { readonly kind: 'pong'; readonly id: number }
  | {
      readonly kind: 'log';
      readonly level: 'info' | 'warn' | 'error';
      readonly message: string;
      readonly details?: object;
    };

export interface JournalThreadData {
  readonly directory: string;
  readonly recovered: RecoveredJournal;
  readonly settings: JournalSettings;
  /** See `systemClock`. */
  readonly clock: SharedArrayBuffer;
  /** See `SharedRevisions`. */
  readonly revisions: SharedArrayBuffer;
  /** One Int32: see `spaceCode`. */
  readonly space: SharedArrayBuffer;
  readonly shardPorts: readonly MessagePort[];
  readonly routerPorts: readonly MessagePort[];
}

export function allocateSpace(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}

export function spaceCode(space: JournalSpace): number {
  switch (space) {
    case 'open':
      return 0;
    case 'reserve':
      return 1;
    case 'full':
      return 2;
    default:
      return unreachable(space);
  }
}

export function spaceFromCode(code: number): JournalSpace {
  return code === 0 ? 'open' : code === 1 ? 'reserve' : 'full';
}
