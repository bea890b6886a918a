import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulateCluster } from './simulate-cluster.ts';

/** More of them: `node test/cluster/run.ts`; planted.ts wants sixty. */
const seeds = Number(process.env['DRAGONLOCK_CLUSTER_SEEDS'] ?? 2);

test('simulated clusters show nothing that they must not, and serve every cell again', async () => {
  let acknowledged = 0;
  for (let seed = 1; seed <= seeds; seed += 1) {
    for (const lossy of [false, true]) {
      const { violations, counts } = await simulateCluster(seed, { lossy });
      assert.equal(violations.length, 0, `seed ${seed}, lossy ${lossy}: ${violations[0]}`);
      acknowledged += counts['acknowledged'] ?? 0;
    }
  }
  assert.ok(acknowledged > seeds * 100, `only ${acknowledged} writes were acknowledged`);
});
