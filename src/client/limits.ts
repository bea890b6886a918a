/** Rate limits: how often, or how much, in a time. */
import type { LimitOperation } from './batch.ts';
import type { LimitTaken } from './batch-result.ts';
import { LimitedError } from './errors.ts';
import { checkOptions, type NamesOf } from './option-names.ts';
import type { CallOptions, StoreCalls } from './store-calls.ts';

/** Options of `client.limit`. */
export interface LimitOptions extends CallOptions, Omit<LimitOperation, 'key'> {}

/** What `client.limit` has found. */
export interface LimitResult extends Omit<LimitTaken, 'key'> {
  /** Whether the cost was taken. If not, nothing was. */
  readonly allowed: boolean;
  /** Milliseconds after which there is enough for the cost, if nobody else takes it; 0: it was taken. */
  readonly retryAfterMs: number;
}

const limitNames: NamesOf<LimitOptions> = {
  rate: true,
  per: true,
  burst: true,
  cost: true,
  wait: true,
  signal: true,
};

/** Takes from a limit. That too little is left is a result, not an error. */
export async function takeFromLimit(calls: StoreCalls, key: string, options: LimitOptions): Promise<LimitResult> {
  checkOptions(options ?? {}, limitNames);
  const { signal, ...parameters } = options ?? {};
  try {
    const batch = { limit: [{ ...parameters, key }] };
    const { limit } = await calls.batch(batch, { signal, renaming: { 'limit[0].': '' } });
    const { left, resetMs } = limit[0]!;
    return { allowed: true, left, resetMs, retryAfterMs: 0 };
  } catch (error) {
    if (!(error instanceof LimitedError)) throw error;
    const { left, resetMs, retryAfterMs } = error;
    return { allowed: false, left, resetMs, retryAfterMs };
  }
}
