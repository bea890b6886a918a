/** What of a script's text matters, so that the same script is known however it is indented and commented. */

const whiteSpace = /[ \t\r\n\f\v]/;
const word = /[A-Za-z0-9_]/;
/** Two of these may be one token, or begin a comment. */
const joining = /[-=~<>.[]/;

/** Leaves comments out, and white space but where it parts two tokens that would be another together; plain strings get double quotes. */
export function normalisedScript(source: string): string {
  let text = '';
  let space = false;
  const add = (piece: string): void => {
    const last = text.at(-1) ?? '';
    if (space && [word, joining].some((kind) => kind.test(last) && kind.test(piece[0]!))) text += ' ';
    space = false;
    text += piece;
  };
  for (let at = 0; at < source.length; ) {
    const char = source[at]!;
    const long = /^(?:--)?\[(=*)\[/.exec(source.slice(at, at + 64));
    if (long !== null && (char === '[' || char === '-')) {
      const close = `]${long[1]!}]`;
      const found = source.indexOf(close, at);
      const end = found < 0 ? source.length : found + close.length;
      if (char === '[') add(source.slice(at, end));
      else space = true;
      at = end;
    } else if (source.startsWith('--', at)) {
      const end = source.indexOf('\n', at);
      at = end < 0 ? source.length : end;
    } else if (char === '"' || char === "'") {
      const end = endOfString(source, at);
      const inner = source.slice(at + 1, end - 1);
      const isPlain = end - at > 1 && source[end - 1] === char && !/["'\\]/.test(inner);
      add(isPlain ? `"${inner}"` : source.slice(at, end));
      at = end;
    } else {
      if (whiteSpace.test(char)) space = true;
      else add(char);
      at += 1;
    }
  }
  return text;
}

function endOfString(source: string, start: number): number {
  let at = start + 1;
  while (at < source.length && source[at] !== source[start]) at += source[at] === '\\' ? 2 : 1;
  return Math.min(at + 1, source.length);
}
