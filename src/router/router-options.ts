/** What a router is made of. */
import type { JournalStats } from '../protocol/stats.ts';
import type { Revision } from '../protocol/ids.ts';
import type { After } from '../shared/clock.ts';
import type { Limits } from '../shared/limits.ts';
import type { RouterCounts } from './router-counts.ts';
import type { ShardLink } from './shard-link.ts';
import type { PrefixWatches } from './watch/prefix-watches.ts';

export interface RouterOptions {
  /** Index of this front end; part of every transaction's name. */
  readonly index: number;
  readonly links: readonly ShardLink[];
  /** The highest revision on disk, at this very moment. */
  readonly durable: () => Revision;
  /** Says whether `advance` is to be called when more is durable; what is durable is read anew afterwards. */
  readonly awaitDurable: (awaits: boolean) => void;
  readonly limits: Limits;
  /** Shared by all front ends. */
  readonly counts: RouterCounts;
  /** Reads changes under a prefix from the journal, not from the shards. */
  readonly prefixWatches: PrefixWatches;
  readonly journalStats: () => Promise<JournalStats>;
  /** Runs at the end of the current turn of the event loop. */
  readonly defer: (run: () => void) => void;
  readonly after: After;
}
