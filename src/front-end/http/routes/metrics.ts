import type { FastifyInstance } from 'fastify';
import type { RouteContext } from '../route-context.ts';
import { metricsRegistry } from '../../metrics-registry.ts';

/** `GET /metrics`: Prometheus' text format, without a token and without anything about accounts. */
export function metricsRoutes(app: FastifyInstance, context: RouteContext): void {
  const registry = metricsRegistry(context);
  // Not on a hot path: Fastify may send this one.
  app.get('/metrics', { config: { operation: 'server' } }, async (_request, reply) => {
    const startedAt = context.metrics.now();
    const text = await registry.metrics();
    context.metrics.count('server', 200, startedAt);
    return reply.header('Dragonlock-Boot', context.boot).type(registry.contentType).send(text);
  });
}
