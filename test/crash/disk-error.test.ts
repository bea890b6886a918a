/**
 * The disk fails for real: strace lets the K-th fdatasync of the process return EIO. From then on there is no success
 * any more (whether the data is on the disk, nobody can tell), the process ends by itself, with code 70, or with 1 when
 * it does not serve yet, and the next one serves everything that was acknowledged.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { History } from '../support/crash-history.ts';
import { Load } from '../support/crash-load.ts';
import { meanwhile, sleep, trial, type Trial } from '../support/crash-trial.ts';

const missing = whyNot();
/**
 * Each K of `DRAGONLOCK_CRASH_EIO`, for example 1..10, with one shard and with three; otherwise one within the start,
 * and one under load.
 */
const [first, last] = process.env['DRAGONLOCK_CRASH_EIO']?.split('..').map(Number) ?? [];
const chosen: readonly { readonly shards: number; readonly k: number | 'under load' }[] =
  first === undefined
    ? [
        { shards: 1, k: 1 },
        { shards: 3, k: 'under load' },
      ]
    : range(first, last ?? first).flatMap((k) => [1, 3].map((shards) => ({ shards, k })));

if (missing !== undefined) {
  test('an fdatasync that fails with EIO ends the process, and no success follows', { skip: missing }, () => {});
} else {
  for (const { shards, k } of chosen) {
    trial(
      `an fdatasync that fails with EIO ends the process, and no success follows (number ${k}, shards: ${shards})`,
      import.meta.url,
      (given) => failAt(k === 'under load' ? 30 + given.random.below(40) : k, shards, given),
    );
  }
}

/** The K-th fdatasync of any thread. */
async function failAt(k: number, shards: number, { t, server, seed, keep }: Trial): Promise<void> {
  const history = new History();
  keep('history.json', () => history.asText());
  // Something to lose: a journal that was not closed, so that a start has work to do.
  await server.start({ shards });
  const before = new Load(server, history, { seed, round: 0 });
  const running = meanwhile(before.run());
  await before.answers(40, running);
  let diedAt = Date.now();
  await server.kill();
  await running;

  const trace = path.join(server.directory, 'strace.txt');
  const inject = ['-e', 'trace=fdatasync', '-e', `inject=fdatasync:error=EIO:when=${k}`];
  server.launch({ shards, wrapper: ['strace', '-f', '-ttt', '-o', trace, ...inject] });
  history.restarted(server.launchedAt, diedAt);
  const started = (await server.serving()) !== undefined;
  if (started) {
    const load = new Load(server, history, { seed, round: 1 });
    const tooLong = setTimeout(() => load.stop(), 30_000);
    await load.run();
    clearTimeout(tooLong);
  }
  const ended = await Promise.race([server.exit, sleep(5000)]);
  diedAt = Date.now();
  // While it starts, what fails beside the start itself ends it with 70 too.
  const codes = started ? [70] : [1, 70];
  assert(
    ended?.signal === null && codes.includes(ended.code!),
    `it must end with code ${codes.join(' or ')}\n${server.said()}`,
  );

  // `…<time> fdatasync(5) = -1 EIO (Input/output error) (INJECTED)`
  const lines = fs.readFileSync(trace, 'utf8').split('\n');
  const failed = lines.find((line) => line.includes('INJECTED'));
  assert(failed !== undefined, `an error was injected\n${server.said()}`);
  const failedAt = Number(/(\d+\.\d+)/.exec(failed)![1]) * 1000;
  const late = history.calls.filter(
    ({ body, answer, sentAt }) => body.KVSet && answer?.status === 200 && sentAt > failedAt + 1,
  );
  assert.deepEqual(late, [], `a write that was sent after the error at ${failedAt} was acknowledged`);

  await server.start({ shards });
  history.restarted(server.launchedAt, diedAt);
  const client = server.client();
  await history.check(client);
  await client.close();
  await server.stop();
  assert(history.totals.acknowledged > 20, `${history.totals.acknowledged} acknowledged before the error`);
  t.diagnostic(JSON.stringify({ injected: 1, starting: Number(!started), ...history.totals }));
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

/** Why errors cannot be injected here, if they cannot. */
function whyNot(): string | undefined {
  const probe = ['-f', '-e', 'trace=fdatasync', '-e', 'inject=fdatasync:error=EIO:when=1', process.execPath, '-e', '0'];
  const tried = spawnSync('strace', probe, { encoding: 'utf8', timeout: 20_000 });
  if (tried.error !== undefined) return `strace cannot be run: ${tried.error.message}`;
  return tried.status === 0 ? undefined : `strace is not permitted here: ${tried.stderr.slice(0, 200)}`;
}
