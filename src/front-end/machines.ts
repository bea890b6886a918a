/**
 * Which accounts are on this machine, where several share them out (`machines` in config.yml, the same on all of them
 * but for `here`). A request for an account of another machine is refused with its address, before anything is done.
 * The map only says who serves; it moves no data.
 */
import { hash } from 'node:crypto';
import { failure, type Failure } from '../protocol/errors.ts';
import { cellOf } from '../protocol/cell.ts';
import { assert } from '../shared/assert.ts';

export interface MachineConfig {
  readonly name: string;
  /** Where clients reach it. */
  readonly url: string;
  /** Each cell of its own; those of all machines are 0 to 63. */
  readonly cells: readonly number[];
  /** Accounts that are on this machine whatever their cell is. */
  readonly accounts: readonly string[];
}

export interface MachinesConfig {
  /** The name of this machine; empty: there is only one, and `list` is empty. */
  readonly here: string;
  readonly list: readonly MachineConfig[];
  /** The server's revisions go on above this one: as far as that machine has come from which an account moves here. */
  readonly revision_above: number;
}

export class Machines {
  readonly here: string;
  /** The same on all machines that agree: 8 hex digits of what the map says. */
  readonly fingerprint: string;
  readonly #byCell: readonly MachineConfig[];
  readonly #byAccount: ReadonlyMap<string, MachineConfig>;

  constructor({ here, list }: Pick<MachinesConfig, 'here' | 'list'>) {
    this.here = here;
    const byCell: MachineConfig[] = [];
    for (const machine of list) for (const cell of machine.cells) byCell[cell] = machine;
    this.#byCell = byCell;
    this.#byAccount = new Map(list.flatMap((machine) => machine.accounts.map((account) => [account, machine])));
    this.fingerprint = fingerprintOf(byCell, list);
  }

  /** @returns why a request for this account is refused; undefined: it is served here */
  refusal(account: string): Failure | undefined {
    if (this.here === '') return undefined;
    const cell = cellOf(account);
    const owner = this.#byAccount.get(account) ?? this.#byCell[cell];
    assert(owner !== undefined, 'every cell has a machine');
    if (owner.name === this.here) return undefined;
    const message = `This account is on another machine: ask ${owner.url}; nothing was done`;
    return failure('moved', message, { Owner: owner.url, Cell: cell });
  }
}

function fingerprintOf(byCell: readonly MachineConfig[], list: readonly MachineConfig[]): string {
  const cells = byCell.map(({ name }) => name);
  const machines = list.map(({ name, url, accounts }) => [name, url, accounts.toSorted()]).toSorted(byName);
  return hash('sha256', JSON.stringify([cells, machines]), 'hex').slice(0, 8);
}

function byName([a]: readonly unknown[], [b]: readonly unknown[]): number {
  return String(a) < String(b) ? -1 : 1;
}
