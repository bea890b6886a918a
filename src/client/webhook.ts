/**
 * `dragonlock/webhook`: verifies requests that tasks of a server have sent. They are signed as Standard Webhooks has it, so
 * libraries of other languages for that can verify them, too.
 */
import { timingSafeEqual } from 'node:crypto';
import { systemLeaseClock } from './lease-clock.ts';
import { webhookSignature } from '../shared/webhook-signature.ts';

/** A request that was not signed with any of the secrets, or too long ago. Answer it with 401. */
export class WebhookError extends Error {
  override readonly name = 'WebhookError';
}

/** What a verified request says about its run. */
export interface Webhook {
  /** The same for all tries of an instant, and for no other: whoever has seen it before has done the work. */
  readonly id: string;
  /** The instant that is run, in milliseconds since the epoch; absent: the sender is no Dragon Lock. */
  readonly scheduled?: number;
  /** Counts the tries of the instant from 1. */
  readonly attempt?: number;
  /** Grows with each request, over restarts of the server. */
  readonly fence?: number;
}

/** Headers of a request: an object as Node has it, or `Headers` as fetch has them. */
export type WebhookHeaders =
  | Readonly<Record<string, string | readonly string[] | undefined>>
  | { get(name: string): string | null };

export interface VerifyWebhookOptions {
  /** Milliseconds by which the clocks may differ, and that a request may be old. Default 5 minutes. */
  readonly toleranceMs?: number | undefined;
  /** Milliseconds since the epoch; for tests. */
  readonly now?: number | undefined;
}

const toleranceMs = 5 * 60 * 1000;

/**
 * Verifies a request before its body is believed.
 *
 * @param body as it came, before JSON is parsed
 * @param secrets `whsec_…`, one or several
 * @throws WebhookError
 */
export function verifyWebhook(
  headers: WebhookHeaders,
  body: string | Uint8Array,
  secrets: string | readonly string[],
  options: VerifyWebhookOptions = {},
): Webhook {
  const all = typeof secrets === 'string' ? [secrets] : secrets;
  if (all.length === 0 || all.some((secret) => typeof secret !== 'string' || secret === ''))
    throw new TypeError('secrets: expected a secret, whsec_ and base64, or a list of them');
  const id = headerOf(headers, 'webhook-id');
  const timestamp = headerOf(headers, 'webhook-timestamp');
  const signatures = headerOf(headers, 'webhook-signature');
  if (id === undefined || timestamp === undefined || signatures === undefined)
    throw new WebhookError('expected the headers webhook-id, webhook-timestamp and webhook-signature');
  const now = options.now ?? systemLeaseClock.mark().wallMs;
  if (!/^\d{1,12}$/.test(timestamp) || Math.abs(now - Number(timestamp) * 1000) > (options.toleranceMs ?? toleranceMs))
    throw new WebhookError(`expected a webhook-timestamp of the last minutes, got ${JSON.stringify(timestamp)}`);
  const given = signatures.split(' ');
  let isSigned = false;
  // All are compared, whichever fits.
  for (const secret of all) {
    const expected = Buffer.from(webhookSignature(secret, { id, timestamp, body }));
    for (const signature of given) {
      const got = Buffer.from(signature);
      if (got.length === expected.length && timingSafeEqual(got, expected)) isSigned = true;
    }
  }
  if (!isSigned) throw new WebhookError('no webhook-signature fits: another secret has signed it, or it was changed');
  return {
    id,
    ...numberIn(headers, 'dragonlock-scheduled', 'scheduled'),
    ...numberIn(headers, 'dragonlock-attempt', 'attempt'),
    ...numberIn(headers, 'dragonlock-fence', 'fence'),
  };
}

function numberIn(headers: WebhookHeaders, header: string, name: string): Record<string, number> {
  const text = headerOf(headers, header);
  return text === undefined || !/^\d{1,16}$/.test(text) ? {} : { [name]: Number(text) };
}

function headerOf(headers: WebhookHeaders, name: string): string | undefined {
  const value: unknown =
    typeof headers.get === 'function'
      ? (headers as { get(name: string): string | null }).get(name)
      : (headers as Readonly<Record<string, unknown>>)[name];
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.length === 1 ? String(value[0]) : undefined;
  if (typeof headers.get === 'function') return undefined;
  // Names may be written in any case.
  const found = Object.entries(headers).find(
    ([other]) => other !== name && other.toLowerCase() === name,
  )?.[1] as unknown;
  return typeof found === 'string' ? found : undefined;
}
