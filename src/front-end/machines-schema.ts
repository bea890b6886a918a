/** `machines` in config.yml; `Machines` says what it means. */
import { Type, type Static } from 'typebox';
import { count } from './config-numbers.ts';
import { cellCount } from '../protocol/cell.ts';

/** The log has 48 bits for a revision; half of them stay for what comes. */
const revisionMax = 2 ** 47;

const closed = { additionalProperties: false };
const name = { pattern: '^[A-Za-z0-9._-]{0,64}$', expected: 'a name of up to 64 characters of A-Z a-z 0-9 . _ -' };
const members = '{name, url, cells, accounts}';

const machineSchema = Type.Object(
  {
    name: Type.String({ ...name, minLength: 1 }),
    url: Type.String({ pattern: '^https?://[^/?#@\\s]+(/[^?#\\s]*)?$', expected: 'http://HOST:PORT or https://HOST' }),
    cells: Type.Optional(
      Type.Array(
        Type.Union([Type.Integer({ minimum: 0, maximum: cellCount - 1 }), Type.String({ pattern: '^\\d+-\\d+$' })], {
          expected: `a cell from 0 to ${cellCount - 1}, or a range such as 0-31`,
        }),
        { expected: 'a list of cells and ranges, such as [0-31, 40]' },
      ),
    ),
    accounts: Type.Optional(
      Type.Array(
        Type.String({
          pattern: '^[A-Za-z0-9._-]{1,64}$',
          expected: 'an account (1 to 64 characters of A-Z a-z 0-9 . _ -)',
        }),
        { expected: 'a list of accounts' },
      ),
    ),
  },
  { ...closed, expected: members },
);

export const machinesSchema = Type.Object(
  {
    here: Type.Optional(Type.String(name)),
    list: Type.Optional(Type.Array(machineSchema, { expected: `a list of ${members}` })),
    revision_above: count(0, 'a revision', revisionMax),
  },
  { ...closed, expected: '{here, list, revision_above}' },
);

type MachineInFile = Static<typeof machineSchema>;

/** One machine, which has all accounts. */
export const machinesDefaults: { here: string; list: MachineInFile[]; revision_above: number } = {
  here: '',
  list: [],
  revision_above: 0,
};
