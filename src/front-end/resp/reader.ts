/**
 * Takes apart what a Redis client sends: bytes in any pieces become commands, in order. It knows nothing of sockets or
 * of what a command means.
 *
 *   request = "*" count CRLF, then `count` times "$" length CRLF bytes CRLF      or   inline: words LF
 *
 * An argument is text in which each character is one byte (latin1). The reader is strict where Redis is not: a line
 * ends with CRLF, a number has neither sign nor leading zero. What it cannot read ends the connection, because nobody
 * can say where the next command begins. A page in a browser can make it connect here and send a form; the first word
 * of such a request ends the connection too.
 *
 * What is not complete is kept in one buffer that doubles, so that bytes that come one by one cost no more than others.
 */

/** The name of a command and its arguments, each as bytes. */
export type RespCommand = readonly string[];

export interface ReaderLimits {
  /** Bytes of one argument. */
  readonly argumentBytesMax: number;
  readonly argumentsMax: number;
  /** Bytes of all arguments of one command. */
  readonly commandBytesMax: number;
}

/** The input is not RESP. The message is for the client; `silent`: the other side speaks another protocol. */
export class ProtocolError extends Error {
  override name = 'ProtocolError';
  readonly silent: boolean;

  constructor(message: string, silent = false) {
    super(message);
    this.silent = silent;
  }
}

const inlineBytesMax = 64 * 1024;
/** A line with a number: a marker, at most 10 digits, CRLF. */
const numberLineMax = 16;
/** Of HTTP: a request that begins so comes from a browser or a proxy. */
const foreignWords: ReadonlySet<string> = new Set(['post', 'host:']);

const cr = 0x0d;
const lf = 0x0a;
const star = 0x2a;
const dollar = 0x24;
const none = Buffer.alloc(0);
const smallestKept = 256;
/** What an argument takes besides its bytes. */
const argumentCost = 32;

export class CommandReader {
  limits: ReaderLimits;
  /** Read up to `#at`, filled up to `#end`. */
  #buffer: Buffer = none;
  #at = 0;
  #end = 0;
  /** The buffer is our own, and may be written behind `#end`. */
  #own = false;
  /** The arguments of the command under way; undefined: between two commands. */
  #arguments: string[] | undefined;
  #missing = 0;
  #bytes = 0;
  /** Length of the argument under way; −1: its line has not been read. */
  #length = -1;
  /** Before so many bytes are there, looking again is of no use. */
  #needed = 0;
  /** Where the search for the end of an inline command goes on. */
  #searched = 0;

  constructor(limits: ReaderLimits) {
    this.limits = limits;
  }

