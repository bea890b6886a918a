/** `GET /watch/:acc?prefix=&after=`: streams every change below a prefix as server-sent events. */
import type { FastifyInstance } from 'fastify';
import { revision, type Revision } from '../../../protocol/ids.ts';
import { integerMax, streamHeartbeatMs } from '../../../shared/limits.ts';
import { requireScope } from '../../access.ts';
import type { DataRequest, DataRoute } from '../data-request.ts';
import { accountIn, queryOf, type DefineDataRoute } from '../data-route.ts';
import type { RouteContext } from '../route-context.ts';
import { EventStream } from '../event-stream.ts';
import { readPrefix } from '../../../protocol/operations/fields.ts';
import { refuseField } from '../../../protocol/refusal.ts';
import { shown } from '../../../shared/text.ts';

export function watchStreamRoutes(app: FastifyInstance, context: RouteContext, define: DefineDataRoute): void {
  const open = new Set<EventStream>();
  // One timer serves all streams. It does not keep the process alive.
  const heartbeat = setInterval(() => {
    for (const stream of open) stream.heartbeat();
  }, streamHeartbeatMs).unref();
  app.addHook('onClose', (_app, done) => {
    clearInterval(heartbeat);
    done();
  });

  app.get<DataRoute>(
    '/watch/:acc',
    ...define.stream('watch_stream', (request, exchange) => {
      const query = queryOf(request, 'prefix', 'after');
      const after = lastEventId(request) ?? query.integer('after', 0);
      const prefix = readPrefix(query.text('prefix') ?? '', '?prefix');
      requireScope(request.access, 'read', 'Watching');
      const stream = new EventStream(exchange, context, (ended) => open.delete(ended));
      open.add(stream);
      const watch = { account: accountIn(request), prefix, ...(after !== undefined && { after: revisionOf(after) }) };
      return stream.follow(exchange.afterReplies(() => context.dispatcher.streamPrefix(watch, stream)));
    }),
  );
}

function revisionOf(after: number): Revision {
  return revision(after);
}

/** Returns the id of the last block that a browser has seen; it sends this header when it reconnects. */
function lastEventId(request: DataRequest): number | undefined {
  const header = request.headers['last-event-id'];
  if (header === undefined || header === '') return undefined;
  const value = Number(header);
  if (!/^\d{1,16}$/.test(String(header)) || value > integerMax) {
    return refuseField('Last-Event-ID', `expected a revision, got ${shown(header)}`);
  }
  return value;
}
