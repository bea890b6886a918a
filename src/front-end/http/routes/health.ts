import type { FastifyInstance, FastifyReply } from 'fastify';
import { failure } from '../../../protocol/errors.ts';
import { revision } from '../../../protocol/ids.ts';
import type { RouteContext } from '../route-context.ts';
import { Pipeline } from '../sockets/pipeline.ts';
import { Exchange } from '../exchange.ts';

/** Probes for supervisors and load balancers: no token, no account data. */
export function healthRoutes(app: FastifyInstance, context: RouteContext): void {
  const options = { config: { operation: 'server' } } as const;
  const answer = (reply: FastifyReply, body: object): void => {
    const deliver = (): void => {
      const exchange = new Exchange(context, 'server', reply.raw);
      exchange.deliver({ rev: revision(0), outcome: 'ok', body: JSON.stringify(body) });
    };
    Pipeline.of(reply.raw.req.socket).begin(deliver);
  };

  /** The process answers, so there is no reason to restart it. */
  app.get('/livez', options, (_request, reply) => answer(reply, { Status: 'live' }));

  /** The server serves calls. */
  app.get('/readyz', options, (_request, reply) => {
    const state = context.lifecycle.state();
    if (state === 'serving') return answer(reply, { Status: 'ready' });
    const refuse = (): void =>
      new Exchange(context, 'server', reply.raw).refuse(failure('draining', `The server is ${state}`));
    Pipeline.of(reply.raw.req.socket).begin(refuse);
  });

  app.get('/version', options, (_request, reply) =>
    answer(reply, { Version: context.version, Boot: context.boot, Node: process.versions.node }),
  );
}
