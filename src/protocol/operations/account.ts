/** Accounts as a whole: deletion, export and import. */
import { refuse } from '../refusal.ts';
import { call, keyParameter, requiredParameter } from './call.ts';
import { singleSection } from './section.ts';

/** Deletes all that the account has. The commit marks the account; sweeps follow (core/deletion.ts). */
export type WipeOperation = Readonly<Record<string, never>>;

export interface WipeResult {
  /** Entries that are left to be deleted. */
  readonly entries: number;
}

/** It has a REST call and no member in the body of `POST /db/:acc`. */
export const wipeSection = singleSection<WipeOperation, WipeResult>({
  body: 'account',
  schema: {},
  key: () => '',
  prefix: () => '',
  effect: () => 'free',
  scope: () => 'admin',
  read: () => undefined,
});

export const accountCalls = {
  'account.delete': call({
    method: 'DELETE',
    path: '',
    summary: 'Delete everything that the account has',
    query: { confirm: requiredParameter(keyParameter, 'the name of the account once more') },
    command: ({ account, query: { confirm } }) => {
      if (confirm !== account)
        refuse(
          'invalid',
          `?confirm: expected the name of the account, ${JSON.stringify(account)}, got ${JSON.stringify(confirm)}`,
        );
      return { kind: 'batch', account, format: 'account.delete', wipe: {} } as const;
    },
  }),
} as const;
