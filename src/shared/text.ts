/** Values and keys as text. */

/** A value as a message shows it: short, and never more than its beginning. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}… (${text.length} characters)` : text;
}

/** A key as JSON text. Most keys are short and plain: a look at each character is faster than a call into native code. */
export function quoted(key: string): string {
  for (let at = 0; at < key.length; at += 1) {
    const code = key.charCodeAt(at);
    if (code < 0x20 || code === 0x22 || code === 0x5c || code > 0x7e) return JSON.stringify(key);
  }
  return `"${key}"`;
}

/** Compares by UTF-8 bytes, which differs from JavaScript's order where surrogate pairs meet U+E000–U+FFFF. */
export function compareKeys(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