  /** Memory of what no command has been made of. */
  get keptBytes(): number {
    const buffer = this.#at === this.#end ? 0 : this.#buffer.length;
    if (this.#arguments === undefined) return buffer;
    const finished = this.#bytes - Math.max(0, this.#length);
    return buffer + finished + this.#arguments.length * argumentCost;
  }

  /** Bytes that no command has been made of. */
  get unreadBytes(): number {
    return this.#end - this.#at;
  }

  /** Forgets what has arrived. */
  clear(): void {
    this.#buffer = none;
    this.#at = 0;
    this.#end = 0;
    this.#arguments = undefined;
  }

  /** Adds bytes. The reader may keep the chunk until its commands have been taken. */
  push(chunk: Buffer): void {
    if (this.#at === this.#end) {
      this.#buffer = chunk;
      this.#at = 0;
      this.#end = chunk.length;
      this.#own = false;
      this.#searched = 0;
      return;
    }
    const rest = this.#end - this.#at;
    if (!this.#own || this.#end + chunk.length > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(smallestKept, rest + chunk.length, 2 * rest));
      this.#buffer.copy(larger, 0, this.#at, this.#end);
      this.#searched = Math.max(0, this.#searched - this.#at);
      this.#buffer = larger;
      this.#at = 0;
      this.#end = rest;
      this.#own = true;
    }
    chunk.copy(this.#buffer, this.#end);
    this.#end += chunk.length;
  }

  /** Returns the next command; undefined: it has not arrived. @throws ProtocolError, after which nothing can be read */
  next(): RespCommand | undefined {
    while (this.#end - this.#at > 0 && this.#end - this.#at >= this.#needed) {
      this.#needed = 0;
      const command = this.#arguments === undefined ? this.#begin() : this.#goOn(this.#arguments);
      if (command === undefined) return undefined;
      if (command.length > 0) return command;
    }
    return undefined;
  }

  /** Returns a command; an empty list: look again; undefined: more bytes are needed. */
  #begin(): RespCommand | undefined {
    if (this.#buffer[this.#at] !== star) return this.#inline();
    const count = this.#number('invalid multibulk length');
    if (count === undefined) return undefined;
    if (count > this.limits.argumentsMax) throw new ProtocolError('invalid multibulk length');
    if (count === 0) return noCommand;
    this.#arguments = [];
    this.#missing = count;
    this.#bytes = 0;
    this.#length = -1;
    return this.#goOn(this.#arguments);
  }

  #goOn(found: string[]): RespCommand | undefined {
    while (this.#missing > 0) {
      if (this.#length < 0 && !this.#readLength()) return undefined;
      const end = this.#at + this.#length;
      if (end + 2 > this.#end) {
        this.#needed = this.#length + 2;
        return undefined;
      }
      if (this.#buffer[end] !== cr || this.#buffer[end + 1] !== lf)
        throw new ProtocolError('expected CRLF after an argument');
      const argument = this.#buffer.toString('latin1', this.#at, end);
      if (found.length === 0) refuseForeign(argument);
      found.push(argument);
      this.#at = end + 2;
      this.#length = -1;
      this.#missing -= 1;
    }
    this.#arguments = undefined;
    this.#bytes = 0;
    return found;
  }

  /** Reads the line in front of an argument. @returns false when it has not arrived */
  #readLength(): boolean {
    if (this.#at === this.#end) return false;
    const first = this.#buffer[this.#at]!;
    if (first !== dollar) throw new ProtocolError(`expected '$', got '${shownByte(first)}'`);
    const length = this.#number('invalid bulk length');
    if (length === undefined) return false;
    if (length > this.limits.argumentBytesMax) throw new ProtocolError('invalid bulk length');
    this.#bytes += length;
    if (this.#bytes > this.limits.commandBytesMax) throw new ProtocolError('too big command');
    this.#length = length;
    return true;
  }

  /** Reads `*12` or `$12`; undefined: its line has not arrived. */
  #number(invalid: string): number | undefined {
    const start = this.#at + 1;
    let value = 0;
    let at = start;
    for (; at < this.#end; at += 1) {
      const digit = this.#buffer[at]! - 0x30;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
      if (at - start >= numberLineMax) throw new ProtocolError(invalid);
    }
    if (at === this.#end) return undefined;
    const leadingZero = this.#buffer[start] === 0x30 && at > start + 1;
    if (at === start || leadingZero || this.#buffer[at] !== cr) throw new ProtocolError(invalid);
    if (at + 1 === this.#end) return undefined;
    if (this.#buffer[at + 1] !== lf) throw new ProtocolError(invalid);
    this.#at = at + 2;
    return value;
  }

  #inline(): RespCommand | undefined {
    const found = this.#buffer.indexOf(lf, Math.max(this.#at, this.#searched));
    const end = found === -1 || found >= this.#end ? undefined : found;
    if ((end ?? this.#end) - this.#at > inlineBytesMax) throw new ProtocolError('too big inline request');
    if (end === undefined) {
      this.#searched = this.#end;
      return undefined;
    }
    const last = end > this.#at && this.#buffer[end - 1] === cr ? end - 1 : end;
    const line = this.#buffer.toString('latin1', this.#at, last);
    this.#at = end + 1;
    const words = wordsIn(line);
    if (words.length > this.limits.argumentsMax) throw new ProtocolError('too big inline request');
    if (words.length > 0) refuseForeign(words[0]!);
    return words;
  }
}

const noCommand: RespCommand = [];

function refuseForeign(word: string): void {
  if (word.length <= 5 && foreignWords.has(word.toLowerCase()))
    throw new ProtocolError('this is HTTP; this port speaks RESP', true);
}

function shownByte(byte: number): string {
  return byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\x07' };
const space = /[ \t\r\n\v\f\0]/;

/** Splits an inline command as a shell would: words, 'single' and "double" quotes. @throws ProtocolError */
export function wordsIn(line: string): string[] {
  const words: string[] = [];
  for (let at = 0; ; ) {
    while (at < line.length && space.test(line[at]!)) at += 1;
    if (at >= line.length) return words;
    let word = '';
    while (at < line.length && !space.test(line[at]!)) {
      const quote = line[at]!;
      if (quote !== '"' && quote !== "'") {
        word += quote;
        at += 1;
        continue;
      }
      const part = quotedWord(line, at + 1, quote);
      word += part.text;
      at = part.end;
      if (at < line.length && !space.test(line[at]!)) throw unbalanced();
    }
    words.push(word);
  }
}

function quotedWord(line: string, start: number, quote: string): { readonly text: string; readonly end: number } {
  let text = '';
  for (let at = start; at < line.length; at += 1) {
    const char = line[at]!;
    if (char === quote) return { text, end: at + 1 };
    if (char !== '\\') {
      text += char;
      continue;
    }
    const hex = quote === '"' ? /^\\x([0-9a-fA-F]{2})/.exec(line.slice(at, at + 4))?.[1] : undefined;
    const next = line[at + 1];
    if (hex !== undefined) {
      text += String.fromCharCode(Number.parseInt(hex, 16));
      at += 3;
    } else if (quote === '"' && next !== undefined) {
      text += escapes[next] ?? next;
      at += 1;
    } else if (next === quote) {
      text += quote;
      at += 1;
    } else {
      text += char;
    }
  }
  throw unbalanced();
}

function unbalanced(): ProtocolError {
  return new ProtocolError('unbalanced quotes in request');
}
