import type { FastifyInstance, FastifyReply } from 'fastify';
import { failure } from '../../../protocol/errors.ts';
import { revision } from '../../../protocol/ids.ts';
import type { RouteContext } from '../route-context.ts';
import { RequestOrder } from '../sockets/request-order.ts';
import { HttpExchange } from '../http-exchange.ts';
import { serverRoute } from '../server-route.ts';

/** Probes for supervisors and load balancers: no token, no account data. */
export function healthRoutes(app: FastifyInstance, context: RouteContext): void {
  const answer = (reply: FastifyReply, body: object): void => {
    const deliver = (): void => {
      const exchange = new HttpExchange(context, 'server', reply.raw);
      exchange.deliver({ rev: revision(0), outcome: 'ok', body: JSON.stringify(body) });
    };
    RequestOrder.of(reply.raw.req.socket).run(deliver);
  };

  /** The process answers, so there is no reason to restart it. */
  serverRoute(app, context, '/livez', (reply) => answer(reply, { Status: 'live' }));

  /** The server serves calls. */
  serverRoute(app, context, '/readyz', (reply) => {
    const state = context.lifecycle.state();
    if (state === 'serving') return answer(reply, { Status: 'ready' });
    const refuse = (): void =>
      new HttpExchange(context, 'server', reply.raw).refuse(failure('draining', `The server is ${state}`));
    RequestOrder.of(reply.raw.req.socket).run(refuse);
  });

  serverRoute(app, context, '/version', (reply) =>
    answer(reply, { Version: context.version, Boot: context.boot, Node: process.versions.node }),
  );
}
