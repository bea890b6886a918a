/**
 * Reads the request line of a request that the fast lane may take: a data call with a target of printable ASCII. A
 * connection mostly calls the same route of the same account again, so the last one is tried first.
 */
import type { DataCall } from '../data-route.ts';
import type { QueryText } from '../parse/query.ts';
import type { LaneRoute, LaneRoutes } from './lane-routes.ts';

export interface RequestLine {
  readonly call: DataCall;
  readonly method: string;
  /** The target as it was sent. */
  readonly url: string;
  readonly params: { readonly acc: string; readonly '*': string };
  readonly query: QueryText;
}

const version = ' HTTP/1.1\r\n';
const space = 0x20;
const hash = 0x23;
const percent = 0x25;
const question = 0x3f;

export class RequestLineReader {
  /** Where the header lines begin; set by `read`. */
  end = 0;
  readonly #routes: LaneRoutes;
  #last: LaneRoute | undefined;

  constructor(routes: LaneRoutes) {
    this.#routes = routes;
  }

  /** @returns `incomplete`: the end is missing; `unusual`: not for the fast lane */
  read(text: string, from: number): RequestLine | 'incomplete' | 'unusual' {
    const route = this.#routeAt(text, from);
    if (route === undefined) return text.includes('\r\n', from) ? 'unusual' : 'incomplete';
    const begin = from + route.prefix.length;
    let end = begin;
    let query = -1;
    let encoded = false;
    for (; ; end += 1) {
      const code = text.charCodeAt(end);
      if (code === space) break;
      if (code === question && query === -1) query = end;
      else if (code === percent && query === -1) encoded = true;
      else if (!(code > space && code < 0x7f) || code === hash) return end >= text.length ? 'incomplete' : 'unusual';
    }
    if (!text.startsWith(version, end)) return text.length < end + version.length ? 'incomplete' : 'unusual';
    const pathEnd = query === -1 ? end : query;
    const id = idOf(text.slice(begin, pathEnd), encoded);
    if (id === undefined || (id === '') === route.takesId) return 'unusual';
    this.end = end + version.length;
    return {
      call: route.call,
      method: route.method,
      url: text.slice(from + route.method.length + 1, end),
      params: { acc: route.account, '*': id },
      query: query === -1 ? noQuery : { text: text.slice(query + 1, end) },
    };
  }

  #routeAt(text: string, from: number): LaneRoute | undefined {
    const last = this.#last;
    if (last !== undefined && text.startsWith(last.prefix, from) && fits(last, text, from)) return last;
    const found = this.#routes.find(text, from);
    if (found === undefined || !fits(found, text, from)) return undefined;
    this.#last = found;
    return found;
  }
}

/** Returns whether the path ends after the prefix, if the route takes no id. */
function fits({ takesId, prefix }: LaneRoute, text: string, from: number): boolean {
  if (takesId) return true;
  const next = text.charCodeAt(from + prefix.length);
  return next === space || next === question;
}

/** @returns undefined for malformed percent-encoding */
function idOf(text: string, encoded: boolean): string | undefined {
  if (!encoded) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

const noQuery: QueryText = { text: '' };
