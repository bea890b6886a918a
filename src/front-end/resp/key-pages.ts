/** Reads the keys of an account page by page, in the order of their bytes. */
import { isFailure, type Reply } from '../../protocol/replies.ts';
import { pageLimitMax } from '../../shared/limits.ts';
import type { RespClient } from './command.ts';
import { matches } from './glob.ts';
import { failedReplyText, refuseCommand } from './resp-error.ts';
import { bytesOf } from './writer.ts';
import { textOfArgument } from './value.ts';

export interface KeyPage {
  readonly keys: readonly string[];
  /** There may be more after this key. */
  readonly after: string | undefined;
}

export interface PageWanted {
  /** Keys begin with this. */
  readonly prefix: string;
  readonly after: string | undefined;
  readonly limit: number;
}

interface ListBody {
  readonly KV: readonly { readonly Key: string }[];
  readonly After?: string;
}

/** Calls `done` with the page, or with the error to answer. */
export function readKeys(client: RespClient, wanted: PageWanted, done: (page: KeyPage | string) => void): void {
  const { prefix, after, limit } = wanted;
  const page = { account: client.account, prefix, limit: Math.min(limit, pageLimitMax) };
  client.ask({ kind: 'kv.list', ...page, ...(after !== undefined && { after }) }, (reply: Reply) => {
    if (isFailure(reply.outcome)) return done(failedReplyText(reply));
    const { KV, After } = JSON.parse(reply.body) as ListBody;
    done({ keys: KV.map(({ Key }) => Key), after: After });
  });
}

/** Goes over all keys: `visit` calls `next` to go on. Calls `done` with undefined, or the error to answer. */
export function forEachPage(
  client: RespClient,
  prefix: string,
  visit: (page: KeyPage, next: () => void) => void,
  done: (failed: string | undefined) => void,
): void {
  const step = (after: string | undefined): void => {
    readKeys(client, { prefix, after, limit: pageLimitMax }, (page) => {
      if (typeof page === 'string') return done(page);
      visit(page, () => (page.after === undefined ? done(undefined) : step(page.after)));
    });
  };
  step(undefined);
}

/** Returns as much of the bytes as is text: a pattern may begin with a part of a character. */
export function prefixText(bytes: string): string {
  for (let end = bytes.length; end > bytes.length - 4 && end > 0; end -= 1) {
    const text = textOfArgument(bytes.slice(0, end));
    if (text !== undefined) return text;
  }
  return '';
}

const patternBytesMax = 1024;
/** Comparisons of two characters before others have a turn: at worst some milliseconds. */
const stepsOfTurn = 1_000_000;

/** @throws RespError */
export function checkPattern(pattern: string): void {
  if (pattern.length > patternBytesMax)
    refuseCommand(`ERR the pattern is too long; expected at most ${patternBytesMax} bytes`);
}

/** Calls `done` with those keys that match, as bytes. What may take long is done in turns. */
export function matching(
  client: RespClient,
  pattern: string,
  keys: readonly string[],
  done: (found: readonly string[]) => void,
): void {
  const found: string[] = [];
  const go = (from: number): void => {
    let steps = 0;
    for (let at = from; at < keys.length; at += 1) {
      const key = bytesOf(keys[at]!);
      steps += pattern.length * key.length;
      if (steps > stepsOfTurn && at > from)
        return client.context.turns.run(client.account, () => {
          if (!client.disconnected) go(at);
        });
      if (pattern === '*' || matches(pattern, key)) found.push(key);
    }
    done(found);
  };
  go(0);
}
