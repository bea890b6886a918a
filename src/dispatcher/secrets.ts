/**
 * The secrets that sign requests. Each run is signed with one that was read after the run began, so that a rotation counts at
 * once; runs of one account that begin while a read is under way share the next one.
 */
import type { AccountId } from '../protocol/ids.ts';
import { secretKey, type WebhookSecret } from '../protocol/operations/task-setting.ts';
import type { Router } from '../router/router.ts';

type Done = (secret: WebhookSecret | undefined) => void;

export interface SecretsOptions {
  readonly router: Pick<Router, 'request'>;
  readonly newSecret: () => string;
}

export class Secrets {
  readonly #options: SecretsOptions;
  /** Who waits for the read after the one that is under way. */
  readonly #waiting = new Map<AccountId, Done[]>();

  constructor(options: SecretsOptions) {
    this.#options = options;
  }

  /** @param done is given undefined when the secret cannot be read now */
  get(account: AccountId, done: Done): void {
    const waiting = this.#waiting.get(account);
    if (waiting !== undefined) return void waiting.push(done);
    this.#read(account, [done]);
  }

  #read(account: AccountId, asked: readonly Done[]): void {
    this.#waiting.set(account, []);
    const { router, newSecret } = this.#options;
    const taskSetting = { key: secretKey, change: 'secret.get', candidate: newSecret() } as const;
    router.request(
      { kind: 'batch', account, format: 'secret.get', taskSetting },
      {
        disconnected: false,
        deliver: ({ outcome, body }) => {
          const secret = outcome === 'ok' ? secretIn(body) : undefined;
          const next = this.#waiting.get(account)!;
          this.#waiting.delete(account);
          if (next.length > 0) this.#read(account, next);
          for (const done of asked) done(secret);
        },
      },
    );
  }
}

function secretIn(body: string): WebhookSecret {
  const { Secret, Old, OldTillMs } = JSON.parse(body) as { Secret: string; Old?: string; OldTillMs?: number };
  return { secret: Secret, ...(Old !== undefined && { old: Old, oldTillMs: OldTillMs! }) };
}
