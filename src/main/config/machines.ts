/** Checks `machines` of config.yml: each cell and each account has one machine. */
import type { Static } from 'typebox';
import type { MachineConfig, MachinesConfig } from '../../front-end/machines.ts';
import type { machinesSchema } from '../../front-end/machines-schema.ts';
import { cellCount } from '../../protocol/cell.ts';
import type { ConfigFileReader, ConfigPath } from './config-file.ts';

type Given = Static<typeof machinesSchema>;
type GivenMachine = NonNullable<Given['list']>[number];

/** Reports what is wrong. @returns what the file says, as far as it is right */
export function readMachines(given: Given | undefined, file: ConfigFileReader): MachinesConfig {
  const { here = '', list = [], revision_above = 0 } = given ?? {};
  const names = list.map(({ name }) => name);
  if (here !== '' && !names.includes(here))
    file.problemAt(['machines', 'here'], `expected one of ${names.join(', ') || 'machines.list'}, got ${here}`);
  if (here === '' && list.length > 0)
    file.problemAt(['machines', 'list'], 'expected machines.here beside it: the name of this machine');
  const claims = new Claims(file);
  const machines = list.map((machine, i) => readMachine(machine, ['machines', 'list', i], claims));
  const missing = Array.from({ length: cellCount }, (_, cell) => `cell ${cell}`).filter((cell) => !claims.has(cell));
  if (list.length > 0 && missing.length > 0)
    file.problemAt(['machines', 'list'], `expected a machine for each cell, got none for ${missing.join(', ')}`);
  return { here, list: machines, revision_above };
}

function readMachine(
  { name, url, cells = [], accounts = [] }: GivenMachine,
  place: ConfigPath,
  claims: Claims,
): MachineConfig {
  claims.take(`machine ${name}`, name, [...place, 'name']);
  const own = cells.flatMap((cell, i) => {
    const range = rangeOf(cell);
    if (range !== undefined) return range;
    claims.file.problemAt([...place, 'cells', i], `expected a range within 0-${cellCount - 1}, got ${cell}`);
    return [];
  });
  for (const cell of own) claims.take(`cell ${cell}`, name, [...place, 'cells']);
  for (const account of accounts) claims.take(`account ${account}`, name, [...place, 'accounts']);
  return { name, url: url.replace(/\/+$/, ''), cells: own, accounts };
}

/** What has a machine already. */
class Claims {
  readonly file: ConfigFileReader;
  readonly #owners = new Map<string, string>();

  constructor(file: ConfigFileReader) {
    this.file = file;
  }

  has(thing: string): boolean {
    return this.#owners.has(thing);
  }

  take(thing: string, machine: string, place: ConfigPath): void {
    const owner = this.#owners.get(thing);
    if (owner !== undefined) this.file.problemAt(place, `${thing} is there twice (${owner}); expected it once`);
    this.#owners.set(thing, machine);
  }
}

function rangeOf(cell: number | string): number[] | undefined {
  const [first = 0, last = first] = String(cell).split('-').map(Number);
  if (first > last || last >= cellCount) return undefined;
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
