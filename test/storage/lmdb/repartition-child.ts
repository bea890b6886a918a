/** Repartitions the store in argv[2] into argv[3] shards. */
import { repartition } from '../../../src/storage/lmdb/repartition.ts';
import { openStore, ownerOf } from '../store-support.ts';

const store = openStore(process.argv[2] ?? '');
await repartition(store, { shards: Number(process.argv[3]), ownerOf });
await store.close();
