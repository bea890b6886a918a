import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { accountId } from '../../src/protocol/ids.ts';
import { kinds, type Kind } from '../../src/protocol/record.ts';
import {
  deadlineEnd,
  deadlineKey,
  deadlineOwner,
  deadlinePrefix,
  isDeadlineKey,
  isMetaKey,
  entryKeyOf,
  parseStorageKey,
  prefixEnd,
  storageKey,
  tillOf,
  watermarkKey,
} from '../../src/storage/storage-key.ts';
import { deadlineHeaderBytes, keyBytesMax, lmdbKeyBytesMax, storageKeyBytesMax } from '../../src/shared/limits.ts';
import { compareKeys, keys, openStore, temporaryDirectory, zero } from './store-support.ts';

const anyKey = fc.oneof(fc.constantFrom(...keys), fc.string({ unit: 'binary', maxLength: 40 }));
const anyAccount = fc.stringMatching(/^[A-Za-z0-9._-]{0,64}$/).map(accountId);
const anyKind = fc.constantFrom<Kind>(...Object.values(kinds));

test('storage key: it can be taken apart again', () => {
  fc.assert(
    fc.property(anyKind, anyAccount, anyKey, (kind, account, key) => {
      const at = storageKey(kind, account, key);
      assert.deepEqual(parseStorageKey(at), { kind, account, key });
      assert.equal(entryKeyOf(at, account.length), key);
      assert.ok(!isDeadlineKey(at) && !isMetaKey(at));
    }),
  );
});

test('storage key: its string order is the byte order of the UTF-8 keys', () => {
  fc.assert(
    fc.property(anyKey, anyKey, (a, b) => {
      const [left, right] = [a, b].map((key) => storageKey(kinds.kv, accountId('acc'), key));
      assert.equal(left! < right!, compareKeys(a, b) < 0);
      assert.equal(left === right, a === b);
    }),
  );
});

test('storage key: a lone surrogate is refused, because two of them would become one key', () => {
  assert.throws(() => storageKey(kinds.kv, accountId('acc'), 'x\ud800'), /well-formed/);
});

test('storage key: the range of a prefix holds all keys that start with it and no other', () => {
  fc.assert(
    fc.property(anyKey, anyKey, (prefix, key) => {
      const start = storageKey(kinds.kv, accountId('acc'), prefix);
      const at = storageKey(kinds.kv, accountId('acc'), key);
      assert.equal(at >= start && at < prefixEnd(start), key.startsWith(prefix));
    }),
  );
  assert.equal(prefixEnd('a\xff\xff'), 'b');
});

test('deadline key: it sorts by till and leads back to its entry', () => {
  const till = fc.integer({ min: 1, max: 2 ** 48 - 1 });
  fc.assert(
    fc.property(till, till, anyKey, (a, b, key) => {
      const owner = storageKey(kinds.lock, accountId('acc'), key);
      const deadline = deadlineKey(a, owner);
      assert.equal(tillOf(deadline), a);
      assert.equal(deadlineOwner(deadline), owner);
      assert.ok(deadline > deadlinePrefix && deadline < deadlineEnd && isDeadlineKey(deadline));
      if (a !== b) assert.equal(deadline < deadlineKey(b, owner), a < b);
    }),
  );
  assert.ok(isMetaKey(watermarkKey) && watermarkKey > deadlineEnd);
});

test('storage key: the longest one and its deadline key fit into LMDB, which takes no more than is said', async () => {
  const account = accountId('z'.repeat(64));
  // A thing's name, NUL and letter, a part's name, a revision of 11 characters and an index of 4.
  const part = `${'k'.repeat(keyBytesMax)}\0g${'g'.repeat(keyBytesMax)}\0${'v'.repeat(11)}-0000`;
  const longest = storageKey(kinds.kv, account, part);
  assert.ok(longest.length <= storageKeyBytesMax);
  assert.equal(deadlineKey(1, longest).length, longest.length + deadlineHeaderBytes);
  assert.ok(deadlineHeaderBytes + storageKeyBytesMax <= lmdbKeyBytesMax);

  using directory = temporaryDirectory();
  const lmdb = openStore(directory.path);
  const level = lmdb.shard(zero);
  const put = (key: string): void => lmdb.transaction(() => level.putRaw(key, Buffer.alloc(20)));
  put(deadlineKey(1, longest));
  put('k'.repeat(lmdbKeyBytesMax));
  assert.throws(() => put('k'.repeat(lmdbKeyBytesMax + 1)));
  await lmdb.close();
});
