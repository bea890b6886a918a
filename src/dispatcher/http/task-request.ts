/** The request that a run sends. */
import { hash } from 'node:crypto';
import type { HttpTarget } from '../../protocol/operations/task-definition.ts';
import type { WebhookSecret } from '../../protocol/operations/task-setting.ts';
import { webhookSignature } from '../../shared/webhook-signature.ts';
import type { TaskRequest } from './http-sink.ts';

export interface Signing {
  readonly secret: WebhookSecret;
  readonly now: number;
  readonly wallMs: number;
}

export interface RunNames {
  readonly account: string;
  readonly id: string;
  readonly instant: number;
  /** Counts from 1. */
  readonly attempt: number;
  readonly fence: number;
}

const idChars = 27;

/** The same for all tries of an instant, and for no other. */
export function webhookId({ account, id, instant }: Pick<RunNames, 'account' | 'id' | 'instant'>): string {
  return `msg_${hash('sha256', `${account}\0${id}\0${instant}`, 'base64url').slice(0, idChars)}`;
}

export function taskRequest(target: HttpTarget, names: RunNames, { secret, now, wallMs }: Signing): TaskRequest {
  const { url, method, headers, body, deadlineMs } = target;
  const id = webhookId(names);
  const timestamp = String(Math.floor(wallMs / 1000));
  const secrets = [secret.secret, ...((secret.oldTillMs ?? 0) > now ? [secret.old!] : [])];
  const signatures = secrets.map((one) => webhookSignature(one, { id, timestamp, body: body ?? '' }));
  return {
    url,
    method,
    headers: {
      ...(body !== undefined && { 'content-type': 'application/json' }),
      'user-agent': 'dragonlock',
      ...headers,
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': signatures.join(' '),
      'dragonlock-scheduled': String(names.instant),
      'dragonlock-attempt': String(names.attempt),
      'dragonlock-fence': String(names.fence),
    },
    ...(body !== undefined && { body }),
    deadlineMs,
  };
}
