/** Keys without their values, over the layers of a store. */
import type { AccountId } from '../protocol/ids.ts';
import type { Kind } from '../protocol/record.ts';
import { mergeLayers, type Layer } from './layer-merge.ts';
import { entryKeyOf, parseStorageKey, prefixEnd, storageKey, successor } from './storage-key.ts';

/** See `Entries.keys`. */
export function* listKeysOf(
  layers: readonly Layer<true>[],
  of: { readonly kind: Kind; readonly account: AccountId; readonly prefix: string; readonly after: string | undefined },
): Generator<string, void, string | undefined> {
  const { kind, account, prefix, after } = of;
  const within = storageKey(kind, account, prefix);
  const next = after === undefined ? within : successor(storageKey(kind, account, after));
  const rows = mergeLayers(layers, next > within ? next : within, prefixEnd(within));
  let row = rows.next();
  while (row.done !== true) {
    const skipped = yield entryKeyOf(row.value[0], account.length);
    row = rows.next(skipped === undefined ? undefined : prefixEnd(storageKey(kind, account, skipped)));
  }
}

/** See `Entries.accountAfter`. A key that was deleted counts too: it costs nothing to find. */
export function nextAccount(layers: readonly Layer<true>[], account: AccountId): AccountId | undefined {
  // A name has no character that comes after this one.
  const start = account === '' ? '\x01' : `${String.fromCharCode(account.length)}${account}\xff`;
  const firsts = layers.flatMap((layer) => layer.read(start, '\xff', 1).rows.map(([key]) => key));
  const [first] = firsts.toSorted((a, b) => (a < b ? -1 : 1));
  return first === undefined ? undefined : parseStorageKey(first).account;
}
