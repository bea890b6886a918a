/**
 * What a watch promises, as etcd's tests name it. A stream is what one watcher was told since a cursor, in responses
 * (the answers of long polls, or the events of server-sent events, gathered by revision); the history is what was
 * committed, in the order of revisions. Each function finds what breaks one promise, and says nothing of the others.
 *
 *   ordered       revisions only grow
 *   unique        no change is told twice
 *   atomic        the changes of one commit come together
 *   reliable      between the cursor and the last change that was told, nothing is missing, nothing is made up
 *   resumable     who comes back with a cursor is told of the first change after it, and of none before it
 *   bookmarkable  a revision that was reported as reached has no change at or below it still to come
 */
import { isDeepStrictEqual } from 'node:util';
import { show } from '../contract/expected.ts';
import { type Violation } from './history.ts';

export interface WatchEvent {
  readonly Key: string;
  readonly Version: number;
  readonly Value?: unknown;
  readonly Deleted?: boolean;
  readonly Expired?: boolean;
  readonly Rev: number;
}

export interface WatchResponse {
  readonly events: readonly WatchEvent[];
  /** The bookmark: all up to here was told. */
  readonly rev?: number;
}

export interface WatchStream {
  /** How messages name it. */
  readonly id: string;
  readonly prefix: string;
  /** The cursor: changes after it are asked for. */
  readonly after: number;
  readonly responses: readonly WatchResponse[];
}

/** A commit of one account: all changes of keys that it made. */
export interface Commit {
  readonly rev: number;
  readonly events: readonly WatchEvent[];
}

export type WatchValidator = (streams: readonly WatchStream[], history: readonly Commit[]) => Violation[];

export const ordered: WatchValidator = (streams) =>
  each(streams, function* (stream) {
    let last: WatchEvent | undefined;
    for (const event of eventsOf(stream)) {
      if (last !== undefined && event.Rev < last.Rev) yield `told of ${show(event)} after ${show(last)}`;
      last = event;
    }
  });

export const unique: WatchValidator = (streams) =>
  each(streams, function* (stream) {
    const seen = new Set<string>();
    for (const event of eventsOf(stream)) {
      const name = `${event.Rev} ${event.Key}`;
      if (seen.has(name)) yield `told twice of ${show(event)}`;
      seen.add(name);
    }
  });

export const counter: WatchValidator = (streams, history) => {
  const commits = new Map(history.map((commit) => [commit.rev, commit]));
  return each(streams, function* (stream) {
    const at = new Map<number, number>();
    for (const [i, { events }] of stream.responses.entries()) {
      for (const [rev, told] of Map.groupBy(events, ({ Rev }) => Rev)) {
        const before = at.get(rev);
        if (before !== undefined) yield `was told of revision ${rev} in response ${before}, and again in response ${i}`;
        at.set(rev, i);
        const whole = commits.get(rev)?.events.filter(({ Key }) => Key.startsWith(stream.prefix)) ?? [];
        const keys = new Set(told.map(({ Key }) => Key));
        const missing = whole.filter(({ Key }) => !keys.has(Key));
        if (missing.length > 0) yield `was told of a part of revision ${rev}: ${show(missing)} is missing`;
      }
    }
  });
};

export const reliable: WatchValidator = (streams, history) =>
  each(streams, function* (stream) {
    const told = new Map([...eventsOf(stream)].map((event) => [`${event.Rev} ${event.Key}`, event]));
    const last = [...told.values()].reduce((most, { Rev }) => Math.max(most, Rev), stream.after);
    for (const event of between(stream, history, stream.after, last)) {
      const name = `${event.Rev} ${event.Key}`;
      const found = told.get(name);
      if (found === undefined) yield `was told of revision ${last}, and not of ${show(event)}`;
      else if (!isDeepStrictEqual(found, event)) yield `was told of ${show(found)}, which is ${show(event)}`;
      told.delete(name);
    }
    for (const event of told.values())
      if (event.Rev > stream.after) yield `was told of ${show(event)}, which nobody committed`;
  });

export const resumable: WatchValidator = (streams, history) =>
  each(streams, function* (stream) {
    const [first] = eventsOf(stream);
    for (const event of eventsOf(stream)) {
      if (event.Rev <= stream.after) yield `was told of ${show(event)}, which is not after its cursor ${stream.after}`;
    }
    if (first === undefined || first.Rev <= stream.after) return;
    const [expected] = between(stream, history, stream.after, first.Rev);
    if (expected !== undefined && expected.Rev < first.Rev) {
      yield `came back with cursor ${stream.after} and began with ${show(first)} instead of ${show(expected)}`;
    }
  });

export const bookmarkable: WatchValidator = (streams, history) =>
  each(streams, function* (stream) {
    let reached = stream.after;
    const told = new Set<string>();
    for (const { events, rev } of stream.responses) {
      for (const event of events) {
        told.add(`${event.Rev} ${event.Key}`);
        if (event.Rev <= reached) yield `was told of ${show(event)} after the bookmark ${reached}`;
      }
      if (rev === undefined) continue;
      if (rev < reached) yield `was given the bookmark ${rev} after ${reached}`;
      for (const event of between(stream, history, reached, rev)) {
        if (!told.has(`${event.Rev} ${event.Key}`)) yield `was given the bookmark ${rev} without ${show(event)}`;
      }
      reached = Math.max(reached, rev);
    }
  });

export const watchValidators = { ordered, unique, counter, reliable, resumable, bookmarkable } as const;

/** All six; a message begins with the promise that is broken. */
export function checkWatches(streams: readonly WatchStream[], history: readonly Commit[]): Violation[] {
  const sorted = history.toSorted((a, b) => a.rev - b.rev);
  return Object.entries(watchValidators).flatMap(([name, validate]) =>
    validate(streams, sorted).map((violation) => ({ ...violation, message: `${name}: ${violation.message}` })),
  );
}

function each(streams: readonly WatchStream[], find: (stream: WatchStream) => Iterable<string>): Violation[] {
  return streams.flatMap((stream) =>
    Array.from(find(stream), (what) => ({
      verdict: 'violation' as const,
      message: `watch ${stream.id} (prefix ${JSON.stringify(stream.prefix)}, after ${stream.after}) ${what}.`,
      operations: [stream.id],
    })),
  );
}

function* eventsOf({ responses }: WatchStream): Generator<WatchEvent> {
  for (const { events } of responses) yield* events;
}

/** The changes under the stream's prefix in (after, to]. */
function* between(
  { prefix }: WatchStream,
  history: readonly Commit[],
  after: number,
  to: number,
): Generator<WatchEvent> {
  let lo = 0;
  let hi = history.length;
  while (lo < hi) {
    const middle = (lo + hi) >> 1;
    if (history[middle]!.rev <= after) lo = middle + 1;
    else hi = middle;
  }
  for (; lo < history.length && history[lo]!.rev <= to; lo++) {
    for (const event of history[lo]!.events) if (event.Key.startsWith(prefix)) yield event;
  }
}
