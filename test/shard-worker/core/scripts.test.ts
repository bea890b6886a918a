/** Stored scripts, and what a call's commit checks and keeps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Batch } from '../../../src/protocol/operations/operations.ts';
import type { ScriptChange } from '../../../src/protocol/operations/script.ts';
import { acme, batch } from '../../support/commands.ts';
import { CoreUnderTest } from '../../support/core-under-test.ts';

const put = (source: string, more: Partial<ScriptChange> = {}): Batch =>
  batch({ format: 'script.put', script: { key: 'pay', source, ...more } });
const drop = (version: number): Batch => batch({ format: 'script.delete', script: { key: 'pay', version } });
const get = (more: object = {}) => ({ kind: 'script.get', account: acme, id: 'pay', ...more }) as const;

function bodyOf(core: CoreUnderTest, command: Parameters<CoreUnderTest['ask']>[0]): Record<string, unknown> {
  return JSON.parse(core.ask(command).reply!.body) as Record<string, unknown>;
}

test('the last ten versions of a script are kept, each under the revision that stored it', () => {
  const core = new CoreUnderTest();
  const versions = Array.from({ length: 12 }, (_, i) => bodyOf(core, put(`v${i}`))['Version'] as number);
  const { Source, Version, Versions } = bodyOf(core, get());
  assert.deepEqual([Source, Version, Versions], ['v11', versions[11], versions.slice(2).toReversed()]);
  assert.equal(bodyOf(core, get({ version: versions[2] }))['Source'], 'v2');
  assert.equal(bodyOf(core, get({ version: versions[1] }))['Code'], 'not_found');
  assert.equal(bodyOf(core, get({ known: versions[11] }))['Source'], undefined, 'who knows it gets no source');
});

test('a script is stored and deleted only with the version that is expected', () => {
  const core = new CoreUnderTest();
  assert.equal(bodyOf(core, put('a', { version: 3 }))['Code'], 'version_mismatch');
  const { Version } = bodyOf(core, put('a', { version: 0 }));
  assert.equal(bodyOf(core, put('b', { version: 0 }))['Code'], 'version_mismatch');
  assert.equal(bodyOf(core, put('b', { version: Version as number }))['Code'], undefined);
  assert.equal(bodyOf(core, drop(Version as number))['Code'], 'version_mismatch');
  assert.equal(bodyOf(core, batch({ format: 'script.delete', script: { key: 'pay' } }))['Deleted'], true);
  assert.equal(bodyOf(core, get())['Code'], 'not_found');
});

test('a page is the same only if no key of it is new, gone or changed', () => {
  const core = new CoreUnderTest();
  const version = (key: string): number => bodyOf(core, batch({ set: [{ key, value: '1' }] }))['Rev'] as number;
  const [a, b, c] = [version('p/a'), version('p/b'), version('p/c')];
  const isSame = (same: NonNullable<Batch['same']>): unknown =>
    bodyOf(core, batch({ same, set: [{ key: 'x', value: '1' }] }))['Key'] ?? 'same';
  const rows = [
    ['p/a', a],
    ['p/b', b],
  ] as const;
  assert.equal(isSame([{ prefix: 'p/', last: 'p/b', rows }]), 'same', 'what is behind the page does not count');
  assert.equal(isSame([{ prefix: 'p/', rows }]), 'p/c', 'a new one does');
  assert.equal(isSame([{ prefix: 'p/', rows: [...rows, ['p/c', c], ['p/d', 9]] }]), 'p/d', 'so does one that is gone');
  assert.equal(isSame([{ prefix: 'p/', after: 'p/b', rows: [['p/c', c - 1]] }]), 'p/c', 'and another version');
  assert.equal(isSame([{ prefix: 'p/', after: 'p/b', rows: [['p/c', c]] }]), 'same');
  assert.equal(isSame([{ prefix: 'q/', rows: [] }]), 'same');
});

test('the answer of a call is kept with its ids; who only looks uses none up', () => {
  const core = new CoreUnderTest();
  const idempotency = { ids: ['i'], ttlMs: 1000, mode: 'replay', fingerprint: 'f' } as const;
  const look = batch({ format: 'script.read', get: ['a'], idempotency: { ...idempotency, look: true } });
  assert.deepEqual(Object.keys(bodyOf(core, look)), ['KV', 'Rev']);
  const commit = batch({
    format: 'script.call',
    set: [{ key: 'a', value: '1' }],
    idempotency,
    answer: { key: 'i', members: '"Result":7,"Log":[],' },
  });
  const first = core.ask(commit).reply!;
  assert.equal(first.body, `{"Result":7,"Log":[],"Rev":${first.rev}}`);
  const again = core.ask(look).reply!;
  assert.deepEqual([again.body, again.replayed], [first.body, true]);
});
