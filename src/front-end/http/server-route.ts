/** Calls about the server itself: no token, no account. HEAD is answered as GET, without the body. */
import type { FastifyInstance, FastifyReply } from 'fastify';
import { HttpExchange } from './http-exchange.ts';
import type { RouteContext } from './route-context.ts';

export function serverRoute(
  app: FastifyInstance,
  context: RouteContext,
  url: string,
  answer: (reply: FastifyReply) => unknown,
): void {
  app.route({
    method: ['GET', 'HEAD'],
    url,
    config: { operation: 'server' },
    onRequest(request, reply, next) {
      const refused = context.checkHead(request.raw);
      if (refused === undefined) next();
      else new HttpExchange(context, 'server', reply.raw).refuse(refused);
    },
    handler: (_request, reply) => answer(reply),
  });
}
