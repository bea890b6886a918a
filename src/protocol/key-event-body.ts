import type { Revision } from './ids.ts';

/**
 * Returns a change of a key, or its state, as JSON text, as every form of watch tells it. A key that does not exist has
 * version 0; watch from version 0 to wait for its return. `value` is JSON text; absent: deleted.
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
