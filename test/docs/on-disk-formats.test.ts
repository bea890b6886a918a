/** Encodes real headers and records, and looks for every field at the place that docs/on-disk-formats.md names. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { frameHeaderBytes, sealFrame } from '../../src/journal/file/frame.ts';
import {
  encodeSegmentHeader,
  segmentBytesDefault,
  segmentHeaderBytes,
  segmentName,
  spareName,
  spareTmpName,
} from '../../src/journal/file/segment.ts';
import { accountId, revision } from '../../src/protocol/ids.ts';
import { ownerOf } from '../../src/protocol/partition.ts';
import { partOf } from '../../src/protocol/entries.ts';
import { kinds, recordHeaderBytes, RecordWriter } from '../../src/protocol/record.ts';
import { encodeCount, encodeWatermark, entryHeaderBytes, writeEntry } from '../../src/storage/entry-codec.ts';
import { kindReaders, readerNumber } from '../../src/protocol/readers.ts';
import { storeFormat } from '../../src/storage/lmdb/lmdb-store.ts';
import { countKey, deadlineKey, storageKey, watermarkKey } from '../../src/storage/storage-key.ts';
import { lockHistoryMax } from '../../src/shared/limits.ts';
import { codeSpans, readDoc, tableUnder } from './markdown.ts';

const markdown = readDoc('docs/on-disk-formats.md');

interface Field {
  readonly at: number;
  readonly type: string;
  readonly meaning: string;
}

/** The fields of the table under a heading, by name; each must begin where the one before it ends. */
function fieldsUnder(heading: string, table: string[][] = tableUnder(markdown, heading)): Map<string, Field> {
  let end = 0;
  return new Map(
    table.map(([offset = '', type = '', name = '', meaning = '']) => {
      assert.equal(Number(offset), end, `${heading}: ${name} begins where the field before it ends`);
      end += type === 'bytes' ? 0 : type.startsWith('u') ? Number(type.slice(1)) / 8 : Number.parseInt(type, 10);
      return [name, { at: Number(offset), type, meaning }];
    }),
  );
}

/** The content of the field, according to its type. */
function valueOf(bytes: Buffer, field: Field | undefined, start = 0): number | bigint | string {
  assert.ok(field !== undefined, 'the field is documented');
  const at = start + field.at;
  if (field.type === 'u64') return bytes.readBigUInt64LE(at);
  if (field.type.startsWith('u')) return bytes.readUIntLE(at, Number(field.type.slice(1)) / 8);
  return bytes.subarray(at, at + Number.parseInt(field.type, 10)).toString('latin1');
}

const header = {
  logId: 0x1122334455667788n,
  first: revision(4711),
  after: revision(4710),
  chain: 0xcafe,
  bytes: 9999,
  at: 1_800_000_000_001,
};

test('the segment header is as documented', () => {
  const bytes = encodeSegmentHeader(header);
  const fields = fieldsUnder('Segment header');
  const value = (name: string) => valueOf(bytes, fields.get(name));
  assert.equal(value('magic'), fields.get('magic')?.meaning.replaceAll('`', ''));
  assert.equal(value('version'), Number(fields.get('version')?.meaning));
  assert.match(fields.get('crc')?.meaning ?? '', /bytes 16 to 51/);
  assert.equal(value('crc'), crc32(bytes.subarray(16, 52)));
  assert.deepEqual(['log id', 'first', 'after', 'chain', 'bytes', 'at'].map(value), [
    header.logId,
    header.first,
    header.after,
    header.chain,
    header.bytes,
    header.at,
  ]);
  assert.equal(bytes.subarray(52).toString('hex'), '00'.repeat(segmentHeaderBytes - 52));
  assert.match(markdown, new RegExp(`${segmentHeaderBytes} bytes, of which 52 are used`));
  assert.match(markdown, new RegExp(`${segmentBytesDefault / 1024 / 1024} MiB by default`));
});

test('the names of the files of the journal are as documented', () => {
  const names = tableUnder(markdown, "The journal's files").map(([name]) => name ?? '');
  assert.ok(names.includes(segmentName(revision(4711))));
  assert.ok(names.includes(spareName));
  assert.ok(names.some((name) => name.includes(spareTmpName)));
});

function oneRecord(): Buffer {
  const writer = new RecordWriter();
  writer.append({
    rev: revision(4712),
    account: accountId('shop'),
    effects: [
      { kind: kinds.kv, key: 'größe', value: '"L"', till: 1_700_000_000_000 },
      { kind: kinds.lock, key: 'x', till: 0, expired: true },
    ],
  });
  return Buffer.from(writer.take().bytes);
}

