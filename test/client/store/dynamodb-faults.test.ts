/**
 * Faults between a store and DynamoDB: lost replies, lost requests, requests that arrive after their sender gave up,
 * machines whose clocks are wrong. The contract itself is in `contract.ts`.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { LeaseUnknownError, LockLostError, OutcomeUnknownError } from '../../../src/client/errors.ts';
import { DynamoDbStore } from '../../../src/client/store/dynamodb-store.ts';
import type { Item } from '../../../src/client/store/dynamodb-calls.ts';
import { dynamoDbTable, dynamoDbTimeToLive } from '../../../src/client/store/dynamodb-table.ts';
import {
  KeyExists,
  KeyNotFound,
  LockAcquireCancelled,
  LockAcquireFailed,
} from '../../../src/client/store/store-errors.ts';
import { seededRandom, type SeededRandom } from '../../support/seeded-random.ts';
import { startDynamoDb, tableName, timeless, type DynamoDbUnderTest } from './dynamodb-under-test.ts';
import { FaultyDynamoDb, type Fault } from './faulty-dynamodb.ts';
import { VirtualTime, type Machine } from './virtual-time.ts';

let dynamoDb: DynamoDbUnderTest;
let partitions = 0;
before(async () => void (dynamoDb = await startDynamoDb()));
after(() => dynamoDb.close());

interface World {
  readonly time: VirtualTime;
  readonly partition: string;
  readonly machine: (of?: Machine) => { readonly store: DynamoDbStore; readonly net: FaultyDynamoDb };
  /** Reads an item as it is in the table. */
  readonly raw: (id: string, name: string) => Promise<Item | undefined>;
}

function newWorld(random: SeededRandom = seededRandom(1)): World {
  const time = new VirtualTime();
  partitions += 1;
  const partition = `faults ${partitions}`;
  let nonces = 0;
  return {
    time,
    partition,
    machine(of) {
      const net = new FaultyDynamoDb(timeless(dynamoDb.client, time));
      const environment = {
        clock: time.clock(of),
        nonce: () => `nonce ${(nonces += 1)}`,
        random: () => random.next(),
      };
      return { net, store: new DynamoDbStore({ client: net, tableName, partition, environment }) };
    },
    async raw(id, name) {
      const { Item } = await dynamoDb.client.getItem({
        TableName: tableName,
        Key: { id: { S: id }, name: { S: name } },
      });
      return Item;
    },
  };
}

for (const fault of ['reply lost', 'sent twice'] satisfies Fault[]) {
  test(`${fault}: the writer learns that its write happened, once`, async () => {
    const { time, machine } = newWorld();
    const { store, net } = machine();
    const failing = async <Result>(run: () => Promise<Result>): Promise<Result> => {
      net.faults.push(fault);
      return await run();
    };
    const created = await failing(() => store.atomicPut('a', { value: 1, noExpiry: true }));
    assert.equal(created.version, 1);
    const replaced = await failing(() => store.atomicPut('a', { value: 2, previous: created }));
    assert.equal(replaced.version, 2);
    await failing(() => store.atomicDelete('a', replaced));
    const again = await failing(() => store.atomicPut('a', { value: 3, ttl: 1000 }));
    assert.deepEqual(again, await store.get('a'));
    await failing(() => store.put('a', { value: 4 }));
    assert.equal((await store.get('a')).value, 4);
    await failing(() => store.delete('a'));
    assert.equal(await store.exists('a'), false);

    const lock = store.newLock('l', { ttl: 3000 });
    const { fence, lost } = await failing(() => time.until(lock.lock()));
    assert.equal(fence, 1);
    net.faults.push(fault, fault, fault);
    await time.sleep(3500);
    assert.equal(net.faults.length, 0, 'renewals have met them');
    assert.equal(lost.aborted, false);
    await failing(() => lock.unlock());
    assert.equal((await store.newLock('l', { noPolling: true }).lock()).fence, 2);
    assert.equal(net.count, 11);
  });
}

test('request lost: safe writes are sent again; a put, which could undo a later one, is unknown', async () => {
  const { time, machine } = newWorld();
  const { store, net } = machine();
  net.faults.push('request lost', 'request lost');
  const created = await store.atomicPut('a', { value: 1 });
  net.faults.push('request lost');
  await store.atomicDelete('a', created);
  net.faults.push('request lost');
  await assert.rejects(store.put('a', { value: 2 }), OutcomeUnknownError);
  await assert.rejects(store.get('a'), KeyNotFound);
  const lock = store.newLock('l');
  net.faults.push('request lost');
  await time.until(lock.lock());
  net.faults.push('request lost', 'request lost', 'request lost');
  await assert.rejects(lock.unlock(), OutcomeUnknownError);
  await lock.unlock();
  assert.equal(net.count, 8);
});

