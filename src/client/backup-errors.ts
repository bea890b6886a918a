import { DragonLockError } from './errors.ts';

/** A copy for the backup is asked for already, or being made. */
export class CopyInProgressError extends DragonLockError {}
