/**
 * Whatever one token sends, another account is served: no write of its fails, no lease of its is lost, none of its
 * writes waits for seconds. Here the machine may be busy, so the bound is loose; `node test/hostile/run.ts` measures.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServerUnderTest } from '../support/server-under-test.ts';
import { loads } from './loads.ts';
import { hostileConfig, liveBeside } from './run.ts';

const isFull = process.env['DRAGONLOCK_LOAD_SCALE'] === 'full';
/** Each of a kind of its own. Torture runs all. */
const chosen = ['lists over', 'JSON of 7 MiB', 'writes pipelined', 'conditions fail', 'keys that expire'];
const p99MsMax = 2000;
/** A machine on which the account waits for long although it is alone is no measure: then this often as long. */
const timesAlone = 20;

test('beside hostile loads an account loses no lease, and none of its writes fails or waits for long', async (t) => {
  const server = await ServerUnderTest.forTest(t, { config: hostileConfig });
  let lived = 0;
  for (const { name } of loads.filter((load) => isFull || chosen.some((part) => load.name.includes(part)))) {
    const { writes, failed, leasesLost, p99, attacker } = await liveBeside(server, name, isFull ? 3 : 1);
    const seen = JSON.stringify({ name, writes, failed, leasesLost, p99, attacker });
    assert.deepEqual([failed, leasesLost], [0, 0], seen);
    assert.ok(writes > 0, seen);
    if (p99 > p99MsMax) {
      const alone = await liveBeside(server, undefined, 3);
      assert.ok(p99 <= timesAlone * alone.p99, `${seen} beside ${JSON.stringify(alone)}`);
    }
    lived += 1;
  }
  assert.ok(lived >= chosen.length);
  t.diagnostic(JSON.stringify({ loads: lived }));
});
