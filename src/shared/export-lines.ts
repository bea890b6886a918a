/** Which lines of an export count: the server asks for those of a page, the client for those of a file. */

/** What says what a line is about. */
export interface NamedLine {
  readonly Kind: string;
  readonly Key?: string;
  readonly Queue?: string;
  readonly ID?: string;
  readonly Generation?: number;
  readonly Deleted?: boolean;
}

/** The name of what a line is about: the last line of a name is the one that counts. */
export function lineName({ Kind, Key = '', Queue = '', ID = '' }: NamedLine): string {
  return Kind === 'message' ? `${Kind}\0${Queue}\0${ID}` : `${Kind}\0${Kind === 'queue' ? Queue : Key}`;
}

/** Tells which lines count, once it has been shown those that take the place of others, in order. */
export class CountingLines {
  readonly #last = new Map<string, number>();
  readonly #generations = new Map<string, number>();

  show(line: NamedLine, number: number): void {
    this.#last.set(lineName(line), number);
    this.showQueue(line);
  }

  /** For a line that no earlier line is about. */
  showQueue({ Kind, Queue = '', Generation = 0 }: NamedLine): void {
    if (Kind === 'queue') this.#generations.set(Queue, Generation);
  }

  counts(line: NamedLine, number: number): boolean {
    const last = this.#last.get(lineName(line));
    if (last !== undefined && last !== number) return false;
    const { Kind, Queue = '', Generation = 0, Deleted } = line;
    if (Kind !== 'message' || Deleted === true) return true;
    const generation = this.#generations.get(Queue);
    return generation === undefined || generation === Generation;
  }
}
