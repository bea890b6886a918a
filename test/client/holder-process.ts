/**
 * A process that holds a lock, for tests that stop it. It prints lines of JSON: first the fence of its lock; then, once
 * it receives input, the state of the lock's signal and the outcome of a guarded write.
 */
import { DragonLock } from '../../src/client/exports.ts';

const [url, account, ttl] = process.argv.slice(2);
const client = new DragonLock({ url: url!, account: account! });
const lock = await client.lock('job', { ttl: Number(ttl) });
const say = (line: object): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
say({ fence: lock.fence });

process.stdin.once('data', () => {
  const { aborted, reason } = lock.signal;
  void lock.batch({ set: [{ key: 'guarded', value: 'late' }] }).then(
    () => say({ aborted, reason: String(reason), write: 'done' }),
    (error: { code?: string }) => say({ aborted, reason: (reason as { code?: string }).code, write: error.code }),
  );
});
