import { after, before } from 'node:test';
import { DragonLockStore } from '../../src/store/dragon-lock-store.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { storeContract } from './contract.ts';
import { startDragonLock, type DragonLockUnderTest } from './dragon-lock-under-test.ts';
import { VirtualTime } from './virtual-time.ts';

const time = new VirtualTime({ turns: 30 });
let server: DragonLockUnderTest;
let accounts = 0;
before(async () => void (server = await startDragonLock(time)));
after(() => server.close());

storeContract('Dragon Lock', async () => {
  const random = seededRandom(1);
  accounts += 1;
  const account = `contract-${accounts}`;
  let nonces = 0;
  return {
    open: () =>
      new DragonLockStore({
        client: server.client(account),
        surroundings: { clock: time.clock(), nonce: () => `nonce ${(nonces += 1)}`, random: () => random.next() },
      }),
    sleep: (ms) => time.sleep(ms),
    after: (ms, run) => void time.after(ms, run),
    until: (promise) => time.until(promise),
    close: async () => {},
  };
});
