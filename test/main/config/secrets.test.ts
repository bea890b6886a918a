/** Settings from the environment, and secrets from files. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { ConfigError, loadConfig, type ConfigSources } from '../../../src/main/config/config.ts';
import type { Config } from '../../../src/front-end/config-schema.ts';
import { readSecretFile, secretPath } from '../../../src/shared/secret-file.ts';
import { temporaryDirectory } from '../../docs/server-child.ts';
import { makeCertificate, withoutOpenssl } from '../../support/certificates.ts';

function load(yaml: string, more: Partial<ConfigSources> = {}): Config {
  const readFile = (file: string): string => (file === 'config.yml' ? yaml : fs.readFileSync(file, 'utf8'));
  return loadConfig({ argv: [], env: {}, cores: 4, readFile, ...more });
}

function problems(yaml: string, more?: Partial<ConfigSources>): string {
  try {
    load(yaml, more);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.join('\n');
  }
  return assert.fail('it was accepted');
}

test('a variable sets any key that is one value, wins over the file, and is named when it is wrong', () => {
  const env = {
    DRAGONLOCK_LOG_LEVEL: 'warn',
    DRAGONLOCK_LIMITS_BODY_BYTES_MAX: '4096',
    DRAGONLOCK_LIMITS_VALUE_BYTES_MAX: '4096',
    DRAGONLOCK_HTTP_THREADS: '3',
    DRAGONLOCK_HTTP_FAST_LANE: 'false',
    DRAGONLOCK_SHARDS: 'auto',
    DRAGONLOCK_BACKUP_S3_REGION: 'eu-central-1',
    DRAGONLOCK_LISTEN: '127.0.0.1:1, unix:/run/x',
    DRAGONLOCK_JOURNAL_KEEP_BYTES: '',
    DRAGONLOCK_TEST_ANYTHING: 'x',
  };
  const config = load('shards: 2\nlog: {level: error}\nhttp: {hosts: [a]}', { env });
  assert.deepEqual([config.log.level, config.limits.body_bytes_max, config.shards], ['warn', 4096, 3]);
  assert.deepEqual([config.http.threads, config.http.fast_lane, config.http.hosts], [3, false, ['a']]);
  assert.equal(config.backup.s3.region, 'eu-central-1');
  assert.deepEqual(config.listen, [
    { kind: 'tcp', host: '127.0.0.1', port: 1 },
    { kind: 'unix', path: '/run/x' },
  ]);
  assert.equal(
    problems('', { env: { DRAGONLOCK_LIMITS_BODY_BYTES_MAX: '8MB' } }),
    'DRAGONLOCK_LIMITS_BODY_BYTES_MAX: expected an integer from 1024 to 33554432 (bytes), got "8MB"',
  );
  assert.equal(
    problems('', { env: { DRAGONLOCK_LIMITS_BODY_BYTE_MAX: '1' } }),
    'DRAGONLOCK_LIMITS_BODY_BYTE_MAX: there is no such setting; did you mean DRAGONLOCK_LIMITS_BODY_BYTES_MAX?',
  );
});

test('tokens come from files too: one each, or a list; with problems at their place', (t) => {
  const directory = temporaryDirectory(t);
  const file = (name: string, content: string, mode = 0o600): string => {
    const at = path.join(directory, name);
    fs.writeFileSync(at, content);
    fs.chmodSync(at, mode);
    return at;
  };
  const one = file('one', 'first-token\n');
  const list = file('list.yml', '- {token: second-token, name: second, accounts: [a], scopes: [read]}\n');
  const yaml = `tokens: [{token_file: ${one}, name: first, accounts: "*", scopes: [write]}]\ntokens_file: ${list}`;
  const { tokens } = load(yaml);
  assert.deepEqual(
    tokens.map(({ name }) => name),
    ['first', 'second'],
  );
  assert.equal(
    tokens[0]?.sha256,
    load('tokens: [{token: first-token, accounts: "*", scopes: [read]}]').tokens[0]?.sha256,
  );

  const withList = (content: string, mode?: number): string => problems(`tokens_file: ${file('bad', content, mode)}`);
  assert.match(
    withList('- {token: x, accounts: "*", scopes: [fly]}'),
    /bad:1:\d+: \[0\]\.scopes\[0\]: expected one of read/,
  );
  assert.match(
    withList('- {token: x, accounts: "*", scopes: [read]}', 0o644),
    /bad: cannot be read: others may read it; expected mode 0600/,
  );
  assert.match(withList(''), /tokens_file: .*bad has no tokens; expected at least one/);
  assert.match(withList('tokens: []'), /expected a list of/);
  assert.match(problems('tokens_file: /nowhere'), /\/nowhere: cannot be read: ENOENT/);
  assert.match(
    problems(`tokens: [{token_file: ${file('spaces', 'two words')}, accounts: "*", scopes: [read]}]`),
    /config\.yml:1:\d+: tokens\[0\]\.token_file: .*has no token; expected one line without spaces/,
  );
  assert.match(
    problems(
      `tokens: [{token: first-token, accounts: "*", scopes: [read]}]\ntokens_file: ${file('same', '- {token: first-token, accounts: "*", scopes: [read]}')}`,
    ),
    /same:1:\d+: \[0\]: the same token as tokens\[0\]/,
  );
});

test('a secret is a small file that others may not read, or a credential of the unit', (t) => {
  const directory = temporaryDirectory(t);
  const file = path.join(directory, 'secret');
  fs.writeFileSync(file, 's3cret\r\n', { mode: 0o640 });
  assert.equal(readSecretFile(file), 's3cret');
  fs.chmodSync(file, 0o604);
  assert.throws(() => readSecretFile(file), /others may read it/);
  fs.chmodSync(file, 0o600);
  fs.writeFileSync(file, 'x'.repeat(65_537));
  assert.throws(() => readSecretFile(file), /it has 65537 bytes/);
  assert.throws(() => readSecretFile(directory), /it is not a file/);
  assert.equal(secretPath('$CREDENTIALS_DIRECTORY/key', { CREDENTIALS_DIRECTORY: '/run/c' }), '/run/c/key');
  assert.equal(secretPath('$CREDENTIALS_DIRECTORY/key', {}), '$CREDENTIALS_DIRECTORY/key');
});

function tls(settings: string): string {
  return `http: {tls: {${settings}}}`;
}

test('certificate and key are checked: pair, dates, mode, and that there is each', { skip: withoutOpenssl }, (t) => {
  const directory = temporaryDirectory(t);
  const { cert, key } = makeCertificate(directory, 'one');
  const other = makeCertificate(directory, 'other');
  const { http } = load(tls(`cert_file: ${cert}, key_file: ${key}, client_ca_file: ${other.cert}`));
  assert.deepEqual(Object.keys(http.tls ?? {}), ['cert', 'key', 'ca', 'minVersion']);
  assert.equal(load('').http.tls, undefined);
  for (const [settings, problem] of [
    [`cert_file: ${cert}`, /http\.tls\.key_file: is missing beside cert_file/],
    [`client_ca_file: ${cert}`, /http\.tls\.client_ca_file: expected cert_file and key_file beside it/],
    [`cert_file: ${cert}, key_file: ${other.key}`, /key_file: .*does not belong to the certificate/],
    [`cert_file: ${key}, key_file: ${key}`, /cert_file: .*has no certificate in PEM/],
    [`cert_file: ${cert}, key_file: ${cert}`, /key_file: .*(others may read it|has no private key in PEM)/],
    [`cert_file: /nowhere, key_file: ${key}`, /cert_file: \/nowhere cannot be used: ENOENT/],
  ] as const) {
    assert.match(problems(tls(settings)), problem, settings);
  }
  const pair = tls(`cert_file: ${cert}, key_file: ${key}`);
  const day = 24 * 3_600_000;
  assert.match(problems(pair, { now: () => Date.now() + 2 * day }), /cert_file: .*has expired/);
  assert.match(problems(pair, { now: () => Date.now() - day }), /cert_file: .*is not valid yet/);
});

test('sockets of systemd take the place of listen; by name they go where they are asked for', () => {
  const env = { LISTEN_PID: '7', LISTEN_FDS: '3', LISTEN_FDNAMES: 'http:resp:http' };
  const both = load('resp: {listen: "fd:resp"}', { env, pid: 7 });
  assert.deepEqual(both.listen, [{ kind: 'fd', fds: [3, 5] }]);
  assert.deepEqual(both.resp.listen, { kind: 'fd', fds: [4] });
  assert.equal(both.http.threads, 2, 'one front end for each socket');
  assert.deepEqual(load('listen: fd:http\nresp: {listen: "fd:resp"}', { env, pid: 7 }).listen, [
    { kind: 'fd', fds: [3, 5] },
  ]);
  assert.deepEqual(
    load('', { env, pid: 8 }).listen,
    [{ kind: 'tcp', host: '127.0.0.1', port: 8081 }],
    'of another process',
  );
  assert.match(problems('listen: fd:other', { env, pid: 7 }), /listen: systemd has passed no socket of this name/);
});