test('a write with a lost reply that another client has changed since is not called refused', async () => {
  for (const fault of ['reply lost', 'sent twice'] satisfies Fault[]) {
    const { machine } = newWorld();
    const { store, net } = machine();
    const { store: other } = machine();
    const overwrite = (): void => {
      net.faults.push(fault);
      net.meanwhile = () => other.put('a', { value: 'theirs' });
    };
    overwrite();
    await assert.rejects(store.atomicPut('a', { value: 'mine' }), OutcomeUnknownError);
    const theirs = await store.get('a');
    overwrite();
    await assert.rejects(store.atomicPut('a', { value: 'mine', previous: theirs }), OutcomeUnknownError);
    const last = await store.get('a');
    overwrite();
    await assert.rejects(store.atomicDelete('a', last), OutcomeUnknownError);
    await assert.rejects(store.atomicPut('a', { value: 'mine' }), KeyExists);
    assert.equal(net.count, 3);
  }
});

test('a write that arrives after its sender has gone on changes nothing', async () => {
  const { machine } = newWorld();
  const { store, net } = machine();
  net.faults.push('delayed');
  const created = await store.atomicPut('a', { value: 1, noExpiry: true });
  net.faults.push('delayed');
  const replaced = await store.atomicPut('a', { value: 2, previous: created });
  await store.atomicDelete('a', replaced);
  await net.deliver();
  await assert.rejects(store.get('a'), KeyNotFound);
  const again = await store.atomicPut('a', { value: 1, noExpiry: true });
  net.faults.push('delayed');
  await store.atomicDelete('a', again);
  await store.put('a', { value: 3 });
  await net.deliver();
  assert.equal((await store.get('a')).value, 3);
  assert.equal(net.count, 3);
});

test('no client comes to hold a lock by a request that it has given up on', async () => {
  const { time, machine } = newWorld();
  const { store, net } = machine();
  const free = async (): Promise<number> => {
    const lock = store.newLock('l', { noPolling: true });
    const { fence } = await lock.lock();
    await lock.unlock();
    return fence;
  };
  const lock = store.newLock('l', { ttl: 2000, value: 'shown' });
  net.faults.push('delayed');
  await time.until(lock.lock());
  await lock.unlock();
  await net.deliver();
  assert.equal(await free(), 2);

  await time.until(lock.lock());
  // The first fault hits the renewal, the second the write of its pair.
  net.faults.push('delayed', 'delayed');
  await time.sleep(1500);
  await lock.unlock();
  await net.deliver();
  assert.equal(await store.exists('l'), false);
  assert.equal(await free(), 4);

  await time.until(lock.lock());
  net.faults.push(undefined, 'delayed');
  await lock.unlock();
  const other = machine().store.newLock('l', { noPolling: true });
  await other.lock();
  await net.deliver();
  await assert.rejects(free(), LockAcquireFailed);
  await other.unlock();
  assert.equal(net.count, 4);
});

test('a holder without replies knows that it has lost the lock before another can have it', async () => {
  for (const wallSkewMs of [-86_400_000, 0, 86_400_000]) {
    const { time, machine } = newWorld();
    const holder = machine();
    const lease = await time.until(holder.store.newLock('l', { ttl: 6000, value: 'first' }).lock());
    let lostAtMs = 0;
    lease.lost.addEventListener('abort', () => (lostAtMs = time.nowMs));
    const waiter = machine({ wallSkewMs });
    const lock = waiter.store.newLock('l', { ttl: 6000, value: 'second' });
    const waiting = lock.lock();
    await time.sleep(20_000);
    assert.equal(lease.lost.aborted, false, 'as long as it renews, nobody takes it');
    const silentMs = time.nowMs;
    holder.net.isDown = true;
    const { fence } = await time.until(waiting);
    assert.ok(lostAtMs > silentMs && lostAtMs < time.nowMs, `lost at ${lostAtMs}, taken at ${time.nowMs}`);
    assert.ok(lease.lost.reason instanceof LeaseUnknownError);
    assert.equal(fence, lease.fence + 1);
    assert.ok(time.nowMs - silentMs <= 6000 + 1500, 'taken as soon as the lease was over');
    assert.ok(holder.net.count > 5, 'it has tried');
    holder.net.isDown = false;
    await time.sleep(15_000);
    await assert.rejects(machine().store.newLock('l', { noPolling: true }).lock(), LockAcquireFailed);
    await lock.unlock();
  }
});

