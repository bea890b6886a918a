/** `GET /openapi.json`: the description of the API, and `GET /ui/api/`: the same for people. Neither needs a token. */
import type { FastifyInstance } from 'fastify';
import { answerInOrder } from '../answer-in-order.ts';
import { openApiDocument } from '../openapi/document.ts';
import { openApiPage, openApiPageHeaders } from '../openapi/page.ts';
import type { Path } from '../paths.ts';
import type { RouteContext } from '../route-context.ts';
import { serverRoute } from '../server-route.ts';

export function openApiRoutes(app: FastifyInstance, context: RouteContext, paths: readonly Path[]): void {
  /** Each text is made when it is first asked for: nearly no front end ever is. */
  const route = (url: string, contentType: string, headers: readonly string[], make: () => string): void => {
    let text: Buffer | undefined;
    serverRoute(app, context, url, (reply) => {
      answerInOrder(context, 'server', reply, (exchange) => {
        text ??= Buffer.from(make());
        exchange.deliverShared(contentType, text, headers);
      });
    });
  };
  const document = () => openApiDocument(paths, context.version);
  route('/openapi.json', 'application/json; charset=utf-8', [], () => JSON.stringify(document()));
  route('/ui/api/', 'text/html; charset=utf-8', openApiPageHeaders, () => openApiPage(document()));
}
