import type { Reply } from '../../src/protocol/replies.ts';
import { statusOf } from '../../src/front-end/http/status.ts';

/** Returns the HTTP status of a reply; 0: registered, an event will follow. */
export function replyStatus({ outcome }: Pick<Reply, 'outcome'>): number {
  return outcome === 'registered' ? 0 : statusOf(outcome);
}
