/**
 * The gate of every data call. It checks that the token is valid, that it may use the account, that the server is
 * serving, and that the account stays below its rate limit; for a request by Node's server before the body is read.
 */
import { failure, type Failure } from '../../protocol/errors.ts';
import { accountId, accountPattern } from '../../protocol/ids.ts';
import type { DataRequest, Gate } from './data-request.ts';
import type { Access } from '../access.ts';
import type { Machines } from '../machines.ts';
import type { RouteContext } from './route-context.ts';
import { Disconnects } from './sockets/disconnects.ts';
import { shown } from '../../shared/text.ts';

export function authGate(context: RouteContext): Gate {
  const { tokens, machines } = context;
  return (request) => {
    const access = tokens.find(request.headers.authorization);
    if (access === undefined) return unauthorized;
    if (tokens.isOpen && isForeignPage(request)) return foreignPage;
    const { acc } = request.params;
    if (access.accounts !== '*' && !access.accounts.has(acc)) return foreignAccount;
    if (!accountPattern.test(acc)) return badAccount(acc);
    const elsewhere = machines.refusal(acc);
    if (elsewhere !== undefined && !asksThisMachine(machines, request, access)) return elsewhere;
    const state = context.lifecycle.state();
    if (state !== 'serving') return state === 'starting' ? starting : stopping;
    const account = accountId(acc);
    if (!context.rateLimiter.admit(account)) return rateLimited(context.rateLimiter.rateOf(account));
    const { account_connections_max } = context.limits;
    const connection = Disconnects.of(request.socket);
    if (!connection.belongsTo(account, context.accounts, account_connections_max)) {
      return tooManyConnections(account_connections_max);
    }
    connection.uses(access, context.tokens);
    request.access = access;
    return undefined;
  };
}

const unauthorized = failure(
  'unauthorized',
  'Unknown or missing token; expected the header Authorization: Bearer <token>',
);
const foreignAccount = failure('forbidden', 'This token may not use this account');
const foreignPage = failure('forbidden', 'A web page of another origin may not call a server without tokens');

function badAccount(acc: string): Failure {
  return failure('invalid', `account: expected 1 to 64 characters of A-Z a-z 0-9 . _ -, got ${shown(acc)}`);
}

/**
 * Whoever moves an account reads it where it was, and writes it where it will be, while others are sent to where the map
 * says.
 */
function asksThisMachine({ here }: Machines, { headers }: DataRequest, access: Access): boolean {
  return headers['dragonlock-machine'] === here && access.scopes.has('admin');
}

/** An event stream waits for the end of this. */
export const starting = failure('draining', 'The server is starting; nothing was done, try again');
export const stopping = failure('draining', 'The server is stopping; nothing was done, try again');

function rateLimited(most: number): Failure {
  const message = `Too many requests of this account; expected at most ${most} a second`;
  return failure('rate_limited', message, { Quota: 'requests', Limit: most });
}

function tooManyConnections(most: number): Failure {
  const message =
    `${most} connections of this account are open already (limits.account_connections_max); ` +
    'nothing was done, use those that are open';
  return failure('rate_limited', message, { Quota: 'connections', Limit: most });
}

/**
 * Returns whether a web page of another origin sent the request. Without tokens, only the browser protects a
 * developer's server on 127.0.0.1 from the pages that the developer visits, and a browser lets any page send a form to
 * any server. Browsers name the page's origin; programs send none.
 */
export function isForeignPage(request: Pick<DataRequest, 'headers'>): boolean {
  const { origin, host } = request.headers;
  return origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`;
}
