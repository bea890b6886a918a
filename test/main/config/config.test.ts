import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { ConfigError, loadConfig, type ConfigSources } from '../../../src/main/config/config.ts';
import { configDefaults, type Config } from '../../../src/front-end/config-schema.ts';
import { isLoopback } from '../../../src/shared/loopback.ts';
import { parseListen } from '../../../src/main/config/listen-address.ts';

const absent = (): string => {
  throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
};

function load(yaml: string | undefined, more: Partial<ConfigSources> = {}): Config {
  return loadConfig({ argv: [], env: {}, cores: 4, readFile: yaml === undefined ? absent : () => yaml, ...more });
}

function problems(yaml: string | undefined, more?: Partial<ConfigSources>): readonly string[] {
  try {
    load(yaml, more);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems;
  }
  return assert.fail('it was accepted');
}

test('config.yml at the root lists every key, with its default', () => {
  const text = fs.readFileSync(new URL('../../../config.yml', import.meta.url), 'utf8');
  assert.deepEqual(parse(text), configDefaults);
  assert.deepEqual(load(text), load(undefined));
});

test('without a file the defaults hold; shards is one less than there are cores, at least one', () => {
  const config = load(undefined);
  assert.deepEqual(config.listen, [{ kind: 'tcp', host: '127.0.0.1', port: 8081 }]);
  assert.equal(config.data_dir, './data');
  assert.deepEqual(config.limits, configDefaults.limits);
  assert.deepEqual([config.shards, load(undefined, { cores: 1 }).shards, load('shards: 7').shards], [3, 1, 7]);
  assert.deepEqual(load('# nothing but a comment\n'), config);
});

test('a file that was named must be there', () => {
  assert.deepEqual(problems(undefined, { argv: ['--config', 'other.yml'] }), [
    'other.yml: cannot be read: no such file',
  ]);
});

test('a flag wins over the environment, the environment over the file', () => {
  const yaml = 'listen: 127.0.0.1:1\ndata_dir: file';
  const env = { DRAGONLOCK_LISTEN: '127.0.0.1:2', DRAGONLOCK_DATA_DIR: 'env' };
  const argv = ['--listen', '[::1]:3', '--data-dir=flag'];
  assert.deepEqual(load(yaml, { env }).listen, [{ kind: 'tcp', host: '127.0.0.1', port: 2 }]);
  assert.deepEqual(load(yaml, { env: { ...env, DRAGONLOCK_LISTEN: '' } }).listen, [
    { kind: 'tcp', host: '127.0.0.1', port: 1 },
  ]);
  const config = load(yaml, { env, argv });
  assert.deepEqual([config.listen, config.data_dir], [[{ kind: 'tcp', host: '::1', port: 3 }], 'flag']);
});

test('unknown flags are refused with the usage', () => {
  for (const argv of [['--listn', 'x'], ['stray'], ['--listen']]) {
    assert.match(problems('', { argv }).join('\n'), /Usage: npm start --/);
  }
});

