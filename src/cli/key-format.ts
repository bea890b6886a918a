/** How keys and entries are printed. */
import type { Entry } from '../client/batch.ts';

/** Of one line: a key with control characters is written as JSON. */
export function formatKey(key: string): string {
  return /\p{Cc}/u.test(key) ? JSON.stringify(key) : key;
}

export function wireEntry({ key, version, value, till }: Entry): object {
  return { Key: key, Version: version, Value: value, TillMs: till };
}
