import type { ToShard } from '../../../protocol/wire/shard-messages.ts';
import type { Batch } from '../../../protocol/operations/operations.ts';

/** A message that the core handles. The actor answers `stats` and `close` itself, and splits arrays into items. */
export type CoreMessage =
  | Exclude<ToShard, { kind: 'stats' | 'close' | 'array' }>
  | { readonly kind: 'item'; readonly id: number; readonly item: number; readonly batch: Batch };
