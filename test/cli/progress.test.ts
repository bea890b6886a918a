/** Progress of long commands: a line that is replaced on a terminal, and few lines elsewhere. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { megabytes, Progress } from '../../src/cli/progress.ts';

function shown(showsErrors: boolean): { progress: Progress; output: string[]; advance: (ms: number) => void } {
  let now = 5000;
  const output: string[] = [];
  const progress = new Progress(
    {
      showsErrors,
      errorLine: (line) => void output.push(line),
      transient: (line) => {
        output.push(line);
        return () => void output.push('erased');
      },
    },
    'Restoring',
    () => now,
  );
  return { progress, output, advance: (ms) => void (now += ms) };
}

test('a terminal sees a bar with the time left, and it is gone at the end', () => {
  const { progress, output, advance } = shown(true);
  progress.show(1, 4, megabytes(1_000_000));
  advance(1000);
  progress.show(1, 4, megabytes(2_340_000));
  progress.show(2, 4, megabytes(3_000_000));
  advance(3000);
  progress.show(4, 4, megabytes(4_000_000));
  progress.end();
  assert.deepEqual(output, [
    'Restoring: [#####...............] 25% (1 of 4 objects, 3 s left), 2.3 MB',
    'erased',
    'Restoring: [####################] 100% (4 of 4 objects, 0 s left), 4.0 MB',
    'erased',
  ]);
});

test('elsewhere there is a plain line each ten seconds', () => {
  const { progress, output, advance } = shown(false);
  for (let seconds = 0; seconds < 25; seconds += 1) {
    progress.show(seconds, 100, megabytes(0));
    advance(1000);
  }
  progress.end();
  assert.deepEqual(output, [
    'Restoring: 10% (10 of 100 objects, 90 s left), 0.0 MB',
    'Restoring: 20% (20 of 100 objects, 80 s left), 0.0 MB',
  ]);
});

test('what has no known end shows how far it is', () => {
  const { progress, output, advance } = shown(true);
  advance(300);
  progress.show(0, 0, '7 entries');
  assert.deepEqual(output, ['Restoring: 7 entries']);
});
