/**
 * What the bundle has instead of typebox: the functions that the sources use, which make the same schemas. Nothing else of
 * typebox is used when a server runs.
 */
type Schema = Readonly<Record<string, unknown>>;

/** Not enumerable, as in typebox: a schema that is spread into another is not optional by that. */
const optional = Symbol('optional');

function isOptional(schema: Schema): boolean {
  return (schema as { [optional]?: boolean })[optional] === true;
}

function Optional(schema: Schema): Schema {
  return Object.defineProperty({ ...schema }, optional, { value: true });
}

function ObjectOf(properties: Readonly<Record<string, Schema>>, options?: Schema): Schema {
  const required = Object.keys(properties).filter((name) => !isOptional(properties[name]!));
  return { type: 'object', ...(required.length > 0 && { required }), properties, ...options };
}

function Partial({ properties = {} }: { readonly properties?: Readonly<Record<string, Schema>> }): Schema {
  return ObjectOf(Object.fromEntries(Object.entries(properties).map(([name, one]) => [name, Optional(one)])));
}

const of = (type: string) => (options?: Schema) => ({ type, ...options });

export const Type = {
  Array: (items: Schema, options?: Schema): Schema => ({ type: 'array', items, ...options }),
  Boolean: of('boolean'),
  Enum: (values: readonly unknown[], options?: Schema): Schema => ({ enum: values, ...options }),
  Integer: of('integer'),
  Literal: (value: unknown, options?: Schema): Schema => ({ type: typeof value, const: value, ...options }),
  Number: of('number'),
  Object: ObjectOf,
  Optional,
  Partial,
  Record: (_names: Schema, values: Schema, options?: Schema): Schema => ({
    type: 'object',
    patternProperties: { '^.*$': values },
    ...options,
  }),
  String: of('string'),
  Union: (schemas: readonly Schema[], options?: Schema): Schema => ({ anyOf: schemas, ...options }),
  Unknown: (options?: Schema): Schema => ({ ...options }),
};
