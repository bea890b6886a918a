/**
 * Reads the query of a URL strictly: refuses unknown or repeated parameters, broken percent-encoding and numbers that
 * are not plain decimals, so that a typo never falls back to a default.
 */
import { integerMax } from '../../../shared/limits.ts';
import { nearestName } from '../../../shared/closest-name.ts';
import type { CallSpec, QueryParameter, QueryParameters, QueryValues } from '../../../protocol/operations/call.ts';
import { jsonText, readKey, secondsToMs, readPrefix } from '../../../protocol/operations/fields.ts';
import { readMessageId } from '../../../protocol/operations/queue-receipts.ts';
import { unreachable } from '../../../shared/assert.ts';
import { refuse, refuseField } from '../../../protocol/refusal.ts';
import { shown } from '../../../shared/text.ts';

/** The content of Fastify's `request.query`: the text after the `?`, for `Query` to read. */
export interface QueryText {
  // Fastify requires that queries are objects with any members.
  readonly [name: string]: unknown;
  readonly text: string;
}

/** Returns what to do about a parameter that this call does not know, if there is more to say than its names. */
export type UnknownHint = (name: string) => string | undefined;

export class Query {
  readonly #values: ReadonlyMap<string, string>;

  /** @param known the names of the call's parameters */
  constructor(query: QueryText, known: readonly string[], hintOf?: UnknownHint) {
    const { text } = query;
    this.#values = text === '' ? noValues : parse(text, known, hintOf);
  }

  text(name: string): string | undefined {
    return this.#values.get(name);
  }

  integer(name: string, min: number, max: number = integerMax): number | undefined {
    const text = this.#values.get(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!/^-?(0|[1-9]\d*)$/.test(text) || value < min || value > max) {
      return refuseField(
        `?${name}`,
        `expected an integer from ${shownBound(min)} to ${shownBound(max)}, got ${shown(text)}`,
      );
    }
    return value + 0;
  }

  number(name: string, min: number, max: number): number | undefined {
    const text = this.#values.get(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!/^\d+(\.\d+)?$/.test(text) || value < min || value > max)
      return refuseField(`?${name}`, `expected a number from ${min} to ${max}, got ${shown(text)}`);
    return value;
  }

  /** @returns whole milliseconds */
  seconds(name: string, above: 'zero' | 'or zero', maxMs: number): number | undefined {
    const text = this.#values.get(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    // Programs print tiny numbers with an exponent.
    if (!/^\d+(\.\d+)?(e-\d+)?$/.test(text) || value * 1000 > maxMs || (above === 'zero' && value === 0)) {
      const range = above === 'zero' ? `more than 0, at most ${maxMs / 1000}` : `0 to ${maxMs / 1000}`;
      return refuseField(`?${name}`, `expected a number of seconds, ${range}, got ${shown(text)}`);
    }
    return secondsToMs(value);
  }
}

/** Reads the parameters that a call declares. @throws Refusal 400 */
export function readQuery<Parameters extends QueryParameters>(
  text: QueryText,
  {
    query: parameters,
    onlyOneOf = [],
    withoutAny,
  }: Pick<CallSpec<Parameters, unknown>, 'query' | 'onlyOneOf' | 'withoutAny'>,
  hintOf?: UnknownHint,
): QueryValues<Parameters> {
  const query = new Query(text, Object.keys(parameters), hintOf);
  const values: Record<string, number | string> = {};
  for (const [name, parameter] of Object.entries(parameters)) {
    const value = valueOf(query, name, parameter);
    if (value !== undefined) values[name] = value;
    else if (parameter.required !== undefined) refuseField(`?${name}`, `missing; expected ${parameter.required}`);
  }
  const rivals = onlyOneOf.filter((name) => name in values);
  if (rivals.length > 1) {
    return refuse('invalid', `${rivals.map((name) => `?${name}`).join(' and ')}: expected only one of them`);
  }
  if (rivals.length === 0 && withoutAny !== undefined) return refuse('invalid', `query: ${withoutAny}`);
  return values as QueryValues<Parameters>;
}

function valueOf(query: Query, name: string, parameter: QueryParameter): number | string | undefined {
  if (parameter.type === 'integer') return query.integer(name, parameter.min, parameter.max);
  if (parameter.type === 'number') return query.number(name, parameter.min, parameter.max);
  if (parameter.type === 'seconds') return query.seconds(name, parameter.above, parameter.maxMs);
  const text = query.text(name);
  if (text === undefined) return undefined;
  switch (parameter.type) {
    case 'key':
      return readKey(text, `?${name}`);
    case 'prefix':
      return readPrefix(text, `?${name}`);
    case 'message':
      return readMessageId(text, `?${name}`);
    case 'word':
      return text === parameter.word ? text : refuseField(`?${name}`, `expected ${parameter.word}, got ${shown(text)}`);
    case 'words':
      if (parameter.words.includes(text)) return text;
      return refuseField(`?${name}`, `expected one of ${parameter.words.join(', ')}, got ${shown(text)}`);
    case 'string':
      return jsonText(text, `?${name}`, { bytes: parameter.bytesMax, name: parameter.limitName });
    default:
      return unreachable(parameter);
  }
}

const noValues: ReadonlyMap<string, string> = new Map();

function parse(text: string, known: readonly string[], hintOf?: UnknownHint): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const pair of text.split('&')) {
    if (pair === '') continue;
    const at = pair.indexOf('=');
    const name = decode(at === -1 ? pair : pair.slice(0, at), 'name');
    if (!known.includes(name)) {
      const meant = nearestName(name, known);
      const elsewhere = hintOf?.(name);
      if (elsewhere !== undefined) refuseField(`?${name.slice(0, 64)}`, elsewhere);
      const hint =
        meant !== undefined
          ? `did you mean ${meant}?`
          : known.length === 0
            ? 'this call takes none'
            : `known are ${known.join(', ')}`;
      refuseField(`?${name.slice(0, 64)}`, `unknown parameter; ${hint}`);
    }
    if (values.has(name)) refuseField(`?${name}`, 'given more than once');
    values.set(name, decode(at === -1 ? '' : pair.slice(at + 1), name));
  }
  return values;
}

function decode(text: string, name: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return refuseField(`?${name}`, 'malformed percent-encoding');
  }
}

function shownBound(bound: number): string {
  return bound === integerMax ? '2^53−1' : bound === -integerMax ? '−(2^53−1)' : String(bound);
}
