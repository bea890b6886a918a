/** The thread of a `RecordingProxy`: it passes each request on, and tells what was said. */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { parentPort, workerData } from 'node:worker_threads';
import type { HttpMessage } from './openapi-checker.ts';

const target = new URL((workerData as { readonly url: string }).url);
const seen: HttpMessage[] = [];

const server = http.createServer((request, response) => void pass(request, response));

async function pass(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  const { method = 'GET', url = '/', headers } = request;
  const body = await buffer(request);
  const length = body.length > 0 ? { 'content-length': String(body.length) } : {};
  const { 'transfer-encoding': _chunked, expect: _expect, ...passed } = headers;
  const onward = http.request({
    host: target.hostname,
    port: target.port,
    method,
    path: url,
    headers: { ...passed, ...length },
  });
  response.on('close', () => onward.destroy());
  onward.on('error', () => response.destroy());
  onward.on('response', (reply) => {
    response.writeHead(reply.statusCode ?? 500, reply.headers);
    const chunks: Buffer[] = [];
    reply.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      response.write(chunk);
    });
    reply.on('error', () => response.destroy());
    reply.on('end', () => {
      seen.push({
        method,
        target: url,
        body: body.toString(),
        contentType: headers['content-type'] ?? '',
        status: reply.statusCode ?? 500,
        reply: Buffer.concat(chunks).toString(),
      });
      response.end();
    });
  });
  onward.end(body);
}

server.listen(0, '127.0.0.1', () => parentPort?.postMessage((server.address() as AddressInfo).port));
parentPort?.on('message', () => parentPort?.postMessage(seen));
