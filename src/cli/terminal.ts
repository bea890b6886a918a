/**
 * Where words go: data to stdout, everything else to stderr. Both may be a person's terminal or a pipe; nothing but
 * looks depends on which. Of what comes from a server, control characters are written as escapes, so that a key cannot
 * repaint a terminal; only `kv get` prints a value as it is.
 */
import { exitCodes } from './exit-codes.ts';

export class Terminal {
  /** What must never be seen. */
  secret: string | undefined;
  color: boolean;
  readonly #out = process.stdout;
  readonly #err = process.stderr;

  constructor() {
    const { env } = process;
    this.color = this.#out.isTTY && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
    // `dragonlock kv list | head`: whoever reads has seen enough.
    this.#out.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(exitCodes.brokenPipe);
      throw error;
    });
    // A child that is guarded must not suffer from nobody listening.
    this.#err.on('error', () => undefined);
  }

  get isTTY(): boolean {
    return this.#out.isTTY;
  }

  /** Data, as it is. */
  write(text: string): void {
    this.#out.write(text);
  }

  line(text: string): void {
    this.#out.write(`${text}\n`);
  }

  json(value: unknown): void {
    this.line(escapeControls(JSON.stringify(value)));
  }

  /** Columns, as wide as they need be; the last one runs on. */
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

  /** To stderr. */
  errorLine(message: string): void {
    this.#err.write(`dragonlock: ${this.#redact(escapeControls(message))}\n`);
  }

  /** To stderr, for machines. */
  errorJson(value: unknown): void {
    this.#err.write(`${this.#redact(escapeControls(JSON.stringify(value)))}\n`);
  }

  #redact(text: string): string {
    return this.secret === undefined ? text : text.replaceAll(this.secret, '***');
  }
}

/** Control characters as in JSON. Written so that JSON stays the same JSON. */
export function escapeControls(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, (character) => {
    const json = JSON.stringify(character).slice(1, -1);
    return json === character ? `\\u${character.codePointAt(0)!.toString(16).padStart(4, '0')}` : json;
  });
}
