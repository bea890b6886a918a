import type { AccountId } from '../../../protocol/ids.ts';
import { serverAccount } from '../../../protocol/ids.ts';
import type { Batch } from '../../../protocol/operations/operations.ts';
import type { ToShard } from '../../../protocol/wire/shard-messages.ts';
import { unreachable } from '../../../shared/assert.ts';
import type { ResourceKind } from './wait-queue.ts';

/** A message that the core handles. The actor answers `stats` and `close` itself, and splits arrays into items. */
export type CoreMessage =
  | Exclude<ToShard, { kind: 'stats' | 'close' | 'array' }>
  | { readonly kind: 'item'; readonly id: number; readonly item: number; readonly batch: Batch }
  | OwnMessage;

/** The core sends itself what one command may not do at once, because it can be any amount of work. */
export type OwnMessage =
  /** Go on serving a wait queue whose resource is free. */
  | { readonly kind: 'queue.serve'; readonly resource: ResourceKind; readonly account: AccountId; readonly id: string }
  /** Go on with messages that are no longer blocked. */
  | { readonly kind: 'blocked.retry'; readonly account: AccountId };

/** Returns the account that a message works for. */
export function accountOf(message: CoreMessage): AccountId {
  switch (message.kind) {
    case 'request':
    case 'transaction.prepare':
      return message.command.account;
    case 'item':
    case 'transaction.claim':
    case 'transaction.commit':
      return message.batch.account;
    case 'grant.return':
      return message.grant.account;
    case 'cancel':
    case 'unwatch':
    case 'transaction.reserve':
    case 'transaction.apply':
    case 'transaction.release':
    case 'queue.serve':
    case 'blocked.retry':
      return message.account;
    case 'drain':
      return serverAccount;
    default:
      return unreachable(message);
  }
}
