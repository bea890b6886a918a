/**
 * The id of a message: `62-0`, the i-th of the commit that enqueued it, with its priority and its group: `62-0p3`,
 * `62-0:cust-9`. The group stands in the id so that an ack finds the entry without an index. To clients an id is opaque.
 */
import { keyBytesMax } from '../shared/limits.ts';

export interface MessageId {
  readonly rev: number;
  readonly index: number;
  readonly priority: number;
  readonly group?: string;
}

/** Bytes of the longest id. */
export const messageIdBytesMax = keyBytesMax + 32;

export function messageIdText({ rev, index, priority, group }: MessageId): string {
  return `${rev}-${index}${priority === 0 ? '' : `p${priority}`}${group === undefined ? '' : `:${group}`}`;
}

const pattern = /^(0|[1-9]\d{0,15})-(0|[1-9]\d{0,5})(?:p([1-9]))?(?::([^\0]*))?$/s;

/** Undefined: the text is no id. */
export function parseMessageId(text: string): MessageId | undefined {
  const [, rev, index, priority = '0', group] = pattern.exec(text) ?? [];
  if (rev === undefined || index === undefined || !Number.isSafeInteger(Number(rev))) return undefined;
  if (group !== undefined && (Buffer.byteLength(group) > keyBytesMax || !group.isWellFormed())) return undefined;
  const id = { rev: Number(rev), index: Number(index), priority: Number(priority) };
  return group === undefined ? id : { ...id, group };
}
