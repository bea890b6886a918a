/** Signatures of webhooks as Standard Webhooks has them: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`. */
import { createHmac } from 'node:crypto';

export interface SignedContent {
  readonly id: string;
  /** Seconds since 1970, as the header has it. */
  readonly timestamp: string;
  readonly body: string | Uint8Array;
}

const prefix = 'whsec_';

/** @param secret `whsec_` and base64 */
export function webhookSignature(secret: string, { id, timestamp, body }: SignedContent): string {
  const key = Buffer.from(secret.startsWith(prefix) ? secret.slice(prefix.length) : secret, 'base64');
  const mac = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body);
  return `v1,${mac.digest('base64')}`;
}
