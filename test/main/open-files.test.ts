import assert from 'node:assert/strict';
import fs from 'node:fs';
import { test } from 'node:test';
import { configDefaults } from '../../src/front-end/config-schema.ts';
import { connectionsFor, openFilesMax, TooFewFiles } from '../../src/main/open-files.ts';
import { readDoc } from '../docs/markdown.ts';

const config = { shards: 3, http: { threads: 4 }, limits: configDefaults.limits };

const asked = { ...config, limits: { ...config.limits, connections_max: 99_999 } };

test('the limit of open files is read', () => {
  assert.ok(openFilesMax()! > 0);
});

test('with files enough the configured number of connections is accepted, without a word', () => {
  for (const files of [undefined, Infinity, 1_000_000]) {
    assert.deepEqual(connectionsFor(files, config), { connectionsMax: 100_000 });
  }
});

test('with fewer files fewer connections are accepted, and the warning says what to raise', () => {
  const { connectionsMax, warning } = connectionsFor(4096, config);
  assert.equal(connectionsMax, 4096 - 512 - 64 - 9 * 16);
  assert.match(warning!, /may open 4096 files: at most 3376 connections/);
  const needed = Number(/which needs (\d+) files/.exec(warning!)![1]);
  assert.deepEqual(connectionsFor(needed, config), { connectionsMax: 100_000 }, 'what it says is enough');
  assert.ok(connectionsFor(needed - 200, asked).warning !== undefined);
});

test('who has not asked for a number of connections is warned of few only', () => {
  assert.equal(connectionsFor(65_536, config).warning, undefined);
  assert.ok(connectionsFor(65_536, config).connectionsMax < 65_536);
  assert.ok(connectionsFor(8192, config).warning !== undefined);
  assert.ok(connectionsFor(65_536, asked).warning !== undefined);
});

test('with too few files for the server itself it cannot start', () => {
  assert.throws(() => connectionsFor(200, config), TooFewFiles);
});

test('the unit allows as many files as the default number of connections needs', () => {
  const unit = fs.readFileSync(new URL('../../deploy/dragonlock.service', import.meta.url), 'utf8');
  const files = Number(/^LimitNOFILE=(\d+)$/m.exec(unit)?.[1]);
  assert.equal(connectionsFor(files, { ...config, shards: 150 }).warning, undefined);
  assert.match(readDoc('docs/config.md'), new RegExp(`\`LimitNOFILE\` of the unit: ${files}`));
});