test('the frame is as documented', () => {
  const record = oneRecord();
  const bytes = Buffer.concat([Buffer.alloc(frameHeaderBytes), record]);
  const revisions = { first: revision(4712), last: revision(4712), durable: revision(4711), count: 1 };
  const at = 1_800_000_000_002;
  const crc = sealFrame(bytes, { version: 2, previous: 0xbeef, logId: header.logId, ...revisions, at });
  const fields = fieldsUnder('Frame');
  const value = (name: string) => valueOf(bytes, fields.get(name));
  const magic = fields.get('magic')?.meaning.replaceAll(/[` ]/g, '') ?? '';
  assert.equal(Buffer.from(String(value('magic')), 'latin1').toString('hex'), magic);
  assert.deepEqual([value('crc'), value('length'), value('previous')], [crc, bytes.length, 0xbeef]);
  assert.equal(crc, crc32(bytes.subarray(8)));
  assert.deepEqual(['log id', 'first', 'last', 'durable', 'count', 'check', 'at', 'zero'].map(value), [
    header.logId,
    4712,
    4712,
    4711,
    1,
    crc32(bytes.subarray(8, 46)) & 0xffff,
    at,
    '\0\0',
  ]);
  assert.match(markdown, new RegExp(`a header of ${frameHeaderBytes} bytes, then records`));
});

test('record and effects are as documented', () => {
  const bytes = oneRecord();
  const record = fieldsUnder('Record');
  assert.deepEqual(
    ['length', 'revision', 'account length'].map((name) => valueOf(bytes, record.get(name))),
    [bytes.length, 4712, 4],
  );
  const account = record.get('account')?.at ?? 0;
  assert.equal(account, recordHeaderBytes);
  assert.equal(bytes.toString('latin1', account, account + 4), 'shop');

  const effect = fieldsUnder('Effect');
  const start = account + 4;
  const key = Buffer.from('größe');
  assert.deepEqual(
    ['kind', 'flags', 'key length'].map((name) => valueOf(bytes, effect.get(name), start)),
    [kinds.kv, 1, key.length],
  );
  const keyAt = start + (effect.get('key')?.at ?? 0);
  assert.ok(bytes.subarray(keyAt, keyAt + key.length).equals(key));

  const afterKey = markdown.slice(markdown.indexOf('After the key of a put:'));
  const put = fieldsUnder('Put', tableUnder(`# Put\n${afterKey}`, 'Put'));
  const putAt = keyAt + key.length;
  assert.deepEqual(
    ['till', 'value length'].map((name) => valueOf(bytes, put.get(name), putAt)),
    [1_700_000_000_000, 3],
  );
  const valueAt = putAt + (put.get('value')?.at ?? 0);
  assert.equal(bytes.toString('utf8', valueAt, valueAt + 3), '"L"');

  const expiry = valueAt + 3;
  assert.deepEqual(
    ['kind', 'flags', 'key length'].map((name) => valueOf(bytes, effect.get(name), expiry)),
    [kinds.lock, 2, 1],
  );
  assert.match(effect.get('flags')?.meaning ?? '', /^1: put .*, 2: the deletion is an expiry$/);
  assert.equal(expiry + 4 + 1, bytes.length);
});

test('every kind is documented with its letter', () => {
  const documented = tableUnder(markdown, 'Kinds').map(([kind, letter]) => [kind, letter]);
  assert.deepEqual(
    documented,
    Object.entries(kinds).map(([kind, letter]) => [kind, String.fromCharCode(letter)]),
  );
  // A kind with another number needs a column for it, and a row for the reader.
  assert.ok(Object.values(kindReaders).every((reader) => reader === 1));
  assert.ok(markdown.includes(`| ${readerNumber} | 0.1 | the kinds above`));
  assert.match(markdown, new RegExp(`newest first, at most ${lockHistoryMax}\\.`));
});

test('storage keys and values are as documented', () => {
  const keys = Object.fromEntries(tableUnder(markdown, 'Storage keys'));
  const entry = storageKey(kinds.kv, accountId('ab'), 'c');
  assert.equal(keys['entry'], 'account length u8, account, kind u8, key in UTF-8');
  assert.equal(entry, '\u0002abkc');
  assert.equal(keys['deadline'], "0, `e`, till as u48 big-endian, the entry's storage key");
  assert.equal(deadlineKey(0x010203040506, entry), `\0e\u0001\u0002\u0003\u0004\u0005\u0006${entry}`);
  assert.equal(keys['watermark'], '0, `m`, `watermark`');
  assert.equal(watermarkKey, '\0mwatermark');
  assert.equal(keys['count'], '0, `m`, `c`, account length u8, account, kind u8, part');
  assert.equal(countKey(accountId('ab'), kinds.kv, ''), '\0mc\u0002abk');
  const part = partOf('mail\0m:90000000001u0000', 'm[1]\n{}');
  assert.equal(countKey(accountId('ab'), kinds.queue, part), '\0mc\u0002abqmail\0m:m');

  const values = Object.fromEntries(tableUnder(markdown, 'Values'));
  assert.equal(values['entry'], `revision u48, till u48, value: ${entryHeaderBytes} bytes and the JSON text`);
  const bytes = Buffer.alloc(64);
  const end = writeEntry(bytes, 0, { rev: revision(7), till: 9, value: '"v"' });
  assert.deepEqual([bytes.readUIntLE(0, 6), bytes.readUIntLE(6, 6), bytes.toString('utf8', 12, end)], [7, 9, '"v"']);
  assert.match(values['watermark'] ?? '', /^revision u48: .*; 1 u8: /);
  assert.equal(encodeWatermark(revision(7)).toString('hex'), '07000000000001');
  assert.match(values['count'] ?? '', /^entries u48, bytes u48: /);
  assert.equal(encodeCount({ entries: 3, bytes: 258 }).toString('hex'), '030000000000020100000000');
  assert.ok(codeSpans(markdown).has(`{"format": ${storeFormat}, "reader", "kinds", "logId", "shards", "generation"}`));
});

test('keys belong to the shards that are documented', () => {
  const rows = tableUnder(markdown, 'Which shard');
  assert.ok(rows.length >= 3);
  for (const [account = '', key = '', ...owners] of rows) {
    const real = [2, 3, 8].map((shards) => String(ownerOf(accountId(account), key, shards)));
    assert.deepEqual(owners, real, `${account}/${key}`);
  }
});
