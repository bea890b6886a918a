import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from 'yaml';
import { configDefaults, configSchema, scopes } from '../../src/front-end/config-schema.ts';
import { requestLogs } from '../../src/front-end/request-log-settings.ts';
import { logLevels } from '../../src/shared/log-levels.ts';
import { codeSpans, readDoc, tableUnder } from './markdown.ts';

/** `limits.body_bytes_max` → `8388608` */
function flat(config: object, prefix = ''): [string, string][] {
  return Object.entries(config).flatMap(([name, value]: [string, unknown]) => {
    const key = prefix + name;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return flat(value, `${key}.`);
    return [[key, typeof value === 'string' ? value : JSON.stringify(value)]];
  });
}

const markdown = readDoc('docs/config.md');
const rows = tableUnder(markdown, 'Keys');

test('docs/config.md lists every key with its default, in the order of config.yml', () => {
  const documented = rows.map(([key, value]) => [key, value]);
  assert.deepEqual(documented, flat(configDefaults));
  assert.deepEqual(documented, flat(parse(readDoc('config.yml')) as object));
  assert.deepEqual(Object.keys(configSchema.properties), Object.keys(configDefaults));
});

test('docs/config.md gives each key the unit that its name has', () => {
  for (const [key = '', , unit = ''] of rows) {
    if (key.includes('bytes')) assert.equal(unit, 'bytes', key);
    else if (key.endsWith('_ms')) assert.equal(unit, 'ms', key);
    else if (key.endsWith('ms_per_second')) assert.equal(unit, 'ms/s', key);
    else if (key.endsWith('per_second')) assert.equal(unit, 'requests/s', key);
    else assert.notEqual(unit, '', key);
  }
});

test('docs/config.md names every field of a token, every scope and every log level', () => {
  const fields = tableUnder(markdown, 'Tokens').map(([field]) => field);
  assert.deepEqual(fields, Object.keys(configSchema.properties.tokens.items.properties));
  const named = codeSpans(markdown);
  for (const name of [...scopes, ...logLevels, ...requestLogs]) assert.ok(named.has(name), name);
});
