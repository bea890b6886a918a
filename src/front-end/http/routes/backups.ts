/** Calls about backups, for the operator of the server. The backup thread takes what is asked within its next interval. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { BackupCells } from '../../../backup/backup-cells.ts';
import { failure, type Failure } from '../../../protocol/errors.ts';
import { revision } from '../../../protocol/ids.ts';
import { Refusal } from '../../../protocol/refusal.ts';
import { auditServer } from '../../audited.ts';
import { answerInOrder } from '../answer-in-order.ts';
import { isForeignPage } from '../auth.ts';
import { HttpExchange } from '../http-exchange.ts';
import type { RouteContext } from '../route-context.ts';

export function backupRoutes(app: FastifyInstance, context: RouteContext): void {
  const { tokens, dispatcher, lifecycle } = context;
  const refusalOf = (request: FastifyRequest): Failure | undefined => {
    const badHead = context.checkHead(request.raw);
    if (badHead !== undefined) return badHead;
    const access = tokens.find(request.headers.authorization);
    if (access === undefined) return failure('unauthorized', 'Unknown or missing token');
    if (tokens.isOpen && isForeignPage(request)) return failure('forbidden', 'A page of another origin may not');
    if (!access.scopes.has('operator')) return failure('forbidden', 'Backups need a token with the scope "operator"');
    if (context.backup === undefined) return failure('not_found', 'No backups are configured (backup.url).');
    return undefined;
  };
  /** @param action what the audit log calls it */
  const route = (
    method: 'GET' | 'POST',
    url: string,
    answer: (cells: BackupCells) => object,
    action?: string,
  ): void => {
    app.route({
      method: method === 'GET' ? ['GET', 'HEAD'] : method,
      url,
      config: { operation: 'server' },
      onRequest(request, reply, next) {
        const refused = refusalOf(request);
        if (refused === undefined) next();
        else new HttpExchange(context, 'server', reply.raw).refuse(refused);
      },
      handler(request, reply) {
        answerInOrder(context, 'server', reply, (exchange) => {
          const body = JSON.stringify(answer(context.backup!));
          const deliver = (): void => exchange.deliver({ rev: revision(0), outcome: 'ok', body });
          if (action === undefined || lifecycle.state() !== 'serving') return deliver();
          const who = tokens.find(request.headers.authorization)?.name ?? '';
          exchange.wait({ cancel: () => {} });
          auditServer(dispatcher, { action, subject: '', who, from: request.socket.remoteAddress ?? '' }, deliver);
        });
      },
    });
  };
  route('GET', '/admin/backups', backupStatus);
  route(
    'POST',
    '/admin/backups',
    (cells) => {
      const Asked = cells.askForCopy();
      if (Asked === undefined)
        throw new Refusal(
          failure(
            'copy_in_progress',
            'A copy is asked for already or being made, and will have all that was committed before it is done; ' +
              'GET /admin/backups shows it (Copying, CopyRev).',
          ),
        );
      return { Asked, ...backupStatus(cells) };
    },
    'backup.copy',
  );
  route(
    'POST',
    '/admin/backups/adopt',
    (cells) => {
      cells.add('askedToAdopt', 1);
      return { Asked: cells.get('askedToAdopt'), ...backupStatus(cells) };
    },
    'backup.adopt',
  );
}

export function backupStatus(cells: BackupCells): object {
  return {
    State: cells.state,
    Writer: cells.get('writer'),
    Shipped: cells.get('shipped'),
    ShippedAtMs: cells.get('shippedAt'),
    CaughtUpAtMs: Math.round(cells.get('caughtUpAt')),
    Gaps: cells.get('gaps'),
    HeldBytes: cells.get('heldBytes'),
    Copying: cells.get('copying') === 1,
    CopyingRows: cells.get('copyingRows'),
    CopyRev: cells.get('copyRevision'),
    CopyAtMs: Math.round(cells.get('copyAt')),
    CopiesTaken: cells.get('takenCopies'),
    AdoptsTaken: cells.get('takenAdopt'),
  };
}
