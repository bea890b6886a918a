/**
 * The disk fails for real: strace lets the K-th fdatasync of the process return EIO. From then on there is no success
 * any more (whether the data is on the disk, nobody can tell), the process ends by itself with code 70, and the next
 * one serves everything that was acknowledged.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { History } from '../support/crash-history.ts';
import { Load } from '../support/crash-load.ts';
import { sleep, trial } from '../support/crash-trial.ts';

const missing = whyNot();

if (missing !== undefined) {
  test('an fdatasync that fails with EIO ends the process, and no success follows', { skip: missing }, () => {});
} else {
  for (const shards of [1, 3]) {
    trial(
      `an fdatasync that fails with EIO ends the process, and no success follows (shards: ${shards})`,
      import.meta.url,
      async ({ t, server, seed, random }) => {
        const history = new History();
        // The first segment and its spare cost some before anything is written.
        await server.start({ shards });
        await server.stop();
        const trace = path.join(server.directory, 'strace.txt');
        const when = 30 + random.below(40);
        const inject = ['-e', 'trace=fdatasync', '-e', `inject=fdatasync:error=EIO:when=${when}`];
        history.restarted(0, Date.now());
        await server.start({ shards, wrapper: ['strace', '-f', '-ttt', '-o', trace, ...inject] });
        history.restarted(server.launchedAt, Date.now());
        const load = new Load(server, history, { seed, round: 0 });
        const tooLong = setTimeout(() => load.stop(), 20_000);
        await load.run();
        clearTimeout(tooLong);
        const ended = await Promise.race([server.exit, sleep(5000)]);
        const diedAt = Date.now();
        assert.deepEqual(ended, { code: 70, signal: null }, `the process must end with code 70\n${server.said()}`);

        // `…<time> fdatasync(5) = -1 EIO (Input/output error) (INJECTED)`
        const failed = fs
          .readFileSync(trace, 'utf8')
          .split('\n')
          .find((line) => line.includes('INJECTED'));
        assert(failed !== undefined, 'an error was injected');
        const failedAt = Number(/(\d+\.\d+)/.exec(failed)![1]) * 1000;
        const late = history.calls.filter(
          ({ body, answer, sentAt }) => body.KVSet && answer?.status === 200 && sentAt > failedAt + 1,
        );
        assert.deepEqual(late, [], `a write that was sent after the error at ${failedAt} was acknowledged`);

        const acknowledged = history.calls.filter(({ answer }) => answer?.status === 200).length;
        assert(acknowledged > 5, `${acknowledged} acknowledged before the error`);
        await server.start({ shards });
        history.restarted(server.launchedAt, diedAt);
        const client = server.client();
        await history.check(client);
        await client.close();
        await server.stop();
        t.diagnostic(JSON.stringify({ when, ...history.totals }));
      },
    );
  }
}

/** Why errors cannot be injected here, if they cannot. */
function whyNot(): string | undefined {
  const probe = ['-f', '-e', 'trace=fdatasync', '-e', 'inject=fdatasync:error=EIO:when=1', process.execPath, '-e', '0'];
  const tried = spawnSync('strace', probe, { encoding: 'utf8', timeout: 20_000 });
  if (tried.error !== undefined) return `strace cannot be run: ${tried.error.message}`;
  return tried.status === 0 ? undefined : `strace is not permitted here: ${tried.stderr.slice(0, 200)}`;
}
