/**
 * Reads the header lines of a request that the fast lane may take. It is much stricter than HTTP: what is not plain is
 * not judged here, Node's parser has to. A client sends nearly the same lines with each request, so the lines of a
 * connection are remembered, and a known line costs one comparison. Only lines that differ, such as an idempotency key,
 * are read.
 */
import type { IncomingHttpHeaders } from 'node:http';
import { ownCopy } from './own-copy.ts';

/** Of a head that is taken. */
export interface Head {
  readonly lines: readonly HeaderLine[];
  /** Those that the server reads. */
  readonly headers: IncomingHttpHeaders;
  /** 0 without a body. */
  readonly bodyBytes: number;
}

/** Returns whether the server refuses every request with these headers; asked once for heads that are the same. */
export type HeadersCheck = (headers: IncomingHttpHeaders) => boolean;

interface HeaderLine {
  /** With its CRLF. */
  readonly text: string;
  readonly name: KnownHeader | undefined;
  readonly value: string;
}

/** Taken once at most, but for those that are only logged. */
const known = [
  'host',
  'content-length',
  'content-type',
  'authorization',
  'idempotency-key',
  'origin',
  'connection',
  'traceparent',
  'x-forwarded-for',
] as const;
type KnownHeader = (typeof known)[number];
const logged: ReadonlySet<KnownHeader> = new Set(['traceparent', 'x-forwarded-for']);

/** They change how a request is read, or the server refuses some of them: Node's parser and the routes judge them. */
const unusual: ReadonlySet<string> = new Set([
  'transfer-encoding',
  'content-encoding',
  'expect',
  'upgrade',
  'te',
  'trailer',
  'proxy-connection',
  'dragonlock-machine',
  'last-event-id',
]);

const none: readonly HeaderLine[] = [];
const linesMax = 64;
/** Of a connection. */
const rememberedMax = 24;
const cr = 0x0d;
const lf = 0x0a;

export class HeadReader {
  /** Where the head ends, after its empty line; set by `read`. */
  end = 0;
  #last: Head | undefined;
  readonly #isRefused: HeadersCheck;
  readonly #remembered: HeaderLine[] = [];
  /** The place in `#remembered` after the last line that was found there. */
  #next = 0;

  constructor(isRefused: HeadersCheck) {
    this.#isRefused = isRefused;
  }

  /**
   * Reads from the first header line on.
   *
   * @returns `incomplete`: the end is missing; `unusual`: not for the fast lane
   */
  read(text: string, from: number): Head | 'incomplete' | 'unusual' {
    const before = this.#last?.lines ?? none;
    let lines: HeaderLine[] | undefined;
    let at = from;
    let count = 0;
    for (; text.charCodeAt(at) !== cr; count += 1) {
      if (count === linesMax) return 'unusual';
      let line: HeaderLine | 'incomplete' | 'unusual' | undefined = before[count];
      if (line === undefined || !text.startsWith(line.text, at)) {
        line = this.#find(text, at) ?? this.#readLine(text, at);
        if (typeof line === 'string') return line;
        lines ??= before.slice(0, count);
      }
      lines?.push(line);
      at += line.text.length;
    }
    if (at + 1 >= text.length) return 'incomplete';
    if (text.charCodeAt(at + 1) !== lf) return 'unusual';
    this.end = at + 2;
    if (lines === undefined && count === before.length && this.#last !== undefined) return this.#last;
    const head = headOf(lines ?? before.slice(0, count));
    if (head === undefined || this.#isRefused(head.headers)) return 'unusual';
    return (this.#last = head);
  }

  /** Looks first for the line that came after the last one. */
  #find(text: string, at: number): HeaderLine | undefined {
    const { length } = this.#remembered;
    for (let tried = 0; tried < length; tried += 1) {
      const place = (this.#next + tried) % length;
      const line = this.#remembered[place]!;
      if (!text.startsWith(line.text, at)) continue;
      this.#next = place + 1;
      return line;
    }
    return undefined;
  }

  #readLine(text: string, at: number): HeaderLine | 'incomplete' | 'unusual' {
    const end = text.indexOf('\r\n', at);
    if (end === -1) return 'incomplete';
    const line = lineOf(ownCopy(text.slice(at, end + 2)));
    if (line === undefined) return 'unusual';
    // In the place of the line that it differs from, if there is one.
    const same = line.name === undefined ? -1 : this.#remembered.findIndex(({ name }) => name === line.name);
    const place = same !== -1 ? same : this.#remembered.length < rememberedMax ? this.#remembered.length : this.#next;
    this.#remembered[place % rememberedMax] = line;
    this.#next = (place + 1) % rememberedMax;
    return line;
  }
}

/** A name, a colon, and printable ASCII or tabs. */
const plain = /^([\w!#$%&'*+.^`|~-]+):([\t -~]*)\r\n$/;

function lineOf(text: string): HeaderLine | undefined {
  const parts = plain.exec(text);
  if (parts === null) return undefined;
  const name = parts[1]!.toLowerCase();
  if (unusual.has(name)) return undefined;
  const value = withoutBlanks(parts[2]!);
  const named = known.find((one) => one === name);
  if (named !== undefined && !isTaken(named, value)) return undefined;
  return { text, name: named, value: named === undefined ? '' : value };
}

function isTaken(name: KnownHeader, value: string): boolean {
  if (name === 'content-length') return /^(0|[1-9]\d{0,8})$/.test(value);
  if (name === 'connection') return /^keep-alive$/i.test(value);
  return value !== '' || logged.has(name);
}

function withoutBlanks(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isBlank(text.charCodeAt(from))) from += 1;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to -= 1;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** @returns undefined if a header is given twice that may be given once, or there is no host */
function headOf(lines: readonly HeaderLine[]): Head | undefined {
  const headers: Partial<Record<KnownHeader, string>> = {};
  for (const { name, value } of lines) {
    if (name === undefined) continue;
    const before = headers[name];
    if (before !== undefined && !logged.has(name)) return undefined;
    headers[name] = before === undefined ? value : `${before}, ${value}`;
  }
  if (headers.host === undefined) return undefined;
  return { lines, headers, bodyBytes: Number(headers['content-length'] ?? 0) };
}
