import assert from 'node:assert/strict';
import { test } from 'node:test';
import { errorCodes } from '../../src/protocol/errors.ts';
import { readDoc, tableUnder } from './markdown.ts';

test('docs/errors.md lists every code, with its status, whether to retry, and its meaning', () => {
  const documented = tableUnder(readDoc('docs/errors.md'), 'Errors');
  const real = Object.entries(errorCodes).map(([code, { status, retryable, meaning }]) => [
    code,
    String(status),
    retryable ? 'yes' : 'no',
    meaning,
  ]);
  assert.deepEqual(documented, real);
});