test('a lock that was taken over is lost, and its first holder leaves the shown pair alone', async () => {
  const { time, machine } = newWorld();
  const holder = machine();
  const stopped = new AbortController();
  const first = holder.store.newLock('l', { ttl: 2000, value: 'first', renewalStop: stopped.signal });
  const lease = await time.until(first.lock());
  stopped.abort();
  const second = machine().store.newLock('l', { ttl: 60_000, value: 'second' });
  await time.until(second.lock());
  assert.equal(lease.lost.aborted, true);
  await assert.rejects(first.unlock(), LockLostError);
  assert.equal((await holder.store.get('l')).value, 'second');
});

test('a lock whose value cannot be shown is released', async () => {
  const { time, machine } = newWorld();
  const { store, net } = machine();
  net.faults.push(undefined, 'request lost');
  await assert.rejects(time.until(store.newLock('l', { value: 1 }).lock()), OutcomeUnknownError);
  assert.equal(net.count, 1);
  assert.equal((await machine().store.newLock('l', { noPolling: true }).lock()).fence, 2);
});

test('a wait that is cancelled while its request is in flight leaves no lock behind', async () => {
  const { time, machine } = newWorld();
  const { store, net } = machine();
  const giveUp = new AbortController();
  net.meanwhile = async () => giveUp.abort();
  net.faults.push('reply lost');
  const lock = store.newLock('l', { value: 1 });
  await assert.rejects(time.until(lock.lock({ signal: giveUp.signal })), LockAcquireCancelled);
  assert.equal(net.count, 1);
  assert.equal(
    (await machine().store.newLock('l', { noPolling: true }).lock()).fence,
    2,
    'it was granted and released',
  );
});

test('the item of a lock never expires, so that its fence never begins again; expired pairs do', async () => {
  const { time, partition, machine, raw } = newWorld();
  const { store } = machine();
  const lock = store.newLock('l', { value: 1 });
  await time.until(lock.lock());
  await lock.unlock();
  assert.deepEqual(await raw(`${partition}#locks`, 'l'), {
    id: { S: `${partition}#locks` },
    name: { S: 'l' },
    fence: { N: '1' },
  });
  const inAnHour = (time.epochMs + time.nowMs) / 1000 + 3600;
  const shown = await raw(partition, 'l');
  assert.equal(Number(shown?.['expires']?.N), Math.ceil(inAnHour));
  await store.put('k', { ttl: 5000 });
  assert.equal(Number((await raw(partition, 'k'))?.['expires']?.N), Math.ceil(inAnHour + 5));
  await store.put('k', { noExpiry: true });
  assert.equal((await raw(partition, 'k'))?.['expires'], undefined);
  const { AttributeName } = dynamoDbTimeToLive(tableName).TimeToLiveSpecification ?? {};
  assert.equal(AttributeName, 'expires');
  assert.equal(dynamoDbTable('t').TableName, 't');
});

test('waiters poll at different moments', async () => {
  const { time, machine } = newWorld();
  await time.until(machine().store.newLock('l', { ttl: 300_000 }).lock());
  const looks: number[] = [];
  const giveUp = new AbortController();
  const waits = Array.from({ length: 4 }, () => {
    const { store, net } = machine();
    net.onRead = () => looks.push(time.nowMs);
    return store.newLock('l').lock({ signal: giveUp.signal });
  });
  const cancelled = Promise.all(waits.map((wait) => assert.rejects(wait, LockAcquireCancelled)));
  await time.sleep(60_000);
  giveUp.abort();
  await time.until(cancelled);
  assert.ok(looks.length > 180 && looks.length < 300, `${looks.length} looks of 4 in a minute`);
  const moments = new Set(looks.map(Math.floor)).size;
  assert.ok(moments > looks.length * 0.8, `${looks.length} looks at ${moments} moments`);
});

test('a bad partition, table or key is rejected with the error of the SDK', async () => {
  const { machine } = newWorld();
  const { store, net } = machine();
  assert.throws(() => new DynamoDbStore({ client: net, tableName, partition: 'a#locks' }), RangeError);
  await assert.rejects(store.put(''), { name: 'ValidationException' });
  const elsewhere = new DynamoDbStore({ client: dynamoDb.client, tableName: 'not-there', partition: 'p' });
  await assert.rejects(elsewhere.atomicPut('a'), { name: 'ResourceNotFoundException' });
});
