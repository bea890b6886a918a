/**
 * REST calls, declared once: method, path, query parameters, and the command that they make. Routes, the list in "there
 * is no such path", metric labels and the formats of replies follow from the tables of calls.
 */
import { integerMax } from '../../shared/limits.ts';
import type { AccountId } from '../ids.ts';

/**
 * A query parameter. Durations are seconds in a URL, and whole milliseconds after parsing. `required` says what a call
 * cannot do without: `?lock: missing; expected …`.
 */
export type QueryParameter = { readonly required?: string } & (
  | { readonly type: 'integer'; readonly min: number; readonly max: number }
  /** A plain decimal number. */
  | { readonly type: 'number'; readonly min: number; readonly max: number }
  | { readonly type: 'seconds'; readonly above: 'zero' | 'or zero'; readonly maxMs: number }
  | { readonly type: 'key' }
  | { readonly type: 'prefix' }
  /** The ID of a message. */
  | { readonly type: 'message' }
  /** Says something by being there. */
  | { readonly type: 'word'; readonly word: string }
  | { readonly type: 'words'; readonly words: readonly string[] }
  /** Kept as a JSON string, since a query has no types. */
  | { readonly type: 'string'; readonly bytesMax: number; readonly limitName: string }
);

export type QueryParameters = Readonly<Record<string, QueryParameter>>;

export type QueryValues<Parameters extends QueryParameters> = {
  readonly [Name in keyof Parameters as Parameters[Name] extends Needed ? never : Name]?: ValueOf<Parameters[Name]>;
} & {
  readonly [Name in keyof Parameters as Parameters[Name] extends Needed ? Name : never]: ValueOf<Parameters[Name]>;
};
type Needed = { readonly required: string };
type ValueOf<Parameter extends QueryParameter> = Parameter extends { readonly type: 'words' }
  ? Parameter['words'][number]
  : Parameter['type'] extends 'integer' | 'number' | 'seconds'
    ? number
    : string;

export interface GivenToCall<Parameters extends QueryParameters> {
  readonly account: AccountId;
  /** The part of the path that matches `*`; empty for a path without one. */
  readonly id: string;
  readonly query: QueryValues<Parameters>;
  /** The body as JSON text, for a call that takes a value. */
  readonly value: string;
  /** Makes a secret. */
  readonly secret: () => string;
  /** Makes an ID, the same for each request under one idempotency id. */
  readonly newID: () => string;
}

export interface CallSpec<Parameters extends QueryParameters, Made> {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Below `/db/:acc/`; `*` is the id, which may contain slashes. Empty: `/db/:acc` itself. */
  readonly path: string;
  readonly summary: string;
  readonly query: Parameters;
  /** Parameters that exclude each other. */
  readonly onlyOneOf?: readonly string[];
  /** What to say when none of them is given; absent: none is needed. */
  readonly withoutAny?: string;
  /**
   * `value`: the body is JSON, or with `?as=text` a string. `policy`: it is the policy of a queue. `task`: a task. `flow`: a
   * flow of tasks. `lines`: it has lines of an export. `source`: it is the source of a script. Absent: the call takes no body.
   */
  readonly body?: 'value' | 'policy' | 'task' | 'flow' | 'lines' | 'source';
  readonly command: (given: GivenToCall<Parameters>) => Made;
}

/** The path of a call, with `:acc` and `*`. */
export function routeOf({ path }: { readonly path: string }): string {
  return path === '' ? '/db/:acc' : `/db/:acc/${path}`;
}

/** Checks the declaration and infers its parameters. */
export function call<const Parameters extends QueryParameters, Made>(
  spec: CallSpec<Parameters, Made>,
): CallSpec<Parameters, Made> {
  return spec;
}

export function integerParameter(min: number, max: number = integerMax) {
  return { type: 'integer', min, max } as const;
}

export function secondsParameter(above: 'zero' | 'or zero', maxMs: number) {
  return { type: 'seconds', above, maxMs } as const;
}

export function wordParameter(word: string) {
  return { type: 'word', word } as const;
}

export function wordsParameter<const Words extends readonly string[]>(words: Words) {
  return { type: 'words', words } as const;
}

/** @param what says what is expected, for the message */
export function requiredParameter<const Parameter extends QueryParameter>(parameter: Parameter, what: string) {
  return { ...parameter, required: what };
}

export const keyParameter = { type: 'key' } as const;
export const prefixParameter = { type: 'prefix' } as const;
