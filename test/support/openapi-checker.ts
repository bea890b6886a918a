/**
 * Checks requests and replies against the OpenAPI document that a server gives, stricter than a client should: a member
 * that the document does not name fails, and so does a code of an error that the operation does not have.
 */
import assert from 'node:assert/strict';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import type { OpenApiDocument, OpenApiOperation } from '../../src/front-end/http/openapi/document.ts';
import type { Schema } from '../../src/front-end/http/openapi/schemas.ts';

export interface HttpMessage {
  readonly method: string;
  /** Path and query. */
  readonly target: string;
  readonly body: string;
  readonly contentType: string;
  readonly status: number;
  readonly reply: string;
}

interface Route {
  readonly matches: RegExp;
  readonly operations: Readonly<Record<string, OpenApiOperation>>;
}

export class OpenApiChecker {
  readonly document: OpenApiDocument;
  readonly #ajv = new Ajv2020({ strict: false, validateFormats: false });
  readonly #compiled = new Map<Schema, ValidateFunction>();
  readonly #routes: readonly Route[];

  constructor(document: OpenApiDocument) {
    this.document = document;
    this.#ajv.addSchema({ $id: 'api', components: closed(document.components) });
    const paths = Object.entries(document.paths).toSorted(([a], [b]) => b.length - a.length);
    this.#routes = paths.map(([path, operations]) => ({
      matches: new RegExp(`^${path.replace('{acc}', '[^/]+').replace('{name}', '.+')}$`),
      operations,
    }));
  }

  /** Returns what the document says of a call; undefined: there is no such call. */
  operation(method: string, target: string): OpenApiOperation | undefined {
    const path = target.split('?', 1)[0]!;
    const verb = method.toLowerCase();
    return this.#routes.find(({ matches, operations }) => matches.test(path) && verb in operations)?.operations[verb];
  }

  /** Checks a reply; and the request, if it succeeded. @returns the operation @throws AssertionError */
  check(message: HttpMessage): string {
    const { method, target, status, reply } = message;
    const what = `${method} ${target} → ${status} ${reply}`;
    const operation = this.operation(method, target) ?? assert.fail(`${what}: the document has no such call`);
    const response = operation.responses[status] ?? assert.fail(`${what}: ${operation.operationId} has no ${status}`);
    const json = response.content?.['application/json'];
    if (json !== undefined) this.#fits(json.schema, JSON.parse(reply), what);
    const codes = response['x-codes'];
    if (codes !== undefined) {
      const { Code } = JSON.parse(reply) as { readonly Code: string };
      assert.ok(codes.includes(Code), `${what}: the document lists only ${codes.join(', ')}`);
    }
    if (status < 300) this.#checkRequest(operation, message);
    return operation.operationId;
  }

  #checkRequest(operation: OpenApiOperation, { method, target, body, contentType }: HttpMessage): void {
    const query = new URL(target, 'http://localhost').searchParams;
    const known = operation.parameters.filter((parameter) => parameter.in === 'query');
    for (const [name, text] of query) {
      const parameter = known.find((one) => one.name === name) ?? assert.fail(`${target}: ${name} is not documented`);
      const isNumber = parameter.schema.type === 'number' || parameter.schema.type === 'integer';
      this.#fits(parameter.schema, isNumber ? Number(text) : text, `${method} ${target}: ?${name}`);
    }
    for (const { name, required } of known)
      assert.ok(required !== true || query.has(name), `${target} did without ${name}`);
    const content = operation.requestBody?.content;
    if (content === undefined) return assert.equal(body, '', `${method} ${target} took a body`);
    const isSource = contentType.startsWith('text/javascript');
    const asText = isSource || query.get('as') === 'text' || contentType.startsWith('text/plain');
    const schema = content[isSource ? 'text/javascript' : asText ? 'text/plain' : 'application/json']?.schema;
    assert.ok(schema, `${method} ${target}: ${contentType}`);
    this.#fits(schema, asText ? body : JSON.parse(body), `${method} ${target} ${body}`);
  }

  #fits(schema: Schema, value: unknown, what: string): void {
    let validate = this.#compiled.get(schema);
    if (validate === undefined) {
      const own = closed(schema) as object;
      validate = this.#ajv.compile(JSON.parse(JSON.stringify(own).replaceAll('"#/components', '"api#/components')));
      this.#compiled.set(schema, validate);
    }
    assert.ok(validate(value), `${what}: ${JSON.stringify(validate.errors)}`);
  }
}

/** Copies a schema; an object has no members but those that it names. */
function closed(part: unknown): unknown {
  if (Array.isArray(part)) return part.map((item) => closed(item));
  if (typeof part !== 'object' || part === null) return part;
  const copy = Object.fromEntries(Object.entries(part).map(([name, value]) => [name, closed(value)]));
  const isObject = copy['type'] === 'object' && typeof copy['properties'] === 'object';
  return isObject && !('additionalProperties' in copy) ? { ...copy, additionalProperties: false } : copy;
}
