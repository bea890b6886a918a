import type { Revision } from './ids.ts';

/** A key after a change, or as it is. */
export interface KeyState {
  readonly key: string;
  /** 0: there is no such key; watch from version 0 to wait for its return. */
  readonly version: number;
  /** JSON text; absent: deleted. */
  readonly value?: string | undefined;
  readonly expired?: true | undefined;
}

/** Returns a change of a key, or its state at `rev`, as JSON text, as every form of watch tells it. */
export function keyEventBody(rev: Revision, { key, version, value, expired }: KeyState): string {
  const name = JSON.stringify(key);
  if (value !== undefined) return `{"Key":${name},"Version":${version},"Value":${value},"Rev":${rev}}`;
  return `{"Key":${name},"Version":${version},"Deleted":true${expired ? ',"Expired":true' : ''},"Rev":${rev}}`;
}
