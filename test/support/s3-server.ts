/**
 * A small server that speaks as S3 does, as far as the client needs it: put (with If-None-Match), get, head, list in pages,
 * delete. It checks that requests are signed, and fails as it is told to.
 */
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';

export interface PlannedAnswer {
  readonly status: number;
  readonly code: string;
  /** The call is done all the same. */
  readonly done?: boolean;
  /** The connection is closed after so many bytes of the answer. */
  readonly cutAfter?: number;
}

export class S3Server {
  readonly objects = new Map<string, Buffer>();
  readonly requests: string[] = [];
  /** Asked before each request. */
  plan: (method: string, key: string) => PlannedAnswer | undefined = () => undefined;
  /** Keys of a page. */
  pageSize = 3;
  honoursConditions = true;
  /** By how much its clock is ahead. */
  skewMs = 0;
  readonly #server = http.createServer((request, response) => void this.#answer(request, response));

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const url = new URL(request.url ?? '/', 'http://s3');
    const { method = '' } = request;
    const [, bucket = '', ...path] = decodeURIComponent(url.pathname).split('/');
    const key = path.join('/');
    this.requests.push(`${method} ${key || url.search}`);
    response.setHeader('Date', new Date(Date.now() + this.skewMs).toUTCString());
    const planned = this.plan(method, key);
    if (!request.headers.authorization?.startsWith('AWS4-HMAC-SHA256 ')) return fail(response, 403, 'AccessDenied');
    if (bucket !== 'bucket') return fail(response, 404, 'NoSuchBucket');
    if (planned !== undefined && planned.done !== true) return fail(response, planned.status, planned.code);
    const body = Buffer.concat(chunks);
    if (method === 'PUT') {
      const isThere = this.objects.has(key);
      if (isThere && this.honoursConditions && request.headers['if-none-match'] === '*')
        return fail(response, 412, 'PreconditionFailed');
      this.objects.set(key, body);
      if (planned !== undefined) return void response.destroy();
      return void response.setHeader('ETag', '"x"').end();
    }
    if (method === 'DELETE') {
      this.objects.delete(key);
      return void response.writeHead(204).end();
    }
    if (key === '') return this.#list(url, response);
    const found = this.objects.get(key);
    if (found === undefined) return fail(response, 404, 'NoSuchKey');
    response.setHeader('Content-Length', String(found.length)).setHeader('Last-Modified', new Date().toUTCString());
    if (method === 'HEAD') return void response.end();
    if (planned?.cutAfter === undefined) return void response.end(found);
    response.write(found.subarray(0, planned.cutAfter), () => response.destroy());
  }

  #list({ searchParams }: URL, response: http.ServerResponse): void {
    const prefix = searchParams.get('prefix') ?? '';
    const after = searchParams.get('continuation-token') ?? '';
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix) && key > after).toSorted();
    const page = keys.slice(0, this.pageSize);
    const rows = page.map(
      (key) =>
        `<Contents><Key>${key}</Key><Size>${this.objects.get(key)!.length}</Size>` +
        `<LastModified>${new Date().toISOString()}</LastModified></Contents>`,
    );
    const more = keys.length > page.length;
    response.setHeader('Content-Type', 'application/xml');
    response.end(
      `<?xml version="1.0"?><ListBucketResult><IsTruncated>${more}</IsTruncated>${rows.join('')}` +
        `${more ? `<NextContinuationToken>${page.at(-1)!}</NextContinuationToken>` : ''}</ListBucketResult>`,
    );
  }
}

function fail(response: http.ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'Content-Type': 'application/xml' });
  response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>planned</Message></Error>`);
}
