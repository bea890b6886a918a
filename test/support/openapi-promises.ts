/**
 * What a document of the API promises to clients that were generated from it, a line each: operations with their
 * parameters, bodies, replies and codes of errors, and the members of schemas with their types. A line that is gone breaks
 * such a client, and so does a new one with `required`.
 */
import type { OpenApiDocument } from '../../src/front-end/http/openapi/document.ts';

interface SchemaLike {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, SchemaLike>>;
  readonly required?: readonly string[];
  readonly items?: SchemaLike;
  readonly anyOf?: readonly SchemaLike[];
  readonly oneOf?: readonly SchemaLike[];
  readonly allOf?: readonly SchemaLike[];
}

export function promisesOf({ paths, components }: OpenApiDocument): string[] {
  const lines = new Set<string>();
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, { operationId, parameters, requestBody, responses }] of Object.entries(operations)) {
      const where = `${method.toUpperCase()} ${path}`;
      lines.add(`${where} is ${operationId}`);
      for (const { name, in: place, required, schema } of parameters)
        lines.add(
          `${where} ${place} ${name}: ${typeOf(schema)}${required === true && place !== 'path' ? ', required' : ''}`,
        );
      for (const [type, { schema }] of Object.entries(requestBody?.content ?? {}))
        addSchema(lines, `${where} takes ${type}`, schema, 'request');
      for (const [status, reply] of Object.entries(responses)) {
        for (const code of reply['x-codes'] ?? []) lines.add(`${where} ${status} ${code}`);
        for (const [type, { schema }] of Object.entries(reply.content ?? {}))
          addSchema(lines, `${where} ${status} ${type}`, schema, 'reply');
      }
    }
  }
  for (const [name, schema] of Object.entries(components.schemas)) addSchema(lines, name, schema, 'reply');
  return [...lines].toSorted();
}

/** What is there no more, and what is demanded anew, in words. */
export function brokenPromises(before: readonly string[], now: readonly string[]): string[] {
  const [had, has] = [new Set(before), new Set(now)];
  return [
    ...before.filter((line) => !has.has(line)).map((line) => `gone: ${line}`),
    ...now.filter((line) => line.endsWith(', required') && !had.has(line)).map((line) => `new: ${line}`),
  ];
}

function addSchema(lines: Set<string>, where: string, schema: SchemaLike, of: 'request' | 'reply'): void {
  lines.add(`${where}: ${typeOf(schema)}`);
  const { properties = {}, required = [], items, anyOf = [], oneOf = [], allOf = [] } = schema;
  for (const [name, member] of Object.entries(properties)) {
    addSchema(lines, `${where}.${name}`, member, of);
    // A reply that has more is no harm.
    if (of === 'request' && required.includes(name)) lines.add(`${where}.${name}, required`);
  }
  if (items !== undefined) addSchema(lines, `${where}[]`, items, of);
  for (const one of [...anyOf, ...oneOf, ...allOf]) addSchema(lines, where, one, of);
}

/** @returns the type, or the name of the schema that another has by reference */
function typeOf(schema: object): string {
  const { $ref, type } = schema as SchemaLike;
  return $ref?.replace('#/components/schemas/', '') ?? [type ?? 'any'].flat().join(' | ');
}
