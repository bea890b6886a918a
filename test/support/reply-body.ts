/**
 * Every member that a reply may have, as tests read them. All are declared present: a test that reads an absent member
 * compares undefined with what it expects, and fails.
 */
import type { ErrorCode } from '../../src/protocol/errors.ts';

export interface ReplyBody {
  readonly Rev: number;
  readonly Now: number;
  readonly Code: ErrorCode;
  readonly Message: string;
  readonly RequestID: string;
  readonly Status: number | string;
  readonly Lock: number;
  readonly Till: number;
  readonly TillMs: number;
  readonly TTLMs: number;
  /** Absent: a new lease. */
  readonly Extended?: true;
  readonly Recover: { readonly Lock: number; readonly Meta: unknown; readonly Why: string };
  readonly Holder: { readonly Meta: unknown; readonly Till: number; readonly TillMs: number; readonly Since: number };
  readonly Waiters: number;
  readonly RLock?: true;
  readonly Holders: number;
  readonly Free: number;
  readonly Locked: boolean;
  readonly Meta: unknown;
  readonly Since: number;
  readonly Why: string;
  readonly Failed: readonly ReplyBody[];
  readonly Field: string;
  readonly Limit: readonly LimitRow[];
  readonly Quota: string;
  readonly Used: number;
  readonly Bytes: number;
  readonly Entries: Readonly<Record<string, number>>;
  readonly Limits: Readonly<Record<string, number>>;
  readonly Left: number;
  readonly ResetMs: number;
  readonly WaitMs: number;
  readonly RetryAfterMs: number;
  readonly Atomic: readonly { readonly Key: string; readonly Value: number; readonly Old: number }[];
  readonly KV: readonly KvRow[];
  readonly KVSet: readonly { readonly Key: string; readonly Version: number; readonly Deleted: boolean }[];
  readonly Key: string;
  readonly Version: number;
  readonly Value: unknown;
  readonly Old: number;
  readonly Deleted: boolean;
  readonly Expired: boolean;
  readonly From: number;
  readonly To: number;
  readonly More: boolean;
  readonly After: string;
  readonly Locks: readonly {
    readonly LockID: string;
    readonly Meta: unknown;
    readonly Waiters: number;
    readonly TillMs: number;
  }[];
  readonly Events: readonly KeyEvent[];
  readonly Oldest: number;
  readonly IDs: readonly string[];
  readonly Same: boolean;
  readonly Response: ReplyBody;
  readonly Dequeue?: { readonly Messages: readonly { readonly ID: string; readonly Lock: number }[] };
}

export interface KvRow {
  readonly Key: string;
  readonly Version: number;
  readonly Value: unknown;
  readonly TillMs: number;
}

export interface LimitRow {
  readonly Key: string;
  readonly Left: number;
  readonly ResetMs: number;
  readonly WaitMs: number;
}

export interface KeyEvent extends KvRow {
  readonly Rev: number;
  readonly Deleted: boolean;
  readonly Expired: boolean;
}
