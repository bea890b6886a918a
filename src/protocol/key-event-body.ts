import type { Revision } from './ids.ts';

/**
 * A change of a key, or its state, as every form of watch tells it: JSON text. A key that is gone has version 0, which
 * is also the version to wait with for its return. `value` is JSON text; absent: deleted.
 */
export function keyEventBody(
  key: string,
  version: number,
  value: string | undefined,
  rev: Revision,
  expired?: true,
): string {
  const name = JSON.stringify(key);
  if (value !== undefined) return `{"Key":${name},"Version":${version},"Value":${value},"Rev":${rev}}`;
  return `{"Key":${name},"Version":${version},"Deleted":true${expired ? ',"Expired":true' : ''},"Rev":${rev}}`;
}
