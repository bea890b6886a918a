import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BadArguments, choose, parseArguments } from '../../loadtest/arguments.ts';
import { allRows } from '../../loadtest/rows/all-rows.ts';

test('a command line that makes no sense is refused, and the message says what was expected', () => {
  const refused: readonly [string[], RegExp][] = [
    [['--latency', '5'], /--latency: expected 0, 1 or 10, got 5/],
    [['--latency', ''], /--latency: expected/],
    [['--seconds', '0'], /--seconds: expected a whole number from 1 to 600, got 0/],
    [['--seconds', '1.5'], /--seconds/],
    [['--repeats', 'many'], /--repeats/],
    [['--generators', ''], /--generators/],
    [['--target', 'localhost:8081'], /--target: expected http:\/\/host:port/],
    [['--target', 'https://example.com'], /plain HTTP/],
    [['--target', 'http://a/path'], /--target: expected/],
    [['--token', 'secret'], /--token goes with --target/],
    [['--target', 'http://a', '--token', 'two words'], /--token: expected one word/],
    [['--fast'], /fast/],
    [['kv-64B-64'], /kv-64B-64/],
  ];
  for (const [argv, message] of refused) {
    assert.throws(
      () => parseArguments(argv, 2),
      (error: Error) => error instanceof BadArguments && message.test(error.message),
      argv.join(' '),
    );
  }
});

test('an absent flag has its default', () => {
  const usual = parseArguments([], 8);
  assert.deepEqual(
    [usual.seconds, usual.repeats, usual.peers, usual.generators, usual.latencies],
    [5, 3, true, 2, [1]],
  );
  assert.deepEqual(parseArguments(['--latency', '0,10'], 2).latencies, [0, 10]);
  const remote = parseArguments(['--target', 'http://[::1]:9000', '--token', 't'], 1);
  assert.deepEqual(remote.target, { host: '::1', port: 9000, token: 't' });
  assert.equal(remote.peers, false);
  assert.equal(remote.generators, 1);
});

test('rows are chosen by name, group or prefix; a name that matches nothing is refused', () => {
  const rows = allRows([0]);
  assert.equal(choose(rows, []).length, rows.length);
  assert.deepEqual(
    choose(rows, ['kv-64B-64']).map(({ name }) => name),
    ['kv-64B-64'],
  );
  assert.ok(choose(rows, ['latency']).every(({ group }) => group === 'latency'));
  assert.equal(choose(rows, ['kv-64B*', 'counter']).length, 3);
  assert.throws(() => choose(rows, ['kv-65B']), /There is no row kv-65B/);
});

test('row names are unique, with any choice of latencies', () => {
  const names = allRows([0, 1, 10]).map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
});

test('the original table is complete: 24 scenarios for each latency, by their names', () => {
  const titles = allRows([0])
    .filter(({ group }) => group === 'seed')
    .map(({ title }) => title);
  assert.equal(titles.length, 24);
  for (const title of [
    'WatchReaction 1 key 10000 watchers',
    'WatchReaction 1000 keys 5 watchers per key',
    'LockUnlock for 1 account and 1 key (sequential)',
    'LockUnlock for 1000 accounts and 1000 keys',
    '64byte write KV for 1 account and 1 key',
    '1KB write KV for 1000 accounts and 1 keys',
    '10 KB write KV for 1 account and 1000 keys',
    'atomic for 1000 accounts and 1000 keys',
  ]) {
    assert.ok(titles.includes(title), title);
  }
});
