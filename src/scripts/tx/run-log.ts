/** What a script writes with `console.log`: bounded, and what is over the bounds is left out without a word to it. */
import { scriptLogBytesMax, scriptLogLinesMax } from '../script-limits.ts';

export class RunLog {
  readonly lines: string[] = [];
  #bytes = 0;

  add(line: string): void {
    if (this.lines.length >= scriptLogLinesMax) return;
    const room = scriptLogBytesMax - this.#bytes;
    if (room <= 0) return;
    const kept = beginning(line, room).toWellFormed();
    this.#bytes += Buffer.byteLength(kept);
    this.lines.push(kept);
  }
}

/** The longest beginning of a text that has at most so many bytes in UTF-8. */
export function beginning(text: string, bytes: number): string {
  if (text.length * 3 <= bytes) return text;
  const cut = Buffer.from(text.slice(0, bytes)).subarray(0, bytes).toString();
  // A character that was cut in two.
  return cut.replace(/�+$/, '');
}
