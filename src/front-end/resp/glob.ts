/**
 * Patterns as Redis has them: `*`, `?`, `[abc]`, `[a-z]`, `[^a]`, and `\` before a character that is meant. Both sides
 * are bytes. A text is compared in at most (length of pattern × length of text) steps: only the last `*` is gone back to.
 */

export function matches(pattern: string, text: string, ignoreCase = false): boolean {
  if (ignoreCase) return matches(pattern.toLowerCase(), text.toLowerCase());
  let at = 0;
  let inText = 0;
  let star = -1;
  let starText = 0;
  while (inText < text.length) {
    if (pattern[at] === '*') {
      star = at;
      starText = inText;
      at += 1;
      continue;
    }
    const end = at < pattern.length ? matchOne(pattern, at, text.charCodeAt(inText)) : undefined;
    if (end !== undefined) {
      at = end;
      inText += 1;
    } else if (star >= 0) {
      at = star + 1;
      starText += 1;
      inText = starText;
    } else return false;
  }
  while (pattern[at] === '*') at += 1;
  return at >= pattern.length;
}

/** Returns where the pattern goes on after what stands for one character; undefined: it does not match. */
function matchOne(pattern: string, at: number, char: number): number | undefined {
  const first = pattern[at];
  if (first === '?') return at + 1;
  if (first === '[') return matchClass(pattern, at + 1, char);
  const literal = first === '\\' && at + 1 < pattern.length ? at + 1 : at;
  return pattern.charCodeAt(literal) === char ? literal + 1 : undefined;
}

function matchClass(pattern: string, start: number, char: number): number | undefined {
  const not = pattern[start] === '^';
  let at = not ? start + 1 : start;
  let found = false;
  for (; at < pattern.length && pattern[at] !== ']'; at += 1) {
    if (pattern[at] === '\\' && at + 1 < pattern.length) {
      at += 1;
      if (pattern.charCodeAt(at) === char) found = true;
    } else if (pattern[at + 1] === '-' && at + 2 < pattern.length) {
      const [from, to] = [pattern.charCodeAt(at), pattern.charCodeAt(at + 2)];
      if (char >= Math.min(from, to) && char <= Math.max(from, to)) found = true;
      at += 2;
    } else if (pattern.charCodeAt(at) === char) found = true;
  }
  // A class that is not closed ends with the pattern.
  const end = Math.min(at + 1, pattern.length);
  return found === not ? undefined : end;
}

/** Returns the bytes with which everything that matches begins. */
export function literalPrefix(pattern: string): string {
  let prefix = '';
  for (let at = 0; at < pattern.length; at += 1) {
    const char = pattern[at]!;
    if (char === '*' || char === '?' || char === '[') break;
    if (char === '\\' && at + 1 < pattern.length) at += 1;
    prefix += pattern[at]!;
  }
  return prefix;
}
