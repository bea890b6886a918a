/**
 * The OpenAPI 3.1 document, made of the routes that the server has: REST calls are described by their declarations
 * (rest-calls.ts), the others by a table (other-routes.ts). A route that neither knows is there without a word, and
 * `test/front-end/http/openapi.test.ts` fails. Nothing in it depends on the configuration.
 */
import { accountPattern } from '../../../protocol/ids.ts';
import { errorCodes, type ErrorCode } from '../../../protocol/errors.ts';
import { routeOf } from '../../../protocol/operations/call.ts';
import { callList, type CallName } from '../../../protocol/operations/operations.ts';
import { failureReplySchema } from '../../../protocol/reply-schemas/failure-reply.ts';
import type { Path } from '../paths.ts';
import type { DescribedReply, DescribedRoute, NamedSchema } from './described.ts';
import { adminRoutesDescribed } from './admin-routes.ts';
import { otherRoutes } from './other-routes.ts';
import { describeCall } from './rest-calls.ts';
import { keySchema, schemaOf, type Schema } from './schemas.ts';
import { tags } from './tags.ts';

export interface OpenApiDocument {
  readonly openapi: '3.1.0';
  readonly info: object;
  readonly servers: readonly object[];
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>>; readonly securitySchemes: object };
}

export interface OpenApiOperation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  /** What OpenAPI has no words for: parameters that exclude each other. */
  readonly description?: string;
  readonly parameters: readonly OpenApiParameter[];
  readonly requestBody?: { readonly required: true; readonly content: Content };
  readonly responses: Readonly<Record<string, OpenApiResponse>>;
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
}

export interface OpenApiParameter {
  readonly name: string;
  readonly in: string;
  readonly required?: true;
  readonly description: string;
  readonly schema: Schema;
}

export interface OpenApiResponse {
  readonly description: string;
  readonly headers?: object;
  readonly content?: Content;
  /** The codes of an error, which `Code` may have. */
  readonly 'x-codes'?: readonly string[];
}

type Content = Readonly<Record<string, { readonly schema: Schema }>>;

const account: OpenApiParameter = {
  name: 'acc',
  in: 'path',
  required: true,
  description: 'The account; it need not be created.',
  schema: { type: 'string', pattern: accountPattern.source },
};
/** Not `id`, as docs/http.md calls it: some calls have a query parameter of that name, and clients get one argument. */
const nameInPath: OpenApiParameter = {
  name: 'name',
  in: 'path',
  required: true,
  description: 'The name of the thing; a slash in it may be sent as it is or as `%2F`.',
  schema: keySchema,
};
const retryAfter = {
  'Retry-After': { description: 'Seconds after which it is worth a try.', schema: { type: 'integer', minimum: 0 } },
};

/** Files of pages for people are no part of the API. */
const pages = /^\/ui(\/|$)/;

export function openApiDocument(paths: readonly Path[], version: string): OpenApiDocument {
  const schemas: Record<string, Schema> = {};
  const calls = new Map(
    callList.map(([name, spec]) => [`${spec.method} ${routeOf(spec).replace('*', ':id')}`, [name, spec] as const]),
  );
  const describe = (method: string, pattern: string): DescribedRoute => {
    const known = calls.get(`${method} ${pattern}`);
    if (known !== undefined) return describeCall(...(known as [CallName, (typeof known)[1]]));
    const route = `${method} ${pattern}`;
    return adminRoutesDescribed.get(route) ?? otherRoutes[route] ?? undescribed(method, pattern);
  };
  const described = paths
    .filter(({ pattern }) => !pages.test(pattern))
    .map(({ pattern, methods }) => {
      const inUse = methods.filter((method) => method !== 'HEAD');
      const operations = inUse.map(
        (method) => [method.toLowerCase(), operationOf(describe(method, pattern), pattern, schemas)] as const,
      );
      return [pattern.replace(':acc', '{acc}').replace(':id', '{name}'), Object.fromEntries(operations)] as const;
    });
  schemas['Failure'] = { ...schemaOf(failureReplySchema), description: meanings() };
  return {
    openapi: '3.1.0',
    info: {
      title: 'Dragon Lock',
      version,
      description:
        'Locks, keys with versions, counters, queues and atomic batches. docs/http.md explains the calls; errors are ' +
        '`Failure`. Without configured tokens no call needs one.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'The server that answers this.' }],
    tags: Object.entries(tags).map(([name, description]) => ({ name, description })),
    paths: Object.fromEntries(described),
    components: {
      schemas: Object.fromEntries(Object.entries(schemas).toSorted(byName)),
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'A token of config.yml.' } },
    },
  };
}

