/**
 * `GET /openapi.json`: the description of the API, and `GET /ui/api/`: the same for people. Neither needs a token. What they
 * are made of is loaded when somebody asks: nearly no front end is ever asked.
 */
import type { FastifyInstance } from 'fastify';
import { answerInOrder } from '../answer-in-order.ts';
import { answerBug } from '../error-replies.ts';
import type { Path } from '../paths.ts';
import type { RouteContext } from '../route-context.ts';
import { serverRoute } from '../server-route.ts';

interface Made {
  readonly text: Buffer;
  readonly headers: readonly string[];
}

export function openApiRoutes(app: FastifyInstance, context: RouteContext, paths: readonly Path[]): void {
  const route = (url: string, contentType: string, make: () => Promise<Made>): void => {
    let made: Promise<Made> | undefined;
    serverRoute(app, context, url, (reply) => {
      answerInOrder(context, 'server', reply, (exchange) => {
        exchange.wait({ cancel: () => {} });
        made ??= make();
        made.then(
          ({ text, headers }) => exchange.deliverShared(contentType, text, headers),
          (error: unknown) => answerBug(context, error, reply.request, exchange),
        );
      });
    });
  };
  const document = async () => (await import('../openapi/document.ts')).openApiDocument(paths, context.version);
  route('/openapi.json', 'application/json; charset=utf-8', async () => {
    return { text: Buffer.from(JSON.stringify(await document())), headers: [] };
  });
  route('/ui/api/', 'text/html; charset=utf-8', async () => {
    const { openApiPage, openApiPageHeaders } = await import('../openapi/page.ts');
    return { text: Buffer.from(openApiPage(await document())), headers: openApiPageHeaders };
  });
}
