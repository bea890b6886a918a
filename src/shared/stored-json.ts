/** JSON values as they are stored: as text, in which members stand in the order in which they were written. */

/** Returns whether two texts are of equal values. Texts from `JSON.stringify` of equal values have the same length. */
export function isEqualJson(a: string, b: string): boolean {
  return a === b || (a.length === b.length && isEqual(JSON.parse(a), JSON.parse(b)));
}

function isEqual(a: unknown, b: unknown): boolean {
  if (!isObject(a) || !isObject(b)) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length && names.every((name) => Object.hasOwn(b, name) && isEqual(a[name], b[name]))
  );
}

/** Applies a merge patch (RFC 7396) to a value; undefined: there is none. */
export function mergedJson(value: string | undefined, patch: string): string {
  return JSON.stringify(merged(value === undefined ? undefined : JSON.parse(value), JSON.parse(patch)));
}

function merged(value: unknown, patch: unknown): unknown {
  if (!isObject(patch) || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = isObject(value) && !Array.isArray(value) ? value : {};
  for (const [name, change] of Object.entries(patch)) {
    if (change === null) delete result[name];
    else result[name] = merged(Object.hasOwn(result, name) ? result[name] : undefined, change);
  }
  return result;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
