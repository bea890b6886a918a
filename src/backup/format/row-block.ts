/**
 * Rows of a copy: entries as the store has them, in the order of their keys, shard by shard.
 *
 *   row = shard u16 | key length u16 | key | value length u32 | value        (storage key and entry of the store)
 *
 * Rows of deadlines, counts and watermarks are not copied. They follow from the entries, and one that was read at another
 * moment than its entry would outlive it.
 */
import { assert } from '../../shared/assert.ts';

export interface CopiedRow {
  readonly shard: number;
  /** One character a byte, as in storage/storage-key.ts. */
  readonly key: string;
  readonly value: Buffer;
}

export const rowBlockBytes = 4 * 1024 * 1024;

export class RowBlock {
  #parts: Buffer[] = [];
  bytes = 0;
  rows = 0;

  add({ shard, key, value }: CopiedRow): void {
    const part = Buffer.allocUnsafe(8 + key.length + value.length);
    part.writeUInt16LE(shard, 0);
    part.writeUInt16LE(key.length, 2);
    part.write(key, 4, 'latin1');
    part.writeUInt32LE(value.length, 4 + key.length);
    value.copy(part, 8 + key.length);
    this.#parts.push(part);
    this.bytes += part.length;
    this.rows += 1;
  }

  take(): { readonly raw: Buffer; readonly rows: number } {
    const taken = { raw: Buffer.concat(this.#parts), rows: this.rows };
    this.#parts = [];
    this.bytes = 0;
    this.rows = 0;
    return taken;
  }
}

export function* rowsIn(raw: Buffer): Generator<CopiedRow, void> {
  for (let at = 0; at < raw.length; ) {
    const shard = raw.readUInt16LE(at);
    const keyEnd = at + 4 + raw.readUInt16LE(at + 2);
    const end = keyEnd + 4 + raw.readUInt32LE(keyEnd);
    assert(end <= raw.length, 'a row fits into its block');
    yield { shard, key: raw.toString('latin1', at + 4, keyEnd), value: raw.subarray(keyEnd + 4, end) };
    at = end;
  }
}
