/** Schemas as the document has them: what a field takes, said in words by `expected`, becomes its description. */
import { keyBytesMax } from '../../../shared/limits.ts';
import type { QueryParameter } from '../../../protocol/operations/call.ts';
import { aKey } from '../../../protocol/operations/fields.ts';
import { aMessageId } from '../../../protocol/operations/queue-receipts.ts';
import { messageIdBytesMax } from '../../../protocol/message-id.ts';
import { unreachable } from '../../../shared/assert.ts';

/** A JSON Schema (2020-12), as OpenAPI 3.1 has them. */
export interface Schema {
  readonly type?: string;
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly [name: string]: unknown;
}

const noNul = '^[^\\u0000]*$';
/** The fields' own schemas leave lengths and characters to the code that reads them. */
const keySchema = { type: 'string', minLength: 1, maxLength: keyBytesMax, pattern: noNul };
const prefixSchema = { type: 'string', maxLength: keyBytesMax, pattern: noNul };

const messageSchema = {
  type: 'string',
  maxLength: messageIdBytesMax,
  pattern: '^(0|[1-9][0-9]{0,15})-(0|[1-9][0-9]{0,5})(p[1-9])?(:[^\\u0000]{0,512})?$',
};

/** Copies a TypeBox schema. */
export function schemaOf(schema: object): Schema {
  return converted(schema) as Schema;
}

function converted(part: unknown): unknown {
  if (Array.isArray(part)) return part.map((item) => converted(item));
  if (typeof part !== 'object' || part === null) return part;
  const copy: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(part)) {
    if (name !== 'expected' || typeof value !== 'string') copy[name] = converted(value);
    else if (value === aKey) Object.assign(copy, keySchema, { description: sentence(value) });
    else if (value === aMessageId) Object.assign(copy, messageSchema, { description: sentence(value) });
    else copy['description'] = sentence(value);
  }
  return withFormat(copy);
}

/** Without a format, generated clients take the smaller types of their language. */
function withFormat(schema: Schema): Schema {
  if (schema.type === 'integer') return { ...schema, format: 'int64' };
  return schema.type === 'number' ? { ...schema, format: 'double' } : schema;
}

/** Lets one item stand for a list of it, as `POST /db/:acc` does. */
export function orOneItem(list: Schema): Schema {
  const { description, ...rest } = list;
  return { description, anyOf: [rest, rest['items']] };
}

export function parameterSchema(parameter: QueryParameter): Schema {
  switch (parameter.type) {
    case 'integer':
    case 'number':
      return withFormat({ type: parameter.type, minimum: parameter.min, maximum: parameter.max });
    case 'seconds': {
      const least = parameter.above === 'zero' ? { exclusiveMinimum: 0 } : { minimum: 0 };
      return withFormat({ type: 'number', ...least, maximum: parameter.maxMs / 1000 });
    }
    case 'key':
      return keySchema;
    case 'prefix':
      return prefixSchema;
    case 'message':
      return messageSchema;
    case 'word':
      return { type: 'string', enum: [parameter.word] };
    case 'words':
      return { type: 'string', enum: [...parameter.words] };
    case 'string':
      // The limit counts the quotes of the JSON string.
      return { type: 'string', maxLength: parameter.bytesMax - 2 };
    default:
      return unreachable(parameter);
  }
}

export { keySchema, prefixSchema };

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
