/** Which lines of an export count: the server asks for those of a page, the client for those of a file. */

/** What says what a line is about. */
export interface NamedLine {
  readonly Kind: string;
  readonly Key?: string;
  readonly Queue?: string;
  readonly ID?: string;
  readonly Generation?: number;
  readonly Deletions?: number;
  readonly Deleted?: boolean;
}

/** The name of what a line is about: the last line of a name is the one that counts. */
export function lineName({ Kind, Key = '', Queue = '', ID = '', Deletions = 0 }: NamedLine): string {
  if (Kind === 'message') return `${Kind}\0${Queue}\0${ID}`;
  if (Kind === 'dedup') return `${Kind}\0${Queue}\0${Key}\0${Deletions}`;
  return `${Kind}\0${Kind === 'queue' ? Queue : Key}`;
}

/** A later line about where the same task stands. */
function runName({ Key = '' }: NamedLine): string {
  return `run\0${Key}`;
}

/** Tells which lines count, once it has been shown those that take the place of others, in order. */
export class CountingLines {
  readonly #last = new Map<string, number>();
  /** Of messages and of DedupIDs. */
  readonly #generations = new Map<string, { readonly message: number; readonly dedup: number }>();

  show(line: NamedLine, number: number): void {
    this.#last.set(lineName(line), number);
    // It also has where the task stands.
    if (line.Kind === 'task') this.#last.set(runName(line), number);
    this.showQueue(line);
  }

  /** For a line that no earlier line is about. */
  showQueue({ Kind, Queue = '', Generation = 0, Deletions = 0 }: NamedLine): void {
    if (Kind === 'queue') this.#generations.set(Queue, { message: Generation, dedup: Deletions });
  }

  counts(line: NamedLine, number: number): boolean {
    const last = this.#last.get(lineName(line));
    if (last !== undefined && last !== number) return false;
    const { Kind, Queue = '', Generation = 0, Deletions = 0, Deleted } = line;
    if ((Kind !== 'message' && Kind !== 'dedup') || Deleted === true) return true;
    const generations = this.#generations.get(Queue);
    return generations === undefined || generations[Kind] === (Kind === 'message' ? Generation : Deletions);
  }

  /** Whether a later line says where this task stands: it must not run before that has been put. */
  isMovedOn(line: NamedLine): boolean {
    return line.Kind === 'task' && this.#last.get(runName(line)) !== this.#last.get(lineName(line));
  }
}
