/**
 * What a script notes down to be done, as the text of a batch of the HTTP API. Nothing is folded: where a batch names a
 * key twice, its operations follow each other as the script has made them.
 */
import { scriptOperationBytesMax, scriptOperationsMax } from '../script-limits.ts';
import { overLimit } from './run-end.ts';

/** In the order of a batch. */
const members = ['Guard', 'Ack', 'Nack', 'Limit', 'Atomic', 'KVSet', 'Enqueue', 'Tasks', 'TaskCancel'] as const;
export type NotedMember = (typeof members)[number];

export class BatchNotes {
  readonly #items: Partial<Record<NotedMember, string[]>> = {};
  #count = 0;
  #bytes = 0;

  /** @param item JSON text */
  add(member: NotedMember, item: string): void {
    this.#count += 1;
    this.#bytes += item.length;
    if (this.#count > scriptOperationsMax) overLimit(`The script does more than ${scriptOperationsMax} operations`);
    if (this.#bytes > scriptOperationBytesMax)
      overLimit(`The operations of the script take more than ${scriptOperationBytesMax} bytes`);
    (this.#items[member] ??= []).push(item);
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** JSON text of the batch. */
  text(): string {
    const parts: string[] = [];
    for (const member of members) {
      const items = this.#items[member];
      if (items !== undefined) parts.push(`"${member}":[${items.join(',')}]`);
    }
    return `{${parts.join(',')}}`;
  }
}
