/**
 * Machines with wrong clocks and bad networks compete for one lock and one counter in DynamoDB, in virtual time. Under
 * all faults, no two machines believe that they hold the lock at once, fences only grow, and every confirmed write has
 * happened once.
 *
 *     DRAGONLOCK_STORE_SEED=17 node --test test/client/store/dynamodb-random.test.ts
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LockLostError, OutcomeUnknownError } from '../../../src/client/errors.ts';
import { DynamoDbStore } from '../../../src/client/store/dynamodb-store.ts';
import type { Lease, Locker, Store } from '../../../src/client/store/store.ts';
import { KeyExists, KeyModified } from '../../../src/client/store/store-errors.ts';
import { seededRandom, type SeededRandom } from '../../support/seeded-random.ts';
import { startDynamoDb, tableName, timeless, type DynamoDbUnderTest } from './dynamodb-under-test.ts';
import { FaultyDynamoDb, type Fault } from './faulty-dynamodb.ts';
import { VirtualTime } from './virtual-time.ts';

const given = process.env['DRAGONLOCK_STORE_SEED'];
const seeds = given === undefined ? [1, 2, 3] : [Number(given)];
const machines = 3;
const rounds = 6;
const ttl = 3000;
const faults: readonly Fault[] = ['reply lost', 'request lost', 'delayed', 'sent twice'];

let dynamoDb: DynamoDbUnderTest;
before(async () => void (dynamoDb = await startDynamoDb()));
after(() => dynamoDb.close());

interface Holding {
  readonly fence: number;
  readonly fromMs: number;
  untilMs: number;
}

for (const seed of seeds) {
  test(`seed ${seed}: one holder at a time, growing fences, and every confirmed write once`, async () => {
    const repeat = `DRAGONLOCK_STORE_SEED=${seed} node --test test/client/store/dynamodb-random.test.ts`;
    const time = new VirtualTime();
    const random = seededRandom(seed);
    const holdings: Holding[] = [];
    const tally = { confirmed: 0, unknown: 0 };
    const nets: FaultyDynamoDb[] = [];
    let nonces = 0;
    const run = Array.from({ length: machines }, async () => {
      const net = new FaultyDynamoDb(timeless(dynamoDb.client, time));
      nets.push(net);
      const clock = time.clock({ wallSkewMs: (random.next() - 0.5) * 1e9 });
      const environment = { clock, nonce: () => `nonce ${(nonces += 1)}`, random: () => random.next() };
      const store = new DynamoDbStore({ client: net, tableName, partition: `seed ${seed}`, environment });
      for (let round = 0; round < rounds; round += 1) {
        injectFaults(net, time, random);
        await holdLock(store, { time, random, holdings });
        await count(store, tally);
        await net.deliver();
      }
    });
    await time.until(Promise.all(run));

    for (const net of nets) await net.deliver();
    const injected = nets.reduce((sum, net) => sum + net.count, 0);
    assert.ok(injected > machines * rounds, `${injected} faults took effect; ${repeat}`);
    assert.ok(holdings.length > 1, `${holdings.length} holdings; ${repeat}`);
    for (const [index, later] of holdings.entries()) {
      const earlier = holdings[index - 1];
      if (earlier === undefined) continue;
      assert.ok(later.fence > earlier.fence, `fence ${later.fence} came after ${earlier.fence}; ${repeat}`);
      assert.ok(
        later.fromMs >= earlier.untilMs,
        `fences ${earlier.fence} and ${later.fence} were held at once; ${repeat}`,
      );
    }
    const store = new DynamoDbStore({ client: dynamoDb.client, tableName, partition: `seed ${seed}` });
    const total = Number((await store.get('counter')).value);
    const { confirmed, unknown } = tally;
    assert.ok(
      total >= confirmed && total <= confirmed + unknown,
      `${total}, not ${confirmed} to ${confirmed + unknown}; ${repeat}`,
    );
  });
}

/** Makes some of the next writes fail, and sometimes takes the network down for longer than a lease. */
function injectFaults(net: FaultyDynamoDb, time: VirtualTime, random: SeededRandom): void {
  for (let write = 0; write < 6; write += 1) {
    net.faults.push(random.next() < 0.4 ? faults[random.below(faults.length)] : undefined);
  }
  if (random.next() > 0.3) return;
  time.after(random.below(3000), () => {
    net.isDown = true;
    time.after(random.below(2 * ttl), () => (net.isDown = false));
  });
}

/** Locks, works and unlocks, and accepts every error that a network fault may cause. */
async function holdLock(
  store: Store,
  { time, random, holdings }: { time: VirtualTime; random: SeededRandom; holdings: Holding[] },
): Promise<void> {
  const lock = store.newLock('lock', { ttl, value: 'mine' });
  try {
    const { fence, lost } = await lockWithRetries(lock, time);
    const holding = { fence, fromMs: time.nowMs, untilMs: Number.POSITIVE_INFINITY };
    holdings.push(holding);
    const isOver = (): void => void (holding.untilMs = Math.min(holding.untilMs, time.nowMs));
    lost.addEventListener('abort', isOver);
    await new Promise<void>((resolve) => time.after(random.below(2 * ttl), resolve));
    isOver();
    await lock.unlock();
  } catch (error) {
    assertExpected(error);
  }
}

/** Tries again when the network is down. */
async function lockWithRetries(lock: Locker, time: VirtualTime): Promise<Lease> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await lock.lock();
    } catch (error) {
      assertExpected(error);
      if (tries === 20) throw error;
      await new Promise<void>((resolve) => time.after(500, resolve));
    }
  }
}

async function count(store: Store, tally: { confirmed: number; unknown: number }): Promise<void> {
  try {
    const previous = (await store.exists('counter')) ? await store.get('counter') : undefined;
    await store.atomicPut('counter', { value: Number(previous?.value ?? 0) + 1, previous, noExpiry: true });
    tally.confirmed += 1;
  } catch (error) {
    if (error instanceof OutcomeUnknownError) tally.unknown += 1;
    assertExpected(error);
  }
}

function assertExpected(error: unknown): void {
  const isTimeout = error instanceof Error && error.name === 'TimeoutError';
  const isTold = [OutcomeUnknownError, LockLostError, KeyExists, KeyModified].some((kind) => error instanceof kind);
  if (!isTimeout && !isTold) throw error;
}
