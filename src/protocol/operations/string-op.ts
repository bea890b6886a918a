/**
 * Operations on keys as Redis knows them: `ops` of a batch. They are done in order, each on what the ones before it
 * left, in the one commit of their batch. Each has a result or an error of its own, and an error undoes nothing. An
 * operation that changes nothing writes nothing; one that changes a value or the time to live makes a new version.
 * `ops` is for doors inside the server: `POST /db/:acc` has no such member.
 *
 * Values are JSON text (`protocol/string-value.ts` has the way from bytes and back): a JSON string is its characters,
 * `{"$bytes":"<base64>"}` its bytes, and any other JSON its text. What is compared, cut or added to is what `get` gives.
 * All times are milliseconds, offsets and lengths are bytes.
 */
import { listSection, type NeededScope, type SpaceEffect } from './section.ts';

export type StringOp =
  /** → value or nil */
  | { readonly kind: 'get'; readonly key: string }
  /** → done, or nil when the condition does not hold; with `old`: the value before or nil, whatever the condition said */
  | {
      readonly kind: 'set';
      readonly key: string;
      /** JSON text. */
      readonly value: string;
      /** Absent: none. */
      readonly condition?: SetCondition;
      /** Absent: `clear`, the key loses its time to live. */
      readonly till?: SetTill;
      readonly old?: true;
    }
  /** → 1, or 0 when there is none or the condition does not hold; with `old`: the value before or nil */
  | { readonly kind: 'delete'; readonly key: string; readonly condition?: ValueCondition; readonly old?: true }
  /** → 1, or 0 when there is no key or `when` or the condition does not hold. A time that is over deletes the key. */
  | {
      readonly kind: 'expire';
      readonly key: string;
      readonly till: ExpireTill;
      readonly when?: ExpireCondition;
      readonly condition?: ValueCondition;
    }
  /** → 1, or 0 when there is no key or it has no time to live */
  | { readonly kind: 'persist'; readonly key: string }
  /** → the new integer. `n` is within ±(2^53−1). A JSON number stays one; what is new becomes a string. */
  | { readonly kind: 'add'; readonly key: string; readonly n: number }
  /** → the new value. `n` is finite. A JSON number stays one. */
  | { readonly kind: 'addFloat'; readonly key: string; readonly n: number }
  /** → the new length */
  | { readonly kind: 'append'; readonly key: string; readonly value: string }
  /** → the new length. `offset` ≥ 0; zeros fill what lies between. An empty value changes nothing. */
  | { readonly kind: 'setRange'; readonly key: string; readonly offset: number; readonly value: string }
  /** → value, which may be empty. Both ends are included, and count from the end when negative. */
  | { readonly kind: 'range'; readonly key: string; readonly start: number; readonly end: number }
  /** → the length; 0: there is no key */
  | { readonly kind: 'length'; readonly key: string }
  /** → 1 or 0 */
  | { readonly kind: 'exists'; readonly key: string }
  /** → milliseconds that are left, or with `at` when they are over; −1: no time to live, −2: no key */
  | { readonly kind: 'ttl'; readonly key: string; readonly at?: true }
  /** → the version; 0: there is no key */
  | { readonly kind: 'version'; readonly key: string }
  /** → 0 or 1. Bit 0 is the highest of the first byte. */
  | { readonly kind: 'getBit'; readonly key: string; readonly offset: number }
  /** → the bit before */
  | { readonly kind: 'setBit'; readonly key: string; readonly offset: number; readonly bit: 0 | 1 };

export type StringOpKind = StringOp['kind'];

/** Compares with what `get` would give. Without a key `eq` does not hold; `ne` does for a `set`, not for a `delete`. */
export interface ValueCondition {
  readonly kind: 'eq' | 'ne';
  /** JSON text. */
  readonly value: string;
}
/** `nx`: only if there is no such key; `xx`: only if there is one. */
export type SetCondition = { readonly kind: 'nx' | 'xx' } | ValueCondition;

/** `in`: so many milliseconds from now on; `at`: Unix milliseconds. A time that is over deletes the key. */
export interface Till {
  readonly kind: 'in' | 'at';
  readonly ms: number;
}
/** `later`: so many milliseconds after the end that the key has; without one, nothing is done. */
export type ExpireTill = Till | { readonly kind: 'later'; readonly ms: number };
/** `clear`: without a time to live; `keep`: with the one that the key has. */
export type SetTill = { readonly kind: 'clear' | 'keep' } | Till;

/**
 * `nx`: only if the key has no time to live; `xx`: only if it has one; `gt`: only if the new one ends later; `lt`: only
 * if it ends earlier, where none is the latest of all; `xxlt`: both `xx` and `lt`. (`xx` and `gt` together are `gt`.)
 */
export type ExpireCondition = 'nx' | 'xx' | 'gt' | 'lt' | 'xxlt';

/**
 * The result of one operation as text, told by its first character:
 *
 *   empty                  done
 *   _                      nil
 *   :5                     an integer
 *   !not_integer           an error of this operation alone: a `StringOpError`
 *   any other              a value: its JSON text, as it is stored (none of the above begins JSON)
 *
 * A reply in the format `ops` has the bare result of a single operation, else of each in order its length in UTF-16
 * units, a colon, and itself: `resultsIn` takes them apart.
 */
export type StringOpResult = string;

export const resultDone = '';
export const resultNil = '_';

/** Returns the integer of a result that is one. */
export function integerIn(result: StringOpResult): number {
  return Number(result.slice(1));
}

/**
 * `not_integer`: the value, or what it is, is no integer; `not_float`: no number; `overflow`: beyond ±(2^53−1);
 * `not_finite`: the sum is no number; `too_large`: the value would exceed `value_bytes_max`; `bad_till`: the time to
 * live ends beyond what can be stored (`tillMsMax`).
 */
export type StringOpError = 'not_integer' | 'not_float' | 'overflow' | 'not_finite' | 'too_large' | 'bad_till';

/** Returns the code of a result that is an error. */
export function errorIn(result: StringOpResult): StringOpError | undefined {
  return result.charCodeAt(0) === 0x21 ? (result.slice(1) as StringOpError) : undefined;
}

/** Returns the text of a reply in the format `ops`. */
export function opsBody(results: readonly StringOpResult[]): string {
  if (results.length === 1) return results[0]!;
  let text = '';
  for (const result of results) text += `${result.length}:${result}`;
  return text;
}

/** Takes a reply in the format `ops` apart. @param count the operations of the batch */
export function resultsIn(body: string, count: number): readonly StringOpResult[] {
  if (count === 1) return [body];
  const results: string[] = [];
  for (let at = 0; at < body.length; ) {
    const colon = body.indexOf(':', at);
    const end = colon + 1 + Number(body.slice(at, colon));
    results.push(body.slice(colon + 1, end));
    at = end;
  }
  return results;
}

const reads: ReadonlySet<StringOpKind> = new Set([
  'get',
  'range',
  'length',
  'exists',
  'ttl',
  'version',
  'getBit',
] satisfies StringOpKind[]);

function effectOf({ kind }: StringOp): SpaceEffect {
  return reads.has(kind) ? 'read' : kind === 'delete' ? 'free' : 'write';
}

function scopeOf({ kind }: StringOp): NeededScope {
  return reads.has(kind) ? 'read' : 'write';
}

export const opsSection = listSection<StringOp, StringOpResult>({
  body: 'Ops',
  schema: {},
  key: ({ key }) => key,
  effect: effectOf,
  scope: scopeOf,
  read: () => undefined,
});
