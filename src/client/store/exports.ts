/** The package `dragonlock/store`, name by name. */
export { DragonLockStore, type DragonLockStoreOptions } from './dragon-lock-store.ts';
export { DynamoDbStore, type DynamoDbStoreOptions } from './dynamodb-store.ts';
export type { DynamoDbCalls } from './dynamodb-calls.ts';
export { dynamoDbTable, dynamoDbTimeToLive } from './dynamodb-table.ts';
export type {
  AtomicPutOptions,
  KVPair,
  Lease,
  Locker,
  LockOptions,
  PutOptions,
  ReadOptions,
  Store,
  WatchableStore,
  WatchOptions,
} from './store.ts';
export {
  KeyExists,
  KeyModified,
  KeyNotFound,
  LockAcquireCancelled,
  LockAcquireFailed,
  StoreError,
} from './store-errors.ts';
export type { Environment } from './environment.ts';
export { LeaseUnknownError, LockLostError, OutcomeUnknownError } from '../errors.ts';
