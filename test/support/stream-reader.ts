/** A strict reader of server-sent events: it fails on anything that the format does not have. */
import assert from 'node:assert/strict';
import http from 'node:http';
import { once } from 'node:events';
import type { KeyEvent } from './reply-body.ts';

export interface StreamBlock {
  readonly id?: number;
  readonly event?: string;
  readonly data: readonly string[];
  readonly comments: readonly string[];
}

export class StreamReader {
  readonly response: http.IncomingMessage;
  readonly #request: http.ClientRequest;
  readonly #blocks: AsyncIterator<StreamBlock>;

  private constructor(request: http.ClientRequest, response: http.IncomingMessage) {
    this.#request = request;
    this.response = response;
    this.#blocks = blocksOf(response)[Symbol.asyncIterator]();
  }

  /** Resolves when the head of the reply has arrived, whatever its status. */
  static async open(url: string, headers: Readonly<Record<string, string>> = {}): Promise<StreamReader> {
    const request = http.get(url, { headers, agent: false });
    request.on('error', () => {});
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    return new StreamReader(request, response);
  }

  /** @returns undefined at the end of the stream */
  async next(withinMs = 20_000): Promise<StreamBlock | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error(`No block of the stream within ${withinMs} ms`)), withinMs);
    });
    const { value, done } = await Promise.race([this.#blocks.next(), late]).finally(() => clearTimeout(timer));
    return done ? undefined : value;
  }

  /** Returns the next block that has events; skips bookmarks and heartbeats. */
  async nextCommit(): Promise<{ id: number; events: readonly KeyEvent[] } | undefined> {
    for (;;) {
      const block = await this.next();
      if (block === undefined) return undefined;
      if (block.data.length === 0) continue;
      assert(block.id !== undefined && block.event === undefined, `a commit: ${JSON.stringify(block)}`);
      return { id: block.id, events: block.data.map((text) => JSON.parse(text) as KeyEvent) };
    }
  }

  async text(): Promise<string> {
    let text = '';
    for await (const chunk of this.response) text += String(chunk);
    return text;
  }

  close(): void {
    this.#request.destroy();
  }
}

async function* blocksOf(response: http.IncomingMessage): AsyncIterable<StreamBlock> {
  let rest = '';
  response.setEncoding('utf8');
  for await (const chunk of response) {
    rest += String(chunk);
    for (let end = rest.indexOf('\n\n'); end !== -1; end = rest.indexOf('\n\n')) {
      const text = rest.slice(0, end);
      rest = rest.slice(end + 2);
      yield parse(text);
    }
  }
  assert.equal(rest, '', 'the stream ends after a whole block');
}

function parse(text: string): StreamBlock {
  let id: number | undefined;
  let event: string | undefined;
  const data: string[] = [];
  const comments: string[] = [];
  for (const line of text.split('\n')) {
    const field = /^(id|event|data|): (.*)$/.exec(line);
    assert(field !== null, `a line of an event stream: ${line.slice(0, 200)}`);
    const [, name, value = ''] = field;
    if (name === 'data') data.push(value);
    else if (name === 'event') event = value;
    else if (name === '') comments.push(value);
    else {
      id = Number(value);
      assert(Number.isSafeInteger(id), `an id: ${line}`);
    }
  }
  return { ...(id !== undefined && { id }), ...(event !== undefined && { event }), data, comments };
}
