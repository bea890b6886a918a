import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { WireRequest } from '../../../src/client/transport.ts';
import { DragonLockStore } from '../../../src/client/store/dragon-lock-store.ts';
import type { KVPair } from '../../../src/client/store/store.ts';
import { LockAcquireCancelled } from '../../../src/client/store/store-errors.ts';
import type { Environment } from '../../../src/client/store/environment.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import { storeContract } from './contract.ts';
import { startDragonLock, type DragonLockUnderTest } from './dragon-lock-under-test.ts';
import { VirtualTime } from './virtual-time.ts';

const time = new VirtualTime({ turns: 30 });
let server: DragonLockUnderTest;
let accounts = 0;
before(async () => void (server = await startDragonLock(time)));
after(() => server.close());

storeContract('Dragon Lock', async () => {
  const account = nextAccount();
  return {
    open: () => open(account),
    sleep: (ms) => time.sleep(ms),
    after: (ms, run) => void time.after(ms, run),
    until: (promise) => time.until(promise),
    close: async () => {},
  };
});

test('Dragon Lock: watch shows a key as it is, and again at each change', async () => {
  const store = open(nextAccount());
  const stop = new AbortController();
  const states = store.watch('flag', { signal: stop.signal })[Symbol.asyncIterator]();
  const next = async (): Promise<KVPair | undefined> => (await time.until(states.next())).value ?? undefined;
  assert.equal(await next(), undefined);
  await store.put('flag', { value: 'green', ttl: 5000 });
  const seen = await next();
  assert.deepEqual(seen, await store.get('flag'));
  await store.put('flag', { value: 'red', ttl: 2000 });
  assert.equal((await next())?.value, 'red');
  assert.equal(await next(), undefined, 'its time is over');
  const lock = store.newLock('flag', { value: 'held' });
  await time.until(lock.lock());
  assert.equal((await next())?.value, 'held');
  await lock.unlock();
  assert.equal(await next(), undefined);
  const last = states.next();
  stop.abort();
  assert.deepEqual(await time.until(last), { done: true, value: undefined });
});

test('Dragon Lock: watchTree shows all pairs under a prefix, and again at each change', async () => {
  const store = open(nextAccount());
  await store.put('tree/b', { value: 1, noExpiry: true });
  await store.put('other', { value: 1, noExpiry: true });
  const stop = new AbortController();
  const states = store.watchTree('tree/', { signal: stop.signal })[Symbol.asyncIterator]();
  const next = async (): Promise<string[]> => {
    const { value } = await time.until(states.next());
    return (value ?? []).map(({ key, value: of }) => `${key}=${JSON.stringify(of)}`);
  };
  assert.deepEqual(await next(), ['tree/b=1']);
  await store.put('other', { value: 2, noExpiry: true });
  await store.put('tree/a', { value: 2, ttl: 3000 });
  assert.deepEqual(await next(), ['tree/a=2', 'tree/b=1']);
  await store.put('tree/b', { value: 3, noExpiry: true });
  assert.deepEqual(await next(), ['tree/a=2', 'tree/b=3']);
  assert.deepEqual(await next(), ['tree/b=3'], 'the time of tree/a is over');
  await store.delete('tree/b');
  assert.deepEqual(await next(), []);
  const last = states.next();
  stop.abort();
  assert.deepEqual(await time.until(last), { done: true, value: undefined });
});

test('Dragon Lock: a lock whose grant got lost on its way is had all the same', async () => {
  for (const waits of [false, true]) {
    const account = nextAccount();
    const first = open(account).newLock('l', { ttl: 3000, noRenewal: true });
    if (waits) await time.until(first.lock());
    let lost = 0;
    const isGrant = ({ body }: WireRequest): boolean =>
      (body?.includes('LockOwner') ?? false) && lost < 2 && (lost += 1) > 0;
    const lock = open(account, isGrant).newLock('l', { ttl: 3000, value: 'shown' });
    await time.until(lock.lock());
    assert.equal(lost, 2);
    assert.equal((await open(account).get('l')).value, 'shown');
    await lock.unlock();
    assert.equal(await open(account).exists('l'), false);
    await open(account).newLock('l', { noPolling: true }).lock();
  }
});

test('Dragon Lock: a wait that is cancelled in the moment of the grant leaves no lock behind', async () => {
  const account = nextAccount();
  const giveUp = new AbortController();
  let granted = 0;
  const cancelAt = ({ body }: WireRequest): boolean => {
    if (body?.includes('LockOwner') === true && granted === 0) {
      granted += 1;
      giveUp.abort();
      return true;
    }
    return false;
  };
  const lock = open(account, cancelAt).newLock('l', { value: 1 });
  await assert.rejects(time.until(lock.lock({ signal: giveUp.signal })), LockAcquireCancelled);
  assert.equal(granted, 1);
  assert.equal(await open(account).exists('l'), false);
  await open(account).newLock('l', { noPolling: true }).lock();
});

test('Dragon Lock: a pair that another client wrote under the key of a lock survives the unlock', async () => {
  const store = open(nextAccount());
  const lock = store.newLock('l', { value: 'shown' });
  await time.until(lock.lock());
  await store.put('l', { value: 'theirs', noExpiry: true });
  await lock.unlock();
  assert.equal((await store.get('l')).value, 'theirs');
  await store.newLock('l', { noPolling: true }).lock();
});

function nextAccount(): string {
  accounts += 1;
  return `contract-${accounts}`;
}

/** Opens the store of another machine. */
function open(account: string, loses?: (request: WireRequest) => boolean): DragonLockStore {
  return new DragonLockStore({ client: server.client(account, loses), environment: newEnvironment() });
}

const random = seededRandom(1);
let nonces = 0;

function newEnvironment(): Environment {
  return { clock: time.clock(), nonce: () => `nonce ${(nonces += 1)}`, random: () => random.next() };
}
