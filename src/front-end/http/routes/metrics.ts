import type { FastifyInstance } from 'fastify';
import type { RouteContext } from '../route-context.ts';
import { metricsRegistry } from '../../metrics-registry.ts';
import { serverRoute } from '../server-route.ts';

/** `GET /metrics`: Prometheus' text format. It needs no token, and has no data about accounts. */
export function metricsRoutes(app: FastifyInstance, context: RouteContext): void {
  const registry = metricsRegistry(context);
  // This is not a hot path, so Fastify may send the reply.
  serverRoute(app, context, '/metrics', async (reply) => {
    const startedAt = context.metrics.now();
    const text = await registry.metrics();
    context.metrics.count('server', 200, startedAt);
    return reply.header('Dragonlock-Boot', context.boot).type(registry.contentType).send(text);
  });
}
