/** The schema of `tasks:` in config.yml. */
import { Type } from 'typebox';
import { accountTaskRunsMax, taskRunsMax } from '../shared/task-limits.ts';
import { count } from './config-numbers.ts';

export interface TaskSettings {
  /** Where tasks may send requests besides the internet: addresses, blocks of them, and host:port. */
  readonly allow: readonly string[];
  /** Requests that are under way at once, of all accounts and of one. */
  readonly parallel: number;
  readonly account_parallel: number;
}

export const taskDefaults = {
  allow: [] as string[],
  parallel: taskRunsMax,
  account_parallel: accountTaskRunsMax,
} satisfies TaskSettings;

const allowed = 'a list of addresses, blocks of them, and host:port';

export const tasksSchema = Type.Optional(
  Type.Object(
    {
      allow: Type.Optional(Type.Array(Type.String({ expected: 'a text' }), { uniqueItems: true, expected: allowed })),
      parallel: count(1, 'runs', 10_000),
      account_parallel: count(1, 'runs', 10_000),
    },
    { additionalProperties: false, expected: 'an object' },
  ),
);
