import { array, bulk, bytesOf, integer, type Writer } from './writer.ts';

/** A change of a key, as a watch tells it. */
export interface ChangeBody {
  readonly Key: string;
  readonly Version: number;
  readonly Value?: unknown;
  readonly Expired?: true;
}

/** Writes a commit: `[revision, [[key, version, json or nil], …]]`. */
export function writeCommit(rev: number, events: readonly ChangeBody[], writer: Writer): string {
  const changes = events.map(({ Key, Version, Value }) =>
    array([
      bulk(bytesOf(Key)),
      integer(Version),
      Value === undefined ? writer.nil : bulk(bytesOf(JSON.stringify(Value))),
    ]),
  );
  return array([integer(rev), array(changes)]);
}
