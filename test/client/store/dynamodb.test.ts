import { after, before } from 'node:test';
import { DynamoDbStore } from '../../../src/client/store/dynamodb-store.ts';
import { seededRandom } from '../../support/seeded-random.ts';
import { storeContract } from './contract.ts';
import { startDynamoDb, tableName, timeless, type DynamoDbUnderTest } from './dynamodb-under-test.ts';
import { VirtualTime } from './virtual-time.ts';

let dynamoDb: DynamoDbUnderTest;
let partitions = 0;
before(async () => void (dynamoDb = await startDynamoDb()));
after(() => dynamoDb.close());

storeContract('DynamoDB', async () => {
  const time = new VirtualTime();
  const random = seededRandom(1);
  const client = timeless(dynamoDb.client, time);
  partitions += 1;
  const partition = `contract ${partitions}`;
  let nonces = 0;
  return {
    open: () =>
      new DynamoDbStore({
        client,
        tableName,
        partition,
        environment: { clock: time.clock(), nonce: () => `nonce ${(nonces += 1)}`, random: () => random.next() },
      }),
    sleep: (ms) => time.sleep(ms),
    after: (ms, run) => void time.after(ms, run),
    until: (promise) => time.until(promise),
    close: async () => {},
  };
});
