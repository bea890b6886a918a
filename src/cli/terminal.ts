/**
 * The output of the command: data to stdout, everything else to stderr. Each may be a terminal or a pipe; only the
 * looks depend on that. Control characters in data from a server are escaped, so that a key cannot repaint a terminal;
 * only `kv get` prints a value unchanged.
 */
import { OutputError } from './exit-codes.ts';
import { writeAll } from './files.ts';

// An import would load all that the module offers, and with it half of Node.
const { isatty } = process.getBuiltinModule('node:tty');
const [stdout, stderr] = [1, 2];

export class Terminal {
  /** A text that is never printed: the token. */
  secret: string | undefined;
  color: boolean;

  constructor() {
    const { env } = process;
    this.color = isatty(stdout) && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
  }

  get isTerminal(): boolean {
    return isatty(stdout);
  }

  /** Writes data unchanged, and returns when it has left. @throws OutputError */
  write(text: string): void {
    try {
      writeAll(stdout, text);
    } catch (error) {
      throw new OutputError(error as NodeJS.ErrnoException);
    }
  }

  line(text: string): void {
    this.write(`${text}\n`);
  }

  json(value: unknown): void {
    this.line(escapeControls(JSON.stringify(value)));
  }

  /** Prints columns, each as wide as its longest cell; the last one is not padded. */
  table(head: readonly string[], rows: readonly (readonly string[])[]): void {
    const all = [head, ...rows].map((row) => row.map(escapeControls));
    const widths = head.map((_, column) => all.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), 0));
    let lines = '';
    for (const [i, row] of all.entries()) {
      const text = row
        .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column]!)))
        .join('  ');
      lines += `${i === 0 ? this.bold(text.trimEnd()) : text.trimEnd()}\n`;
    }
    this.write(lines);
  }

  bold(text: string): string {
    return this.color ? `\x1b[1m${text}\x1b[22m` : text;
  }

  /** Prints a message to stderr. */
  errorLine(message: string): void {
    this.errorText(`dragonlock: ${escapeControls(message)}\n`);
  }

  /** Prints JSON to stderr. */
  errorJson(value: unknown): void {
    this.errorText(`${escapeControls(JSON.stringify(value))}\n`);
  }

  errorText(text: string): void {
    try {
      writeAll(stderr, this.#redact(text));
    } catch {
      // A closed stderr must not end the guard of a child.
    }
  }

  /** Whether somebody sees what goes to stderr. */
  get showsErrors(): boolean {
    return isatty(stderr);
  }

  /** Shows a line on the terminal of stderr. @returns erases it */
  transient(message: string): () => void {
    // A line that wraps could not be erased.
    const columns = process.stderr.columns || 80;
    this.errorText(this.#redact(`dragonlock: ${escapeControls(message)}`).slice(0, columns - 1));
    return () => this.errorText('\r\u001b[K');
  }

  #redact(text: string): string {
    return this.secret === undefined ? text : text.replaceAll(this.secret, '***');
  }
}

/** Escapes control characters as JSON does, so that JSON stays the same JSON. */
export function escapeControls(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (character) => {
    const json = JSON.stringify(character).slice(1, -1);
    return json === character ? `\\u${character.codePointAt(0)!.toString(16).padStart(4, '0')}` : json;
  });
}
