/**
 * Settings in the environment, for containers: `DRAGONLOCK_` and the key's path in capitals with `_`, such as
 * `DRAGONLOCK_LIMITS_BODY_BYTES_MAX`, for each key that is one value. `listen` may be several, with commas between.
 */
import { configSchema } from '../../front-end/config-schema.ts';
import { nearestName } from '../../shared/closest-name.ts';
import type { ConfigPath, Override } from './config-file.ts';

interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly anyOf?: readonly Schema[];
}

type Environment = Readonly<Record<string, string | undefined>>;

const prefix = 'DRAGONLOCK_';

/** An empty variable counts as not set. */
export function environmentOverrides(env: Environment): Override[] {
  return [...settings()].flatMap(([name, { path, schema }]) => {
    const text = env[name];
    if (text === undefined || text === '') return [];
    const value = name === 'DRAGONLOCK_LISTEN' ? splitList(text) : valueOf(schema, text);
    return [{ name, path, value }];
  });
}

/** Returns what is wrong with variables that are named as if they were settings of a section. */
export function unknownSettings(env: Environment): string[] {
  const known = settings();
  const sections = Object.entries(configSchema.properties as Readonly<Record<string, Schema>>)
    .filter(([, { properties }]) => properties !== undefined)
    .map(([key]) => `${prefix}${key.toUpperCase()}_`);
  return Object.entries(env)
    .filter(([name, text]) => text !== '' && !known.has(name) && sections.some((section) => name.startsWith(section)))
    .map(([name]) => {
      const meant = nearestName(name, [...known.keys()]);
      return `${name}: there is no such setting${meant === undefined ? '; docs/config.md has all' : `; did you mean ${meant}?`}`;
    });
}

/** Returns one text as it is, several as a list. */
export function splitList(text: string): string | readonly string[] {
  return text.includes(',') ? text.split(',').map((part) => part.trim()) : text;
}

function settings(): Map<string, { readonly path: ConfigPath; readonly schema: Schema }> {
  return new Map(leaves(configSchema as Schema, []).map((leaf) => [prefix + leaf.path.join('_').toUpperCase(), leaf]));
}

function leaves(
  schema: Schema,
  path: readonly string[],
): { readonly path: readonly string[]; readonly schema: Schema }[] {
  if (schema.properties !== undefined)
    return Object.entries(schema.properties).flatMap(([key, child]) => leaves(child, [...path, key]));
  const isList = schema.type === 'array' && path[0] !== 'listen';
  return isList ? [] : [{ path, schema }];
}

/** What does not fit stays text, and the schema refuses it. */
function valueOf({ type, anyOf }: Schema, text: string): unknown {
  if (type === 'boolean' && /^(true|false)$/.test(text)) return text === 'true';
  if ((type === 'integer' || anyOf !== undefined) && /^-?\d+$/.test(text)) return Number(text);
  return text;
}
