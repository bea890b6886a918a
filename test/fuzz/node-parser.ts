/** Node's own HTTP parser, as its server uses it, on bytes that are all there: what it makes of them is the reference. */
import { createRequire } from 'node:module';

export interface ParsedRequest {
  readonly version: string;
  readonly method: string;
  readonly url: string;
  /** Names in lower case, and values, in their order. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly keepsAlive: boolean;
  body: string;
  isWhole: boolean;
}

export interface Parsed {
  readonly requests: readonly ParsedRequest[];
  /** Why the parser stopped. */
  readonly error: string | undefined;
}

interface Parser {
  initialize(type: number, resource: object, maxHeaderBytes: number): void;
  execute(bytes: Buffer): number | (Error & { readonly code: string });
  [callback: number]: unknown;
}

interface ParserClass {
  new (): Parser;
  readonly REQUEST: number;
  readonly kOnHeaders: number;
  readonly kOnHeadersComplete: number;
  readonly kOnBody: number;
  readonly kOnMessageComplete: number;
}

// There is no public way to Node's parser but a whole server, which takes ten times as long.
const { HTTPParser, methods } = createRequire(import.meta.url)('node:_http_common') as {
  readonly HTTPParser: ParserClass;
  readonly methods: readonly string[];
};
const maxHeaderBytes = 16 * 1024;
/** Made once, as a new one takes longer than most input. */
const parser = new HTTPParser();

export function parseByNode(bytes: Buffer): Parsed {
  const requests: ParsedRequest[] = [];
  // A head with many headers comes in parts.
  let early: string[] = [];
  parser.initialize(HTTPParser.REQUEST, {}, maxHeaderBytes);
  parser[HTTPParser.kOnHeaders] = (headers: string[]) => void early.push(...headers);
  parser[HTTPParser.kOnHeadersComplete] = (
    ...[major, minor, headers, method, url, , , , keepsAlive]: readonly [
      number,
      number,
      string[] | undefined,
      number,
      string,
      unknown,
      unknown,
      boolean,
      boolean,
    ]
  ): number => {
    const all = [...early, ...(headers ?? [])];
    early = [];
    requests.push({
      version: `${major}.${minor}`,
      method: methods[method]!,
      url,
      headers: pairs(all),
      keepsAlive,
      body: '',
      isWhole: false,
    });
    return 0;
  };
  parser[HTTPParser.kOnBody] = (body: Buffer) => void (requests.at(-1)!.body += body.toString('latin1'));
  parser[HTTPParser.kOnMessageComplete] = () => void (requests.at(-1)!.isWhole = true);
  const result = parser.execute(bytes);
  return { requests, error: typeof result === 'number' ? undefined : result.code };
}

function pairs(flat: readonly string[]): [string, string][] {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i]!.toLowerCase(), flat[2 * i + 1]!]);
}
