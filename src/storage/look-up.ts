import type { Entry } from '../protocol/entries.ts';
import { serverAccount, type AccountId } from '../protocol/ids.ts';
import { kinds, type Kind } from '../protocol/record.ts';
import type { ValueSize } from './checkpoint-store.ts';
import type { Slot } from './memtable/memtable.ts';
import { storageKey, type StorageKey } from './storage-key.ts';

/** The result of a look-up in a `ShardStore`, used again for later ones. */
export class LookUp implements ValueSize {
  kind: Kind = kinds.kv;
  account: AccountId = serverAccount;
  /** In the active memtable; 0: the key is not there. */
  slot: Slot = 0;
  /** The slot's entry, or the one below if there is no slot. */
  entry: Entry | undefined;
  /** Of the entry below, if there is no slot. */
  valueBytes = 0;
  /** A slot's entry is read on demand: a blind write does not need it. */
  isRead = true;
  /** undefined: nothing has been looked up. */
  #key: string | undefined;
  #at: StorageKey | undefined;

  isOf(kind: Kind, account: AccountId, key: string): boolean {
    return this.#key === key && this.kind === kind && this.account === account;
  }

  begin(kind: Kind, account: AccountId, key: string): void {
    this.kind = kind;
    this.account = account;
    this.#key = key;
    this.#at = undefined;
  }

  /** Joined when it is needed: a key that is written often is found without it. */
  at(): StorageKey {
    this.#at ??= storageKey(this.kind, this.account, this.#key!);
    return this.#at;
  }

  forget(): void {
    this.#key = undefined;
    this.entry = undefined;
  }
}
