/**
 * Accounts as a whole: deleted, and loaded with lines of an export, while others write and read. One account is there for
 * that alone, so that a ledger (checkers/account-ledger.ts) judges it, and the contract model the others.
 */
import type { SeededRandom } from '../seeded-random.ts';
import { accountId } from '../../../src/protocol/ids.ts';
import type { LoadOperation } from '../../../src/protocol/operations/account-lines.ts';
import type { Batch, Command } from '../../../src/protocol/operations/operations.ts';

export const wholeAccount = accountId('moves');
export const wholeKeys = ['w0', 'w1', 'w2', 'w3', 'w4', 'w5'];

/** Whether a command is of the account that is deleted. */
export function isOfWholeAccount({ account }: Command): boolean {
  return account === wholeAccount;
}

export class WholeAccounts {
  readonly #random: SeededRandom;
  #puts = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  next(): Command {
    const random = this.#random;
    const batch = { kind: 'batch', account: wholeAccount, format: 'batch' } as const;
    const dice = random.below(100);
    if (dice < 34) return { ...batch, set: this.#some().map((key) => ({ key, value: this.#value() })) };
    if (dice < 40) return { ...batch, set: [{ key: this.#some()[0]! }] };
    if (dice < 54) return { ...batch, format: 'sequence.next', sequence: { key: 'ws', op: 'next', n: 1 } };
    if (dice < 64) return { ...batch, get: wholeKeys };
    if (dice < 78) return { kind: 'kv.list', account: wholeAccount, prefix: '', limit: 100 };
    if (dice < 90) return { ...batch, format: 'account.import', load: this.#load() };
    return { ...batch, format: 'account.delete', wipe: {} };
  }

  #load(): LoadOperation[] {
    const kept = this.#some().map((key): LoadOperation => ({ kind: 'kv', key, value: this.#value(), till: 0 }));
    return this.#random.below(2) === 0
      ? kept
      : [...kept, { kind: 'sequence', key: 'ws', value: 1 + this.#random.below(4) }];
  }

  /** Each is put once. */
  #value(): string {
    this.#puts += 1;
    return JSON.stringify({ w: this.#puts });
  }

  #some(): string[] {
    const first = this.#random.below(wholeKeys.length);
    return wholeKeys.slice(first, first + 1 + this.#random.below(3));
  }
}

/** What an import sends for it. */
export function linesOfLoad({ load = [] }: Batch): object[] {
  return load.map((operation) => {
    if (operation.kind === 'kv')
      return { Kind: 'kv', Key: operation.key, Value: JSON.parse(operation.value!) as unknown, Version: 1 };
    if (operation.kind === 'sequence') return { Kind: 'sequence', Key: operation.key, Value: operation.value };
    throw new Error(`no history loads a ${operation.kind}`);
  });
}
