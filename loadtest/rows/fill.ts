/** Fills servers, so that every read finds its key under the name that its generator uses. */
import { openRedis } from '../load/line-connection.ts';
import { accountPath, valueOf } from '../load/workloads.ts';
import { call } from '../servers/requests.ts';
import type { Keys, Target } from '../load/types.ts';

export async function fillOurs(target: Target, { accounts, keys }: Keys, bytes: number): Promise<void> {
  const KVSet = Array.from({ length: keys }, (_, index) => ({ Key: `key-${index}`, Value: valueOf(bytes) }));
  for (let account = 0; account < accounts; account++) await call(target, accountPath(account), { KVSet });
}

/** etcd's limit for one transaction. */
const etcdOperationsMax = 128;

export async function fillEtcd(target: Target, { accounts, keys }: Keys, bytes: number): Promise<void> {
  const value = base64('v'.repeat(bytes));
  const names = Array.from({ length: accounts * keys }, (_, index) => base64(`key-${index}`));
  for (let from = 0; from < names.length; from += etcdOperationsMax) {
    const success = names.slice(from, from + etcdOperationsMax).map((key) => ({ requestPut: { key, value } }));
    await call(target, '/v3/kv/txn', { success });
  }
}

const redisKeysAtOnce = 1000;

/** redis-benchmark reads keys of twelve digits. */
export async function fillRedis(target: Target, total: number, bytes: number): Promise<void> {
  const value = 'v'.repeat(bytes);
  await new Promise<void>((resolve, reject) => {
    void openRedis(target, reject).then((connection) => {
      const fill = (from: number): void => {
        if (from >= total) {
          connection.close();
          resolve();
          return;
        }
        const count = Math.min(redisKeysAtOnce, total - from);
        const words = Array.from({ length: count }, (_, index) => [
          `key:${String(from + index).padStart(12, '0')}`,
          value,
        ]);
        connection.send({ command: ['MSET', ...words.flat()] }, ({ status, body }) => {
          if (status === 200) fill(from + count);
          else reject(new Error(`Redis refused MSET: ${body}`));
        });
      };
      fill(0);
    });
  });
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
