import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as exported from '../../src/client/exports.ts';
import { errorOfReply } from '../../src/client/error-of-reply.ts';
import { clientCodes } from '../../src/client/errors.ts';
import { errorCodes } from '../../src/protocol/errors.ts';
import { readDoc, tableUnder } from '../docs/markdown.ts';

const { DragonLockError } = exported;

for (const [code, { status, retryable }] of Object.entries(errorCodes)) {
  test(`${code} has a class of its own, exported under its name`, () => {
    const name = `${code.replaceAll(/(^|_)([a-z])/g, (_, _bar, letter: string) => letter.toUpperCase())}Error`;
    const known = (exported as Record<string, unknown>)[name];
    assert.ok(typeof known === 'function', name);
    const error = errorOfReply(status, { Code: code, Message: 'why', RequestID: 'b-1' });
    assert.ok(error instanceof known && error instanceof DragonLockError && error instanceof Error);
    assert.deepEqual(
      { name: error.name, code: error.code, status: error.status, retryable: error.retryable, id: error.requestId },
      { name, code, status, retryable, id: 'b-1' },
    );
    assert.equal(String(error), `${name}: why`);
  });
}

test('an error has the members of its code', () => {
  const busy = made(exported.NotLockedError, {
    Code: 'not_locked',
    Holder: { Meta: 'm', Till: 2, TillMs: 1500, Since: 1000 },
    Waiters: 3,
  });
  assert.deepEqual([busy.holder, busy.waiters], [{ meta: 'm', till: 1500, since: 1000 }, 3]);
  assert.equal(made(exported.CompactedError, { Code: 'compacted', Oldest: 9 }).oldest, 9);
  assert.equal(made(exported.PreconditionFailedError, { Code: 'precondition_failed', Key: 'k', Value: 4 }).value, 4);
  const existing = made(exported.PreconditionFailedError, { Code: 'precondition_failed', Key: 'k', Version: 3 });
  assert.deepEqual([existing.value, existing.version], [undefined, 3]);
  assert.equal(made(exported.OutOfBoundsError, { Code: 'out_of_bounds', Key: 'k', Value: 4 }).value, 4);
  assert.equal(made(exported.LockLostError, { Code: 'lock_lost', LockID: 'l', Why: 'expired' }).why, 'expired');
});

test('an unknown code is reported, and any other body is no reply of this server', () => {
  assert.match(errorOfReply(409, { Code: 'new_code', Message: 'm' })?.message ?? '', /new_code: m/);
  for (const body of [null, 'text', {}, { Code: 5 }, { Code: 'invalid' }])
    assert.equal(errorOfReply(400, body), undefined);
});

test('the document lists the errors that only a client raises', () => {
  const rows = tableUnder(readDoc('docs/client.md'), 'When things go wrong');
  assert.deepEqual(
    rows.map(([code, name, retry, meaning]) => [code, Object.hasOwn(exported, String(name)), retry === 'yes', meaning]),
    Object.entries(clientCodes).map(([code, { retryable, meaning }]) => [code, true, retryable, meaning]),
  );
});

function made<Kind>(kind: abstract new (...parameters: never[]) => Kind, body: object): Kind {
  const error: unknown = errorOfReply(409, { Message: '', ...body });
  assert.ok(error instanceof kind);
  return error;
}
