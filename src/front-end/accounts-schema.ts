/** `accounts` in config.yml. */
import { Type } from 'typebox';
import { count, countMax, quotaMax } from './config-numbers.ts';

const ownLimit = count(0, '0 = no limit', countMax);
const ownQuota = count(0, '0 = no limit', quotaMax);
const members = {
  name: Type.String({
    pattern: '^[A-Za-z0-9._-]{1,64}$',
    expected: 'an account (1 to 64 characters of A-Z a-z 0-9 . _ -)',
  }),
  requests_per_second: ownLimit,
  waiters_max: ownLimit,
  watchers_max: ownLimit,
  bytes_max: ownQuota,
  entries_max: ownQuota,
  messages_max: ownQuota,
  tasks_max: ownQuota,
  script_cpu_ms_per_second: count(0, 'ms/s, 0 = no limit', 1_000_000),
};
const shownMembers = `{${Object.keys(members).join(', ')}}`;
const accountSchema = Type.Object(members, { additionalProperties: false, expected: shownMembers });

export const accountsSchema = Type.Optional(Type.Array(accountSchema, { expected: `a list of ${shownMembers}` }));

/** Limits of a single account, instead of those for all. */
export interface AccountConfig {
  readonly name: string;
  readonly requests_per_second?: number | undefined;
  readonly waiters_max?: number | undefined;
  readonly watchers_max?: number | undefined;
  readonly bytes_max?: number | undefined;
  readonly entries_max?: number | undefined;
  readonly messages_max?: number | undefined;
  readonly tasks_max?: number | undefined;
  readonly script_cpu_ms_per_second?: number | undefined;
}