function byName(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : 1;
}

function meanings(): string {
  const codes = Object.entries(errorCodes).map(
    ([code, { status, meaning }]) => `- \`${code}\` (${status}): ${meaning}`,
  );
  return `An error. Its codes:\n\n${codes.join('\n')}`;
}

function exclusion({ names, required }: NonNullable<DescribedRoute['oneOf']>): string {
  return `${required ? 'Exactly' : 'At most'} one of ${names.map((name) => `\`${name}\``).join(', ')}.`;
}

function undescribed(method: string, pattern: string): DescribedRoute {
  const words = `${method.toLowerCase()}${pattern}`.replaceAll(/\W+/g, '_');
  return { id: words, tag: 'server', summary: '', replies: {}, failures: [] };
}

function operationOf(route: DescribedRoute, pattern: string, schemas: Record<string, Schema>): OpenApiOperation {
  const { scopes, body, oneOf, parameters = [] } = route;
  const inPath = [...(pattern.includes(':acc') ? [account] : []), ...(pattern.includes(':id') ? [nameInPath] : [])];
  return {
    operationId: route.id,
    tags: [route.tag],
    summary: route.summary,
    ...(oneOf !== undefined && { description: exclusion(oneOf) }),
    parameters: [...inPath, ...parameters],
    ...(body !== undefined && { requestBody: { required: true as const, content: contentOf(body, schemas) } }),
    responses: { ...repliesOf(route.replies, schemas), ...failuresOf(route.failures) },
    security: scopes === undefined ? [] : [{ token: scopes }, {}],
  };
}

function repliesOf(
  replies: DescribedRoute['replies'],
  schemas: Record<string, Schema>,
): Record<string, OpenApiResponse> {
  const responses = Object.entries(replies).map(([status, { description, content }]: [string, DescribedReply]) => {
    const empty = Object.keys(content).length === 0;
    return [status, { description, ...(!empty && { content: contentOf(content, schemas) }) }] as const;
  });
  return Object.fromEntries(responses);
}

/** One response for each status, which names its codes. */
function failuresOf(failures: readonly ErrorCode[]): Record<string, OpenApiResponse> {
  const responses: Record<string, OpenApiResponse> = {};
  const codes = [...new Set(failures)].toSorted();
  for (const status of new Set(codes.map((code) => errorCodes[code].status).toSorted((a, b) => a - b))) {
    const own = codes.filter((code) => errorCodes[code].status === status);
    responses[status] = {
      description: own.map((code) => `\`${code}\``).join(', '),
      ...((status === 429 || status === 503) && { headers: retryAfter }),
      content: { 'application/json': { schema: { $ref: '#/components/schemas/Failure' } } },
      'x-codes': own,
    };
  }
  return responses;
}

function contentOf(content: Readonly<Record<string, NamedSchema | Schema>>, schemas: Record<string, Schema>): Content {
  return Object.fromEntries(
    Object.entries(content).map(([type, schema]) => [type, { schema: referred(schema, schemas) as Schema }]),
  );
}

/** Puts named schemas among the components, and returns the schema with references to them. */
function referred(schema: unknown, schemas: Record<string, Schema>): unknown {
  if (Array.isArray(schema)) return schema.map((item) => referred(item, schemas));
  if (typeof schema !== 'object' || schema === null) return schema;
  if (isNamed(schema)) {
    schemas[schema.name] = schema.schema;
    return { $ref: `#/components/schemas/${schema.name}` };
  }
  return Object.fromEntries(Object.entries(schema).map(([name, part]) => [name, referred(part, schemas)]));
}

function isNamed(schema: object): schema is NamedSchema {
  return 'name' in schema && 'schema' in schema && Object.keys(schema).length === 2;
}
