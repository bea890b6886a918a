/**
 * The contract of every backend of the store, as tests: first the cases of the tests of dynalock and valkeyrie, then
 * cases that those lack. `dynamodb.test.ts` and `dragon-lock.test.ts` run it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LeaseUnknownError, LockLostError } from '../../../src/client/errors.ts';
import type { KVPair, Locker, LockOptions, Store } from '../../../src/client/store/store.ts';
import {
  KeyExists,
  KeyModified,
  KeyNotFound,
  LockAcquireCancelled,
  LockAcquireFailed,
} from '../../../src/client/store/store-errors.ts';

export interface BackendUnderTest {
  /** Opens the store of another machine on the same data. */
  open(): Store;
  /** Lets `ms` pass for all machines. */
  sleep(ms: number): Promise<void>;
  after(ms: number, run: () => void): void;
  /** Lets time pass until the promise settles. */
  until<Result>(promise: Promise<Result>): Promise<Result>;
  close(): Promise<void>;
}

export function storeContract(name: string, start: () => Promise<BackendUnderTest>): void {
  const claim = (what: string, run: (backend: BackendUnderTest) => Promise<void>): void => {
    test(`${name}: ${what}`, async () => {
      const backend = await start();
      try {
        await run(backend);
      } finally {
        await backend.close();
      }
    });
  };

  claim('a pair that was put exists, can be read, and goes when it is deleted, nested keys too', async (backend) => {
    const store = backend.open();
    await assert.rejects(store.get('nowhere'), KeyNotFound);
    for (const key of ['app', 'app/', 'app/part/', 'app/part/piece']) {
      await store.put(key, { value: { of: key }, ttl: 2000 });
      const pair = await store.get(key);
      assert.deepEqual([pair.key, pair.value], [key, { of: key }]);
      assert.ok(pair.version > 0);
      assert.ok(pair.expires !== undefined);
      assert.equal(await store.exists(key), true);
      await store.delete(key);
      await assert.rejects(store.get(key), KeyNotFound);
      assert.equal(await store.exists(key), false);
      await store.delete(key);
    }
  });

  claim('a pair lives for 20 s, for its ttl, or for ever', async (backend) => {
    const store = backend.open();
    await store.put('default');
    await store.put('short', { value: 1, ttl: 2000 });
    await store.put('stays', { value: 1, noExpiry: true });
    assert.equal((await store.get('stays')).expires, undefined);
    assert.equal((await store.get('default')).value, null);
    const there = async (): Promise<string[]> => (await store.list('')).map(({ key }) => key);
    await backend.sleep(1900);
    assert.deepEqual(await there(), ['default', 'short', 'stays']);
    await backend.sleep(200);
    assert.deepEqual(await there(), ['default', 'stays']);
    await assert.rejects(store.get('short'), KeyNotFound);
    assert.equal(await store.exists('short'), false);
    await backend.sleep(18_000);
    assert.deepEqual(await there(), ['stays']);
    await store.put('stays', { value: 2, ttl: 1000 });
    await backend.sleep(1100);
    await assert.rejects(there, KeyNotFound);
    await assert.rejects(store.put('both', { ttl: 1000, noExpiry: true }), RangeError);
    await assert.rejects(store.put('never', { ttl: 0 }), RangeError);
  });

  claim('a list has every pair under its prefix, in order, and KeyNotFound for none', async (backend) => {
    const store = backend.open();
    for (const key of [
      'tree/folder/key3',
      'tree/child',
      'tree/folder/key1',
      'tree/folder',
      'tree/folder/key2',
      'treé',
    ]) {
      await store.put(key, { value: key });
    }
    const under = async (prefix: string): Promise<string[]> =>
      (await store.list(prefix, { consistent: false })).map(({ key }) => key);
    assert.deepEqual(await under('tree/folder/key'), ['tree/folder/key1', 'tree/folder/key2', 'tree/folder/key3']);
    assert.equal((await under('tree/folder')).length, 4);
    assert.deepEqual((await under('tree/')).at(0), 'tree/child');
    assert.equal((await under('tree')).length, 5);
    assert.equal((await under('')).length, 6);
    await store.delete('treé');
    await assert.rejects(store.list('treé'), KeyNotFound);
    await assert.rejects(store.list('bush/'), KeyNotFound);
  });

  claim('a list is longer than a page', async (backend) => {
    const store = backend.open();
    const filling = 'x'.repeat(90_000);
    const keys = Array.from({ length: 30 }, (_, index) => `page/${String(index).padStart(3, '0')}`);
    await Promise.all(keys.map((key) => store.put(key, { value: filling })));
    assert.deepEqual(
      (await store.list('page/')).map(({ key }) => key),
      keys,
    );
  });

  claim('atomicPut creates a missing key, and replaces exactly the pair that was read', async (backend) => {
    const store = backend.open();
    await store.put('counted', { value: 'world' });
    const pair = await store.get('counted');
    await assert.rejects(store.atomicPut('counted', { value: 'WORLD' }), KeyExists);
    const next = await store.atomicPut('counted', { value: 'WORLD', previous: pair });
    assert.deepEqual(withoutDeadline(next), withoutDeadline(await store.get('counted')));
    assert.ok(next.version > pair.version);
    await assert.rejects(store.atomicPut('counted', { value: 'late', previous: pair }), KeyModified);
    await assert.rejects(store.atomicPut('counted', { value: 1, previous: { ...next, version: 6744 } }), KeyModified);
    assert.equal((await store.get('counted')).value, 'WORLD');

    const created = await store.atomicPut('new/key/', { value: [] });
    assert.deepEqual(withoutDeadline(created), withoutDeadline(await store.get('new/key/')));
    await assert.rejects(store.atomicPut('new/key/', { value: 1 }), KeyExists);
    await store.atomicPut('new/key/', { value: 2, previous: created });
    await assert.rejects(store.atomicPut('nowhere', { value: 1, previous: created }), KeyModified);
  });

  claim('atomicDelete deletes exactly the pair that was read', async (backend) => {
    const store = backend.open();
    await store.put('doomed', { value: 'world' });
    const pair = await store.get('doomed');
    await assert.rejects(store.atomicDelete('doomed', { ...pair, version: 6744 }), KeyModified);
    const next = await store.atomicPut('doomed', { value: 2, previous: pair });
    await assert.rejects(store.atomicDelete('doomed', pair), KeyModified);
    await store.atomicDelete('doomed', next);
    assert.equal(await store.exists('doomed'), false);
    await assert.rejects(store.atomicDelete('doomed', next), KeyNotFound);
    await assert.rejects(store.atomicDelete('nowhere', next), KeyNotFound);
  });

  claim('a pair from before a deletion or an expiry is no previous of the pair after it', async (backend) => {
    const store = backend.open();
    for (const end of ['deleted', 'expired', 'deleted twice']) {
      const before = await store.atomicPut('again', { value: 1, ttl: 1000 });
      if (end === 'expired') await backend.sleep(1001);
      else await store.delete('again');
      await assert.rejects(store.atomicPut('again', { value: 2, previous: before }), KeyModified, end);
      await assert.rejects(store.atomicDelete('again', before), KeyNotFound, end);
      const after = await store.atomicPut('again', { value: 1, ttl: 1000 });
      assert.notEqual(after.tag, before.tag);
      await assert.rejects(store.atomicPut('again', { value: 2, previous: before }), KeyModified, end);
      await assert.rejects(store.atomicDelete('again', before), KeyModified, end);
      await store.atomicDelete('again', after);
    }
  });

  claim('atomicPut keeps the deadline of the pair it replaces, unless told otherwise', async (backend) => {
    const store = backend.open();
    const first = await store.atomicPut('timed', { value: 1, ttl: 5000 });
    await backend.sleep(1000);
    const second = await store.atomicPut('timed', { value: 2, previous: first });
    assert.ok(Math.abs((second.expires ?? 0) - (first.expires ?? 0)) <= 1000, 'the deadline stays');
    const third = await store.atomicPut('timed', { value: 3, previous: second, ttl: 50_000 });
    assert.ok((third.expires ?? 0) > (first.expires ?? 0) + 40_000);
    const fourth = await store.atomicPut('timed', { value: 4, previous: third, noExpiry: true });
    assert.equal(fourth.expires, undefined);
    assert.equal((await store.atomicPut('timed', { value: 5, previous: fourth })).expires, undefined);
  });

  claim('of many clients that create or replace at once, one wins', async (backend) => {
    const stores = Array.from({ length: 8 }, () => backend.open());
    const won = async (previous?: KVPair): Promise<KVPair[]> => {
      const tries = stores.map((store, value) => store.atomicPut('contended', { value, previous }));
      const outcomes = await Promise.allSettled(tries);
      const refused = previous === undefined ? KeyExists : KeyModified;
      for (const outcome of outcomes) if (outcome.status === 'rejected') assert.ok(outcome.reason instanceof refused);
      return outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    };
    const [first, ...others] = await won();
    assert.equal(others.length, 0);
    assert.equal((await won(first)).length, 1);
  });

  claim('a lock shows its value while it is held, and can be locked again', async (backend) => {
    const store = backend.open();
    const lock = store.newLock('jobs/1', { value: 'bar', ttl: 2000 });
    let last = 0;
    for (let round = 0; round < 3; round += 1) {
      const { fence } = await backend.until(lock.lock());
      assert.ok(fence > last);
      last = fence;
      assert.equal((await store.get('jobs/1')).value, 'bar');
      await backend.sleep(5000);
      assert.equal((await store.get('jobs/1')).value, 'bar', 'renewals keep it there');
      await lock.unlock();
      await assert.rejects(store.get('jobs/1'), KeyNotFound);
    }
  });

  claim('a lock without a value leaves the key of its name alone', async (backend) => {
    const store = backend.open();
    const lock = store.newLock('data', { ttl: 2000 });
    await store.put('data', { value: 1, noExpiry: true });
    await backend.until(lock.lock());
    await store.put('data', { value: 2, noExpiry: true });
    assert.deepEqual(
      (await store.list('')).map(({ key, value }) => [key, value]),
      [['data', 2]],
    );
    await lock.unlock();
    assert.equal((await store.get('data')).value, 2);
  });

  claim('a lock is kept by renewal, and taken over when renewal has stopped', async (backend) => {
    const { holder, stop, lease } = await held(backend, { value: 'bar', ttl: 2000 });
    await backend.sleep(3000);
    const other = backend.open();
    const lock = other.newLock('jobs/1', { value: 'foobar', ttl: 3000 });
    const giveUp = new AbortController();
    const attempt = assert.rejects(lock.lock({ signal: giveUp.signal }), LockAcquireCancelled);
    await backend.sleep(4000);
    assert.equal((await other.get('jobs/1')).value, 'bar');
    giveUp.abort();
    await attempt;

    stop.abort();
    assert.equal(lease.lost.aborted, false);
    const taken = await backend.until(lock.lock());
    assert.equal(lease.lost.aborted, true, 'the first holder knew before');
    assert.ok(lease.lost.reason instanceof LeaseUnknownError || lease.lost.reason instanceof LockLostError);
    assert.ok(taken.fence > lease.fence);
    assert.equal((await other.get('jobs/1')).value, 'foobar');
    await assert.rejects(holder.unlock(), LockLostError);
    assert.equal((await other.get('jobs/1')).value, 'foobar', 'a late unlock of the first holder changes nothing');
    await lock.unlock();
    assert.equal(await other.exists('jobs/1'), false);
  });

  claim('a store that is closed releases what its lockers hold, and ends what they wait for', async (backend) => {
    const store = backend.open();
    const held = store.newLock('jobs/1', { ttl: 3_600_000, value: 'me' });
    const { lost } = await backend.until(held.lock());
    const busy = backend.open().newLock('jobs/2', { ttl: 3_600_000 });
    await backend.until(busy.lock());
    const waiting = assert.rejects(backend.until(store.newLock('jobs/2').lock()), LockAcquireCancelled);
    await backend.sleep(2000);
    await backend.until(store.close());
    await waiting;
    assert.equal(lost.aborted, false);
    await assert.rejects(store.newLock('jobs/3').lock(), { code: 'closed' });
    const next = backend.open();
    assert.equal(await next.exists('jobs/1'), false);
    await backend.until(next.newLock('jobs/1', { noPolling: true }).lock());
    await busy.unlock();
    await backend.until(next.newLock('jobs/2', { noPolling: true }).lock());
  });

  claim('a wait ends when its signal does, and then the lock is not held', async (backend) => {
    const { holder } = await held(backend, { ttl: 2000 });
    const lock = backend.open().newLock('jobs/1', { ttl: 3000 });
    const signal = signalAfter(backend, 1000);
    await assert.rejects(backend.until(lock.lock({ signal })), LockAcquireCancelled);
    await assert.rejects(lock.lock({ signal }), LockAcquireCancelled);
    await holder.unlock();
    await backend.sleep(10_000);
    const third = backend.open().newLock('jobs/1', { noPolling: true });
    await third.lock();
    await third.unlock();
  });

  claim('a signal that aborts when the lock is held changes nothing, and unlock does not wait', async (backend) => {
    const lock = backend.open().newLock('jobs/1', { value: 'bar', ttl: 3000, noRenewal: true });
    const giveUp = new AbortController();
    const { lost } = await backend.until(lock.lock({ signal: giveUp.signal }));
    giveUp.abort();
    assert.equal(lost.aborted, false);
    await lock.unlock();
    assert.equal(lost.aborted, false);
  });

  claim('without renewal a lock is held for its ttl; without polling another fails at once', async (backend) => {
    const first = backend.open().newLock('jobs/1', { value: 'bar', ttl: 20_000, noRenewal: true, noPolling: true });
    const lease = await first.lock();
    const second = backend.open().newLock('jobs/1', { value: 'foobar', ttl: 3000, noPolling: true });
    await assert.rejects(second.lock(), LockAcquireFailed);
    await assert.rejects(second.lock({ signal: new AbortController().signal }), LockAcquireFailed);
    await backend.sleep(19_000);
    assert.equal(lease.lost.aborted, false);
    await assert.rejects(second.lock(), LockAcquireFailed);
    await backend.sleep(1100);
    assert.equal(lease.lost.aborted, true);
    const taken = await second.lock();
    assert.ok(taken.fence > lease.fence);
    await second.unlock();
  });

  claim('fences grow, over unlocks, new lockers and other machines', async (backend) => {
    let last = 0;
    for (let round = 0; round < 6; round += 1) {
      const lock = backend.open().newLock('fenced', { ttl: 1000, noRenewal: true, value: round });
      const { fence } = await backend.until(lock.lock());
      assert.ok(fence > last, `${fence} > ${last}`);
      last = fence;
      if (round % 3 === 0) continue;
      await lock.unlock();
      await backend.open().delete('fenced');
      await backend.sleep(60_000);
    }
  });

  claim('many clients that lock at once hold the lock one after the other, and all of them get it', async (backend) => {
    const fences: number[] = [];
    let inside = 0;
    const work = async (): Promise<void> => {
      const lock = backend.open().newLock('narrow', { ttl: 5000 });
      const { fence, lost } = await lock.lock();
      inside += 1;
      assert.equal(inside, 1);
      fences.push(fence);
      await new Promise<void>((resolve) => backend.after(300, resolve));
      assert.equal(lost.aborted, false);
      inside -= 1;
      await lock.unlock();
    };
    await backend.until(Promise.all(Array.from({ length: 5 }, work)));
    assert.deepEqual(
      fences,
      fences.toSorted((a, b) => a - b),
    );
    assert.equal(new Set(fences).size, 5);
  });

  claim('a locker rejects calls that its state does not allow', async (backend) => {
    const store = backend.open();
    const lock = store.newLock('jobs/1', { ttl: 2000 });
    await assert.rejects(lock.unlock(), LockLostError);
    await backend.until(lock.lock());
    await assert.rejects(lock.lock(), LockAcquireFailed);
    await lock.unlock();
    await assert.rejects(lock.unlock(), LockLostError);
    assert.throws(() => store.newLock('jobs/1', { ttl: -1 }), RangeError);
  });

  claim('values are anything that JSON can express', async (backend) => {
    const store = backend.open();
    for (const value of [null, false, 0, -1.5e-300, '', 'ü\u0000\ud83d\udc09', [], [[null]], {}, { a: { '': [1] } }]) {
      const pair = await store.atomicPut('json', { value, noExpiry: true });
      assert.deepEqual(pair.value, value);
      assert.deepEqual((await store.get('json')).value, value);
      await store.atomicDelete('json', pair);
    }
  });
}

async function held(backend: BackendUnderTest, options: LockOptions): Promise<HeldLock> {
  const stop = new AbortController();
  const holder = backend.open().newLock('jobs/1', { ...options, renewalStop: stop.signal });
  return { holder, stop, lease: await backend.until(holder.lock()) };
}

interface HeldLock {
  readonly holder: Locker;
  readonly stop: AbortController;
  readonly lease: Awaited<ReturnType<Locker['lock']>>;
}

function signalAfter(backend: BackendUnderTest, ms: number): AbortSignal {
  const controller = new AbortController();
  backend.after(ms, () => controller.abort());
  return controller.signal;
}

function withoutDeadline({ key, value, version, tag }: KVPair): object {
  return { key, value, version, tag };
}
