/**
 * The calls of administrators, declared once, as `calls` are: method, path, query, and the scope that they need. `admin`
 * administers accounts: those of the token, and of a token for all accounts, all. `operator` is for the server itself.
 */
import { adminPageMax } from '../../shared/limits.ts';
import { logLevels } from '../../shared/log-levels.ts';
import {
  integerParameter,
  keyParameter,
  requiredParameter,
  secondsParameter,
  wordsParameter,
  type QueryParameters,
} from './call.ts';

export interface AdminCallSpec<Parameters extends QueryParameters> {
  readonly method: 'GET' | 'POST' | 'PUT';
  /** `:acc` is an account, `*` an id, which may contain slashes. */
  readonly path: string;
  readonly summary: string;
  /** `any`: every valid token. `log`: `admin` with `?account`, `operator` without. */
  readonly scope: 'admin' | 'operator' | 'any' | 'log';
  readonly query: Parameters;
}

const account = { type: 'string', bytesMax: 66, limitName: 'the length of an account' } as const;
const limit = integerParameter(1, adminPageMax);
const topOrders = ['requests', 'bytes', 'time'] as const;
/** A level that somebody asks for ends by itself, also when nobody remembers it. */
const logLevelMsMax = 24 * 60 * 60 * 1000;
export const logLevelMsDefault = 10 * 60 * 1000;
export type TopOrder = (typeof topOrders)[number];

function adminCall<const Parameters extends QueryParameters>(
  spec: AdminCallSpec<Parameters>,
): AdminCallSpec<Parameters> {
  return spec;
}

export const adminCalls = {
  'admin.me': adminCall({
    method: 'GET',
    path: '/admin/me',
    summary: 'See what the token may do',
    scope: 'any',
    query: {},
  }),
  'admin.overview': adminCall({
    method: 'GET',
    path: '/admin/overview',
    summary: 'See how the server is, in one reply',
    scope: 'operator',
    query: {},
  }),
  'admin.live': adminCall({
    method: 'GET',
    path: '/admin/live',
    summary: 'Follow the overview: an event a second, with the members that have changed',
    scope: 'operator',
    query: {},
  }),
  'admin.accounts': adminCall({
    method: 'GET',
    path: '/admin/accounts',
    summary: 'List accounts with what they have stored and what they use',
    scope: 'admin',
    query: { after: account, limit },
  }),
  'admin.locks': adminCall({
    method: 'GET',
    path: '/admin/locks',
    summary: 'List the locks that most requests wait for, of all accounts or of one',
    scope: 'admin',
    query: { account },
  }),
  'admin.lock': adminCall({
    method: 'GET',
    path: '/admin/locks/:acc/*',
    summary: 'See a lock with its line and how its last leases ended',
    scope: 'admin',
    query: {},
  }),
  'admin.scripts': adminCall({
    method: 'GET',
    path: '/admin/scripts/:acc',
    summary: 'See how often scripts of an account were called, and how they failed',
    scope: 'admin',
    query: {},
  }),
  'admin.watchers': adminCall({
    method: 'GET',
    path: '/admin/watchers',
    summary: 'See some of the watches that are open, by account and prefix or key',
    scope: 'admin',
    query: { account },
  }),
  'admin.slow': adminCall({
    method: 'GET',
    path: '/admin/slow',
    summary: 'See the last requests that were slow, the newest first',
    scope: 'operator',
    query: { limit },
  }),
  'admin.top': adminCall({
    method: 'GET',
    path: '/admin/top',
    summary: 'See which accounts use the server most: an estimate of the last five to ten minutes',
    scope: 'operator',
    query: { by: wordsParameter(topOrders) },
  }),
  'admin.config': adminCall({
    method: 'GET',
    path: '/admin/config',
    summary: 'See the settings in use; a secret is only "set"',
    scope: 'operator',
    query: {},
  }),
  'admin.tokens': adminCall({
    method: 'GET',
    path: '/admin/tokens',
    summary: 'See the names of the tokens, and what they may do',
    scope: 'operator',
    query: {},
  }),
  'admin.reload': adminCall({
    method: 'POST',
    path: '/admin/reload',
    summary: 'Read the configuration again, as SIGHUP does, and take over what needs no restart',
    scope: 'operator',
    query: {},
  }),
  'admin.logLevel': adminCall({
    method: 'PUT',
    path: '/admin/log-level',
    summary: 'Log more or less for a while, 10 minutes if nothing is said; then the configured level holds again',
    scope: 'operator',
    query: {
      level: requiredParameter(wordsParameter(logLevels), `one of ${logLevels.join(', ')}`),
      for: secondsParameter('zero', logLevelMsMax),
    },
  }),
  'admin.drain': adminCall({
    method: 'POST',
    path: '/admin/drain',
    summary: 'Stop in order, as SIGTERM does: answer what was accepted, make a checkpoint, exit with 0',
    scope: 'operator',
    query: {},
  }),
  'admin.audit': adminCall({
    method: 'GET',
    path: '/admin/audit',
    summary: 'Read the audit log of an account, or of the server, the newest entries first',
    scope: 'log',
    query: { account, after: integerParameter(1, Number.MAX_SAFE_INTEGER), action: keyParameter, limit },
  }),
} as const;

export type AdminCallName = keyof typeof adminCalls;

/** All of them, with their names. */
export const adminCallList = Object.entries(adminCalls) as unknown as readonly [
  AdminCallName,
  AdminCallSpec<QueryParameters>,
][];
