/**
 * The output of the command: data to stdout, everything else to stderr. Each may be a terminal or a pipe; only the
 * looks depend on that. Control characters in data from a server are escaped, so that a key cannot repaint a terminal;
 * only `kv get` prints a value unchanged.
 */
import { exitCodes } from './exit-codes.ts';

export class Terminal {
  /** A text that is never printed: the token. */
  secret: string | undefined;
  color: boolean;
  readonly #out = process.stdout;
  readonly #err = process.stderr;

  constructor() {
    const { env } = process;
    this.color = this.#out.isTTY && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
    // `dragonlock kv list | head`: the reader has enough.
    this.#out.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(exitCodes.brokenPipe);
      throw error;
    });
    // A closed stderr must not end the guard of a child.
    this.#err.on('error', () => undefined);
  }

  get isTTY(): boolean {
    return this.#out.isTTY;
  }

  /** Writes data unchanged. */
  write(text: string): void {
    this.#out.write(text);
  }

  line(text: string): void {
    this.#out.write(`${text}\n`);
  }

  json(value: unknown): void {
    this.line(escapeControls(JSON.stringify(value)));
  }

  /** Prints columns, each as wide as its longest cell; the last one is not padded. */
  table(head: readonly string[], rows: readonly (readonly string[])[]): void {
    const all = [head, ...rows].map((row) => row.map(escapeControls));
    const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
    for (const [i, row] of all.entries()) {
      const text = row
        .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column]!)))
        .join('  ');
      this.line(i === 0 ? this.bold(text.trimEnd()) : text.trimEnd());
    }
  }

  bold(text: string): string {
    return this.color ? `\x1b[1m${text}\x1b[22m` : text;
  }

  /** Prints a message to stderr. */
  errorLine(message: string): void {
    this.#err.write(`dragonlock: ${this.#redact(escapeControls(message))}\n`);
  }

  /** Prints JSON to stderr. */
  errorJson(value: unknown): void {
    this.#err.write(`${this.#redact(escapeControls(JSON.stringify(value)))}\n`);
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