const refused: readonly (readonly [yaml: string, problem: string])[] = [
  ['limits:\n  body_byte_max: 1', 'config.yml:2:3: limits.body_byte_max: unknown key; did you mean body_bytes_max?'],
  [
    'limits:\n  body_bytes_max: 8MB',
    'config.yml:2:3: limits.body_bytes_max: expected an integer from 1024 to 33554432 (bytes), got "8MB"',
  ],
  ['limits:\n', 'config.yml:1:1: limits: expected an object, got nothing'],
  [
    'colour: red',
    'config.yml:1:1: colour: unknown key; known are listen, ui, admin, metrics, data_dir, shards, tokens, tokens_file, http, resp, limits, accounts, scripts, journal, backup, tasks, machines, cluster, log',
  ],
  [
    'machines: {here: a, list: [{name: a, url: "http://a", cells: [1-63]}]}',
    'config.yml:1:21: machines.list: expected a machine for each cell, got none for cell 0',
  ],
  [
    'cluster: {engine: "mysql://a"}',
    'config.yml:1:11: cluster.engine: The engine is given as postgres://user:password@host:5432,host:5432/database?sslmode=verify-full',
  ],
  [
    'shards: 2\ncluster: {engine: "postgres://a:secret@127.0.0.1/b"}',
    'config.yml:1:1: shards: expected auto beside cluster.engine: a node has a shard for each cell that it has',
  ],
  [
    'backup: {url: "s3://a/b"}\ncluster: {engine: "postgres://127.0.0.1/b"}',
    'config.yml:1:10: backup.url: expected none beside cluster.engine: a cluster has no backup of its own yet; back up the database',
  ],
  [
    'machines: {here: c, list: [{name: a, url: "http://a", cells: [0-63]}]}',
    'config.yml:1:12: machines.here: expected one of a, got c',
  ],
  [
    'machines: {list: [{name: a, url: "http://a", cells: [0-63]}]}',
    'config.yml:1:12: machines.list: expected machines.here beside it: the name of this machine',
  ],
  [
    'machines: {here: a, list: [{name: a, url: "http://a", cells: [0-63, 5]}]}',
    'config.yml:1:55: machines.list[0].cells: cell 5 is there twice (a); expected it once',
  ],
  [
    'machines: {here: a, list: [{name: a, url: "http://a", cells: [0-63, 5-64]}]}',
    'config.yml:1:69: machines.list[0].cells[1]: expected a range within 0-63, got 5-64',
  ],
  ['shards: 0', 'config.yml:1:1: shards: expected "auto", or an integer from 1 to 256, got 0'],
  [
    'log: {level: loud}',
    'config.yml:1:7: log.level: expected one of trace, debug, info, warn, error, fatal, silent, got "loud"',
  ],
  [
    'listen: 8081',
    'config.yml:1:1: listen: expected host:port, [IPv6]:port, unix:/PATH or fd:NAME, or a list of them, got 8081',
  ],
  [
    'listen: localhost',
    'config.yml:1:1: listen: expected host:port, [IPv6]:port, unix:/PATH or fd:NAME, got "localhost"',
  ],
  [
    'admin: {listen: "127.0.0.1:8081"}',
    'config.yml:1:9: admin.listen: 127.0.0.1:8081 is in listen, too; expected another address',
  ],
  ['tokens: [{token: t, accounts: "*"}]', 'config.yml:1:10: tokens[0]: scopes is missing'],
  [
    'tokens: [{token: t, accounts: "*", scopes: [write, fly]}]',
    'config.yml:1:52: tokens[0].scopes[1]: expected one of read, write, force, task, script, admin, operator, got "fly"',
  ],
  [
    'tokens: [{accounts: "*", scopes: [read]}]',
    'config.yml:1:10: tokens[0]: expected one of token, token_file and sha256, got none',
  ],
  [
    'tokens:\n  - {token: t, accounts: "*", scopes: [read]}\n  - {token: t, accounts: [a], scopes: [read]}',
    'config.yml:3:5: tokens[1]: the same token as tokens[0]; expected each only once',
  ],
  [
    'tokens: [{token: t, accounts: [a b], scopes: [read]}]',
    'config.yml:1:21: tokens[0].accounts: expected "*", or a list of accounts (1 to 64 characters of A-Z a-z 0-9 . _ - each), got a list',
  ],
  [
    'tokens: [{token: "my secret", accounts: "*", scopes: [read]}]',
    'config.yml:1:11: tokens[0].token: expected the token as text, without spaces',
  ],
  [
    'limits: {value_bytes_max: 9000000}',
    'config.yml:1:10: limits.value_bytes_max: expected at most limits.body_bytes_max (8388608), got 9000000',
  ],
  [
    'journal:\n  segment_bytes: 2097152',
    'config.yml:2:3: journal.segment_bytes: expected at least 4 × limits.body_bytes_max (33554432), got 2097152',
  ],
  [
    'listen: 0.0.0.0:8081',
    'config.yml:1:1: listen: 0.0.0.0:8081 can be reached from other machines, and no tokens are configured; expected a loopback address such as 127.0.0.1:8081, or tokens',
  ],
];

