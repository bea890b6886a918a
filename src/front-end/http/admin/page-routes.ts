/** `GET /ui/`: the admin page, each file of it at a path of its own. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { answerInOrder } from '../answer-in-order.ts';
import { HttpExchange } from '../http-exchange.ts';
import type { RouteContext } from '../route-context.ts';
import { pageFileNames, readPageFiles, type PageFile, type PageFiles } from './page-files.ts';

/** @param directory URL of the page's own files */
export function pageRoutes(app: FastifyInstance, context: RouteContext, directory: string): void {
  let files: PageFiles | undefined;
  const route = (url: string, answer: (request: FastifyRequest, exchange: HttpExchange) => void): void => {
    app.route({
      method: ['GET', 'HEAD'],
      url,
      config: { operation: 'admin' },
      onRequest(request, reply, next) {
        const refused = context.checkHead(request.raw);
        if (refused === undefined) next();
        else new HttpExchange(context, 'admin', reply.raw).refuse(refused);
      },
      handler(request, reply) {
        answerInOrder(context, 'admin', reply, (exchange) => answer(request, exchange));
      },
    });
  };
  for (const name of pageFileNames(directory)) {
    route(`/ui/${name === 'index.html' ? '' : name}`, (request, exchange) => {
      files ??= readPageFiles(directory, context.tokens.isOpen);
      send(context, request, exchange, { file: files.find(name)!, policy: files.policy });
    });
  }
  route('/ui', (_request, exchange) => {
    exchange.finish(308);
    exchange.res.writeHead(308, ['Location', 'ui/', 'Content-Length', '0']).end();
  });
}

function send(
  context: RouteContext,
  { headers }: FastifyRequest,
  exchange: HttpExchange,
  { file, policy }: { readonly file: PageFile; readonly policy: string },
): void {
  const isKnown = headers['if-none-match'] === file.etag;
  const compressed = /\bgzip\b/.test(headers['accept-encoding'] ?? '');
  const bytes = compressed ? file.compressed : file.bytes;
  const { res: raw } = exchange;
  exchange.finish(isKnown ? 304 : 200);
  if (exchange.disconnected) return;
  const head = [
    'Dragonlock-Boot',
    context.boot,
    'Cache-Control',
    'no-cache',
    'ETag',
    file.etag,
    'Vary',
    'Accept-Encoding',
    'Content-Security-Policy',
    policy,
    'X-Content-Type-Options',
    'nosniff',
    'Referrer-Policy',
    'no-referrer',
  ];
  if (isKnown) return void raw.writeHead(304, head).end();
  head.push('Content-Type', file.type, 'Content-Length', String(bytes.length));
  if (compressed) head.push('Content-Encoding', 'gzip');
  raw.writeHead(200, head).end(bytes);
  // However many have not read it, there is one copy.
  context.unread.written(raw, 0);
}
