/** Secrets of webhooks, of whose candidates a shard keeps one, and IDs of tasks that have none: front ends make both up. */
import { randomBytes } from 'node:crypto';

const secretBytes = 24;

/** Returns a secret as Standard Webhooks writes it. */
export function newWebhookSecret(): string {
  return `whsec_${randomBytes(secretBytes).toString('base64')}`;
}

/** Returns 120 random bits as 20 characters that a URL may have. */
export function newTaskID(): string {
  return randomBytes(15).toString('base64url');
}
