/** Secrets of webhooks. Front ends and the dispatcher make candidates, of which a shard keeps one. */
import { randomBytes } from 'node:crypto';

const secretBytes = 24;

/** Returns a secret as Standard Webhooks writes it. */
export function newWebhookSecret(): string {
  return `whsec_${randomBytes(secretBytes).toString('base64')}`;
}
