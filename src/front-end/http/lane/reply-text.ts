/**
 * The bytes of a reply as Node's HTTP server would write them: the fast lane and it must not be told apart. Fixed parts
 * are made once; the date changes once a second.
 */
import { httpDate, wallMs } from '../../../shared/clock.ts';
import { jsonType } from '../exchange.ts';
import { STATUS_CODES } from '../node-http.ts';

export interface ReplyTextOptions {
  readonly boot: string;
  readonly keepAliveMs: number;
}

export interface ReplyToWrite {
  readonly status: number;
  /** In one text, or in parts that follow each other. */
  readonly body: string | readonly string[];
  readonly bodyBytes: number;
  readonly bodyChars: number;
  readonly replayed: true | undefined;
  /** Seconds after which a client may try again. */
  readonly retryAfter: string | undefined;
  /** Names and values in turn. */
  readonly refusalHeaders: readonly string[];
}

export class ReplyTexts {
  readonly #boot: string;
  readonly #keepAlive: string;
  /** Up to the length of the body, by status. */
  readonly #beginnings = new Map<number, string>();
  readonly #ok: string;
  #second = 0;
  #date = '';
  #end = '';

  constructor({ boot, keepAliveMs }: ReplyTextOptions) {
    this.#boot = boot;
    this.#keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(keepAliveMs / 1000)}\r\n\r\n`;
    this.#ok = this.#beginning(200);
  }

  /** Returns what is in front of the body. @param last the connection closes after it */
  head({ status, bodyBytes, replayed, retryAfter, refusalHeaders }: Omit<ReplyToWrite, 'body'>, last: boolean): string {
    this.#readDate();
    if (status === 200 && replayed === undefined && !last) return this.#ok + bodyBytes + this.#end;
    const length = status === 204 ? '' : bodyBytes;
    const replay = replayed === true ? '\r\nIdempotent-Replayed: true' : '';
    const more = failureHeaders(status, retryAfter, refusalHeaders);
    const end = last ? `\r\nDate: ${this.#date}\r\nConnection: close\r\n\r\n` : this.#end;
    return this.#beginning(status) + length + replay + more + end;
  }

  #beginning(status: number): string {
    let text = this.#beginnings.get(status);
    if (text === undefined) {
      text = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nDragonlock-Boot: ${this.#boot}`;
      if (status !== 204) text += `\r\nContent-Type: ${jsonType}\r\nContent-Length: `;
      this.#beginnings.set(status, text);
    }
    return text;
  }

  #readDate(): void {
    const second = Math.floor(wallMs() / 1000);
    if (second === this.#second) return;
    this.#second = second;
    this.#date = httpDate(second * 1000);
    this.#end = `\r\nDate: ${this.#date}\r\n${this.#keepAlive}`;
  }
}

function failureHeaders(status: number, retryAfter: string | undefined, others: readonly string[]): string {
  if (retryAfter !== undefined) return `\r\nRetry-After: ${retryAfter}`;
  let text = '';
  for (let i = 0; i < others.length; i += 2) text += `\r\n${others[i]}: ${others[i + 1]}`;
  if (text !== '') return text;
  return status === 401 ? '\r\nWWW-Authenticate: Bearer' : '';
}
