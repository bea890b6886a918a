/**
 * Which server can read stored data. Each kind of entry has the number of the first reader that knows it. A store, and a
 * copy of one, says which reader it needs, and which kinds made it so. So an older server refuses the directory before it
 * changes anything, and says what it does not know.
 *
 * A kind that is added takes `readerNumber` + 1, which becomes the new `readerNumber`. The store raises its number in the
 * transaction that writes the first such entry: until then the older server can be started again. Where only the journal
 * has such an entry, the older server meets its letter in a record (`decodeRecord`), and refuses to start as well.
 */
import { kinds } from './record.ts';

/** The newest data that this server reads. */
export const readerNumber = 1;

/** By kind of entry: the first reader that knows it. */
export const kindReaders = {
  kv: 1,
  counter: 1,
  sequence: 1,
  lock: 1,
  idempotency: 1,
  boot: 1,
  limit: 1,
  queue: 1,
  share: 1,
  audit: 1,
  deletion: 1,
  task: 1,
  taskState: 1,
  taskSetting: 1,
  script: 1,
} as const satisfies Record<keyof typeof kinds, number>;

/** What stored data needs. */
export interface ReaderNeeds {
  readonly reader: number;
  /** Names of the kinds that are newer than reader 1. */
  readonly kinds: readonly string[];
}

export interface KindReader {
  readonly name: string;
  readonly reader: number;
}

/** What a server reads. */
export interface DataReader {
  readonly number: number;
  /** By letter. */
  readonly kinds: ReadonlyMap<number, KindReader>;
}

/** Every server since the first can read it. */
export const oldestNeeds: ReaderNeeds = { reader: 1, kinds: [] };

export const ownReader: DataReader = {
  number: readerNumber,
  kinds: new Map(
    Object.entries(kinds).map(([name, letter]) => [letter, { name, reader: kindReaders[name as keyof typeof kinds] }]),
  ),
};

/** @param stored may be of before there were numbers */
export function needsOf(stored: Partial<ReaderNeeds>): ReaderNeeds {
  const { reader = oldestNeeds.reader, kinds: names = oldestNeeds.kinds } = stored;
  return { reader, kinds: names };
}

/** @returns what is needed when entries of these kinds come as well; `before` itself: nothing more */
export function needsWith(before: ReaderNeeds, found: Iterable<KindReader>): ReaderNeeds {
  let needs = before;
  for (const { name, reader } of found) {
    if (reader === oldestNeeds.reader || needs.kinds.includes(name)) continue;
    needs = { reader: Math.max(needs.reader, reader), kinds: [...needs.kinds, name] };
  }
  return needs;
}

/** @returns what the reader does not know of it, in words; undefined: it reads all of it */
export function unknownIn({ reader, kinds: names }: ReaderNeeds, own = ownReader): string | undefined {
  if (reader <= own.number) return undefined;
  const known = new Set(Array.from(own.kinds.values(), ({ name }) => name));
  const unknown = names.filter((name) => !known.has(name));
  const what = unknown.length === 0 ? 'data' : `entries of the kind ${unknown.join(', ')}`;
  return `${what} for reader ${reader}; this server is reader ${own.number}`;
}
