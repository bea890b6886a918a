/**
 * The common path of all calls below `/admin`: who may, the strict query, and refusals. A call looks at a bounded number
 * of things, and none with GET changes anything.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { failure, type Failure } from '../../../protocol/errors.ts';
import { accountId, accountPattern, revision, type AccountId } from '../../../protocol/ids.ts';
import type { QueryParameters } from '../../../protocol/operations/call.ts';
import { adminCalls, type AdminCallName, type AdminCallSpec } from '../../../protocol/operations/admin-calls.ts';
import { readKey } from '../../../protocol/operations/fields.ts';
import { refuse, refuseField } from '../../../protocol/refusal.ts';
import { shown } from '../../../shared/text.ts';
import { requireScope, type Access } from '../../access.ts';
import { answerInOrder } from '../answer-in-order.ts';
import { isForeignPage, starting, stopping } from '../auth.ts';
import { HttpExchange } from '../http-exchange.ts';
import { readQuery, type QueryText } from '../parse/query.ts';
import type { RouteContext } from '../route-context.ts';

/** What a call is given. Members of its query are as `adminCalls` declares them. */
export interface AdminRequest {
  readonly access: Access;
  readonly query: Readonly<Record<string, string | number | undefined>>;
  /** In the path; checked. */
  readonly account: AccountId | undefined;
  readonly id: string;
  /** The client's address. */
  readonly from: string;
}

export type AdminAnswer = (request: AdminRequest, exchange: HttpExchange) => void;

interface AdminParams {
  readonly acc?: string;
  readonly '*'?: string;
}

export function adminRoute(
  app: FastifyInstance,
  context: RouteContext,
  name: AdminCallName,
  answer: AdminAnswer,
): void {
  const spec: AdminCallSpec<QueryParameters> = adminCalls[name];
  app.route({
    method: spec.method !== 'GET' || name === 'admin.live' ? spec.method : ['GET', 'HEAD'],
    url: spec.path,
    config: { operation: 'admin' },
    onRequest(request, reply, next) {
      const refused = refusalOf(context, request);
      if (refused === undefined) next();
      else new HttpExchange(context, 'admin', reply.raw).refuse(refused);
    },
    handler(request, reply) {
      answerInOrder(context, 'admin', reply, (exchange) => answer(adminRequest(context, spec, request), exchange));
    },
  });
}

export function answerJson(exchange: HttpExchange, body: object): void {
  exchange.deliver({ rev: revision(0), outcome: 'ok', body: JSON.stringify(body) });
}

function refusalOf(context: RouteContext, request: FastifyRequest): Failure | undefined {
  const { tokens, lifecycle } = context;
  const badHead = context.checkHead(request.raw);
  if (badHead !== undefined) return badHead;
  if (tokens.find(request.headers.authorization) === undefined) return unauthorized;
  if (tokens.isOpen && isForeignPage(request)) return foreignPage;
  const state = lifecycle.state();
  return state === 'serving' ? undefined : state === 'starting' ? starting : stopping;
}

const unauthorized = failure('unauthorized', 'Unknown or missing token; expected Authorization: Bearer <token>');
const foreignPage = failure('forbidden', 'A web page of another origin may not call a server without tokens');

/** @throws Refusal */
function adminRequest(
  context: RouteContext,
  spec: AdminCallSpec<QueryParameters>,
  request: FastifyRequest,
): AdminRequest {
  // The token may have gone since the head was looked at.
  const access = context.tokens.find(request.headers.authorization) ?? refuse('unauthorized', unauthorized.message);
  const query = readQuery(request.query as QueryText, spec) as AdminRequest['query'];
  const params = request.params as AdminParams;
  const named = query['account'] === undefined ? undefined : (JSON.parse(String(query['account'])) as string);
  const needed = spec.scope === 'log' ? (named === undefined ? 'operator' : 'admin') : spec.scope;
  if (needed !== 'any') requireScope(access, needed, needed === 'operator' ? 'Looking at the server' : 'Administering');
  const account = params.acc ?? named;
  return {
    access,
    query,
    account: account === undefined ? undefined : allowedAccount(access, account),
    id: params['*'] === undefined ? '' : readKey(params['*'], 'id'),
    from: request.socket.remoteAddress ?? '',
  };
}

/** @throws Refusal */
function allowedAccount(access: Access, account: string): AccountId {
  if (!accountPattern.test(account))
    return refuseField('account', `expected 1 to 64 characters of A-Z a-z 0-9 . _ -, got ${shown(account)}`);
  if (access.accounts !== '*' && !access.accounts.has(account))
    return refuse('forbidden', 'This token may not use this account');
  return accountId(account);
}
