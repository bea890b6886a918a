import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId, revision } from '../../src/protocol/ids.ts';
import { decodeRecord, recordHeaderBytes, RecordWriter } from '../../src/protocol/record.ts';
import { InvariantError } from '../../src/shared/assert.ts';

test('record: an account that is longer than its record is refused, whatever stands behind it', () => {
  const writer = new RecordWriter();
  writer.append({ rev: revision(7), account: accountId('acme'), effects: [{ kind: 0x6b, key: 'a', till: 0 }] });
  const bytes = Buffer.concat([writer.take().bytes, Buffer.alloc(100, 'x')]);
  assert.equal(decodeRecord(bytes, 0).account, 'acme');
  bytes[recordHeaderBytes - 1] = 60;
  assert.throws(() => decodeRecord(bytes, 0), InvariantError);
});
