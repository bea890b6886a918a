import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LogLines } from '../../src/main/log.ts';

/** An output that does what the test says: takes all, takes some bytes, blocks, or fails. */
function logTo() {
  const state = { out: '', takes: Infinity, fails: undefined as string | undefined };
  let retry: (() => void) | undefined;
  let lost = 0;
  const lines = new LogLines({
    output: {
      write(bytes) {
        if (state.fails !== undefined) throw new Error(state.fails);
        const taken = bytes.subarray(0, Math.min(bytes.length, state.takes));
        state.takes -= taken.length;
        state.out += taken.toString();
        return taken.length;
      },
    },
    onLost: (count) => void (lost += count),
    every: (_ms, run) => {
      retry = run;
      return () => void (retry = undefined);
    },
  });
  return { lines, state, retry: () => retry?.(), retries: () => retry !== undefined, lost: () => lost };
}

const parsed = (out: string): { msg?: string; lines?: number }[] =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { msg?: string; lines?: number });

test('log: lines that cannot be written are lost and counted, and the next one that can be says so', () => {
  const { lines, state, lost, retries } = logTo();
  state.fails = 'ENOSPC: no space left';
  for (let i = 0; i < 3; i += 1) lines.write(`{"msg":"${i}"}\n`);
  assert.equal(lost(), 3);
  assert.equal(lines.flushLast(), false, 'the last line is not out');
  state.fails = undefined;
  lines.write('{"msg":"after"}\n');
  assert.equal(lost(), 3);
  const [told, after] = parsed(state.out);
  assert.equal(told!.lines, 3);
  assert.match(told!.msg!, /lost: ENOSPC/);
  assert.equal(after!.msg, 'after');
  assert.equal(lines.flushLast(), true);
  assert.equal(retries(), false);
});

test('log: what a slow reader does not take waits, in order, and is tried again', () => {
  const { lines, state, lost, retry, retries } = logTo();
  state.takes = 5;
  for (let i = 0; i < 10; i += 1) lines.write(`{"msg":"${i}"}\n`);
  assert.equal(state.out, '{"msg');
  assert.equal(retries(), true);
  state.takes = Infinity;
  retry();
  assert.deepEqual(
    parsed(state.out).map(({ msg }) => msg),
    ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
  );
  assert.equal(lost(), 0);
  assert.equal(retries(), false);
});

test('log: for a reader that never reads only so much waits; the rest is lost and counted', () => {
  const { lines, state, lost, retry } = logTo();
  state.takes = 0;
  const line = `{"msg":"${'x'.repeat(1000)}"}\n`;
  for (let i = 0; i < 1000; i += 1) lines.write(line);
  assert.ok(lost() > 700 && lost() < 800, `${lost()}`);
  state.takes = Infinity;
  retry();
  assert.equal(parsed(state.out).length, 1000 - lost());
  lines.write('{"msg":"after"}\n');
  assert.equal(parsed(state.out).at(-2)!.lines, lost());
});

test('log: a line that was cut off is ended before the next one', () => {
  const { lines, state, lost } = logTo();
  state.takes = 5;
  lines.write('{"msg":"cut"}\n');
  state.fails = 'ENOSPC';
  lines.write('{"msg":"gone"}\n');
  assert.equal(lost(), 2);
  state.fails = undefined;
  state.takes = Infinity;
  lines.write('{"msg":"after"}\n');
  const [cut, told, after] = state.out.split('\n');
  assert.equal(cut, '{"msg');
  assert.equal((JSON.parse(told!) as { lines: number }).lines, 2);
  assert.equal(after, '{"msg":"after"}');
});
