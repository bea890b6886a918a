/**
 * Large texts on their way to one socket. To copy sixteen megabytes takes as long as two hundred small requests, so they
 * leave slice by slice; whoever writes them lets others have their turn in between.
 */

/** Characters that are written at once: at most a millisecond of work. */
export const sliceChars = 512 * 1024;

export interface Slice {
  readonly text: string;
  readonly encoding: 'latin1' | 'utf8';
}

interface Large {
  readonly text: string;
  readonly isBytes: boolean;
  /** Up to here it is taken. */
  at: number;
}

export class Slices {
  readonly #texts: Large[] = [];
  #chars = 0;

  /** Characters of all texts that are not taken to their end: a slice keeps its text in memory. */
  get chars(): number {
    return this.#chars;
  }

  /** @param isBytes each character is one byte */
  push(text: string, isBytes: boolean): void {
    if (text === '') return;
    this.#texts.push({ text, isBytes, at: 0 });
    this.#chars += text.length;
  }

  /** Takes the next slice. */
  take(): Slice | undefined {
    const [large] = this.#texts;
    if (large === undefined) return undefined;
    const { text, isBytes, at } = large;
    const end = endOfSlice(large);
    large.at = end;
    if (end === text.length) {
      this.#texts.shift();
      this.#chars -= text.length;
    }
    return { text: text.slice(at, end), encoding: isBytes ? 'latin1' : 'utf8' };
  }

  clear(): void {
    this.#texts.length = 0;
    this.#chars = 0;
  }
}

/** A character that takes two code units stays whole. */
function endOfSlice({ text, isBytes, at }: Large): number {
  const end = at + sliceChars;
  if (end >= text.length) return text.length;
  const isSplit = !isBytes && (text.charCodeAt(end) & 0xfc00) === 0xdc00;
  return isSplit ? end - 1 : end;
}
