import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId, revision } from '../../src/protocol/ids.ts';
import {
  decodeRecord,
  kinds,
  peekRecord,
  recordHeaderBytes,
  RecordWriter,
  type CommitRecord,
} from '../../src/protocol/record.ts';
import { InvariantError } from '../../src/shared/assert.ts';

test('record: an account that is longer than its record is refused, whatever follows it', () => {
  const writer = new RecordWriter();
  writer.append({ rev: revision(7), account: accountId('acme'), effects: [{ kind: 0x6b, key: 'a', till: 0 }] });
  const bytes = Buffer.concat([writer.take().bytes, Buffer.alloc(100, 'x')]);
  assert.equal(decodeRecord(bytes, 0).account, 'acme');
  bytes[recordHeaderBytes - 1] = 60;
  assert.throws(() => decodeRecord(bytes, 0), InvariantError);
});

test('record: accounts, keys, values and times of every sort come back as they were written', () => {
  const writer = new RecordWriter();
  const texts = ['a', 'k'.repeat(32), 'k'.repeat(33), 'ключ', 'end é', '\u{1f600}'.repeat(8), '\u007f\u0080', '"\\\n'];
  const tills = [0, 1, 2 ** 24 - 1, 2 ** 24, 2 ** 31, 2 ** 32, 2 ** 47 + 5, 2 ** 48 - 1];
  const records = texts.map(
    (key, i): CommitRecord => ({
      rev: revision(tills[i]!),
      account: accountId('A.-_9'.repeat(i + 1)),
      effects: texts.map((value, j) => ({ kind: kinds.kv, key: key + value, till: tills[j]!, value })),
    }),
  );
  for (const record of records) writer.append(record);
  const { bytes } = writer.take();
  const buffer = Buffer.from(bytes);
  let at = 0;
  for (const record of records) {
    assert.deepEqual(decodeRecord(buffer, at), record);
    at += peekRecord(buffer, at).length;
  }
  assert.equal(at, buffer.length);
});
