/** A few seconds of each fuzzer; `npm run torture` runs them for any length. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fuzzers, type FuzzTarget } from './fuzzers.ts';
import { readReplies } from './read-replies.ts';

interface Run {
  readonly count: number;
  /** Outcomes that a run of this length must meet; otherwise it has tested little. */
  readonly meets: readonly string[];
}

const runs = {
  http: {
    count: 300,
    meets: ['status 200', 'status 400', 'valid connections', 'spoilt, answered', 'no reply, closed'],
  },
  bodies: { count: 600, meets: ['answered: batch', 'refused: invalid', 'refused: too_large', 'http: 200', 'waits'] },
  decoders: {
    count: 10_000,
    meets: ['frame valid', 'frame checksum', 'record valid', 'record refused', 'header valid'],
  },
  recovery: {
    count: 500,
    meets: [
      'refused: a bit of a frame',
      'recovered: a bit anywhere',
      'refused: a missing segment',
      'refused: two sectors swapped',
    ],
  },
  lane: { count: 4000, meets: ['taken', 'then taken', 'then head', 'then body', 'then incomplete'] },
} as const satisfies Record<FuzzTarget, Run>;

for (const target of Object.keys(fuzzers) as FuzzTarget[]) {
  const { count, meets } = runs[target];
  test(`fuzz: ${target}: any input gives a promised outcome`, async (t) => {
    const given = process.env['DRAGONLOCK_FUZZ_SEED'];
    const seed = given === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(given);
    const report = await fuzzers[target](seed, count);
    t.diagnostic(JSON.stringify({ seed, ...report }));
    assert.equal(report.inputs, count);
    for (const what of meets) assert.ok((report.seen[what] ?? 0) > 0, `met: ${what}`);
  });
}

test('fuzz: the reader of replies finds those that are not HTTP', () => {
  const reply = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}';
  const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n';
  assert.deepEqual(readReplies(Buffer.from(reply + chunked + reply)), {
    statuses: [200, 200, 200],
    problem: undefined,
  });
  assert.deepEqual(readReplies(Buffer.from(reply.slice(0, -1))), { statuses: [], problem: undefined });
  for (const bad of [`${reply}x`, `x${reply}`, `${chunked}0\r\n`, 'HTTP/1.1 200 OK\r\n\r\n']) {
    assert.notEqual(readReplies(Buffer.from(`${bad}${reply}`)).problem, undefined, bad);
  }
});
