/** Makes two checkpoints through the checkpoint thread: 2000 entries; then half of them changed, the others deleted. */
import { MessageChannel, Worker } from 'node:worker_threads';
import { accountId, revision } from '../../../src/protocol/ids.ts';
import { kinds } from '../../../src/protocol/record.ts';
import { ThreadCheckpointWriter } from '../../../src/storage/checkpoint/checkpoint-link.ts';
import { ShardStore } from '../../../src/storage/shard-store.ts';
import { checkpointer, entry, openStore, zero } from '../store-support.ts';

const account = accountId('a');
const dataDirectory = process.argv[2] ?? '';
const level = openStore(dataDirectory).shard(zero);
const { port1, port2 } = new MessageChannel();
const thread = new Worker(new URL('../../../src/storage/checkpoint/checkpoint-thread.ts', import.meta.url), {
  workerData: { kind: 'checkpoint-thread', dataDirectory, ports: [port2] },
  transferList: [port2],
});
thread.on('error', (error) => {
  throw error;
});
const store = new ShardStore(level);
const checkpoints = checkpointer(store, level, { writer: new ThreadCheckpointWriter(port1) });
for (let i = 0; i < 2000; i += 1) store.put(kinds.kv, account, `k${i}`, entry(1, 10));
await checkpoints.start(revision(1));
for (let i = 0; i < 2000; i += 1) {
  if (i % 2 === 0) store.put(kinds.kv, account, `k${i}`, entry(2, 20));
  else store.delete(kinds.kv, account, `k${i}`);
}
await checkpoints.start(revision(2));