for (const [yaml, problem] of refused) {
  test(`config ${JSON.stringify(yaml)} is refused, with its place`, () => {
    assert.deepEqual(problems(yaml), [problem]);
  });
}

test('all problems are reported at once', () => {
  const found = problems('shards: none\nhttp:\n  threads: 0\n  thread: 1\nfoo: 1\n');
  assert.deepEqual(
    found.map((line) => line.split(': ', 2).join(': ')).toSorted(),
    [
      'config.yml:1:1: shards',
      'config.yml:3:3: http.threads',
      'config.yml:4:3: http.thread',
      'config.yml:5:1: foo',
    ].toSorted(),
  );
});

test('what is no YAML, and a key given twice, are refused with line and column', () => {
  assert.match(problems('a: [1\nb').join('\n'), /^config\.yml:\d+:\d+: /);
  assert.match(problems('shards: 1\nshards: 2').join('\n'), /^config\.yml:2:1: .*unique/);
});

test('another address than loopback is fine with tokens, and refused without, wherever it was given', () => {
  const tokens = 'tokens: [{token: t, accounts: "*", scopes: [read]}]';
  assert.deepEqual(load(`listen: 0.0.0.0:1\n${tokens}`).listen, [{ kind: 'tcp', host: '0.0.0.0', port: 1 }]);
  assert.match(problems('', { argv: ['--listen', '10.0.0.1:1'] }).join(''), /^--listen: 10\.0\.0\.1:1 can be reached/);
  assert.match(
    problems('', { env: { DRAGONLOCK_LISTEN: '[::]:1' } }).join(''),
    /^DRAGONLOCK_LISTEN: \[::\]:1 can be reached/,
  );
});

test('tokens are kept by their hash only', () => {
  const config = load('tokens: [{token: open-sesame, accounts: [a], scopes: [read]}]');
  assert.doesNotMatch(JSON.stringify(config), /sesame/);
  assert.match(config.tokens[0]?.sha256 ?? '', /^[0-9a-f]{64}$/);
});

test('listen: host:port, [IPv6]:port and port 0 are read, everything else is not', () => {
  assert.deepEqual(parseListen('localhost:0'), { kind: 'tcp', host: 'localhost', port: 0 });
  assert.deepEqual(parseListen('[::1]:8081'), { kind: 'tcp', host: '::1', port: 8081 });
  for (const text of ['', ':80', '::1:80', '[::1]', '[nope]:80', '1.2.3:80', '1.2.3.4:65536', 'a:-1', 'a b:1']) {
    assert.equal(parseListen(text), undefined, text);
  }
  for (const host of ['127.0.0.1', '127.9.9.9', '::1', 'localhost', 'LOCALHOST'])
    assert.equal(isLoopback(host), true, host);
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'localhost.example', '::ffff:8.8.8.8'])
    assert.equal(isLoopback(host), false, host);
});

test('tokens have a name, by default of their hash; each is unique, and none is the token itself', () => {
  const named = load(
    'tokens: [{token: a, name: shop, accounts: "*", scopes: [read]}, {token: b, accounts: "*", scopes: [read]}]',
  );
  assert.deepEqual(
    named.tokens.map(({ name }) => name),
    ['shop', '3e23e816'],
  );
  const other = 'accounts: "*", scopes: [read]';
  assert.match(
    problems(`tokens: [{token: a, name: x, ${other}}, {token: b, name: x, ${other}}]`).join(),
    /the same name/,
  );
  assert.match(problems(`tokens: [{token: secret, name: secret, ${other}}]`).join(), /the token itself/);
  assert.match(problems(`tokens: [{token: a, name: "a b", ${other}}]`).join(), /tokens\[0\]\.name: expected a name/);
});

test('http.hosts takes names and addresses, without scheme, port or pattern', () => {
  assert.deepEqual(load('http: {hosts: [dragon.internal, 10.0.0.1, "fd00::1", "[fd00::2]"]}').http.hosts.length, 4);
  for (const host of ['"*"', 'http://a', 'a:80', '""', '"a b"', 'a/b']) {
    assert.match(problems(`http: {hosts: [${host}]}`).join(), /http\.hosts\[0\]: expected a host name/, host);
  }
});
