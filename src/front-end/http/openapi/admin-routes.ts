/** Describes the calls of administrators from their declarations. */
import type { QueryParameters } from '../../../protocol/operations/call.ts';
import { adminCallList, type AdminCallName, type AdminCallSpec } from '../../../protocol/operations/admin-calls.ts';
import { adminReplies } from '../../../protocol/reply-schemas/admin-replies.ts';
import type { ErrorCode } from '../../../protocol/errors.ts';
import type { Scope } from '../../config-schema.ts';
import { jsonReply, type DescribedRoute } from './described.ts';
import { parametersOf } from './rest-calls.ts';
import { schemaOf } from './schemas.ts';

const failures: readonly ErrorCode[] = [
  'invalid',
  'unauthorized',
  'forbidden',
  'draining',
  'internal',
  'overloaded',
  'too_many_waiters',
];

const scopesOfCall: Readonly<Record<AdminCallSpec<QueryParameters>['scope'], readonly Scope[]>> = {
  admin: ['admin'],
  operator: ['operator'],
  any: [],
  log: ['admin', 'operator'],
};

/** By method and path. */
export const adminRoutesDescribed: ReadonlyMap<string, DescribedRoute> = new Map(
  adminCallList.map(([name, spec]) => [`${spec.method} ${spec.path.replace('*', ':id')}`, describe(name, spec)]),
);

function describe(name: AdminCallName, spec: AdminCallSpec<QueryParameters>): DescribedRoute {
  const stream = name === 'admin.live';
  return {
    id: name.replace('.', '_'),
    tag: 'admin',
    summary: `${spec.summary}.`,
    parameters: parametersOf(name, spec.query),
    replies: {
      200: stream
        ? { description: 'An event a second.', content: { 'text/event-stream': { type: 'string' } } }
        : jsonReply(replyNameOf(name), schemaOf(adminReplies[name])),
    },
    failures,
    scopes: scopesOfCall[spec.scope],
  };
}

/** `admin.me` answers an `AdminMeReply`. */
function replyNameOf(name: AdminCallName): string {
  const word = name.slice(name.indexOf('.') + 1);
  return `Admin${word.charAt(0).toUpperCase()}${word.slice(1)}Reply`;
}
