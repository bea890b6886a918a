/** Groups of one queue whose first message is remembered. */
const groupsMax = 64;

/**
 * Where the groups of one queue begin. A look at a group starts there: else each would pass all messages that have ended
 * since the last checkpoint, and the ends of one long group would take the shard's whole time.
 */
export class GroupFirsts {
  /** By group: it has no message in front of this place. */
  readonly #places = new Map<string, string>();

  of(group: string): string | undefined {
    return this.#places.get(group);
  }

  /** @param place of the first message that is there; undefined: the group has none */
  set(group: string, place: string | undefined): void {
    if (place === undefined) return void this.#places.delete(group);
    if (this.#places.size >= groupsMax && !this.#places.has(group)) this.#places.clear();
    this.#places.set(group, place);
  }

  /** A message was put, maybe in front of those that are there. @param rest group, NUL, place */
  placed(rest: string): void {
    if (this.#places.size === 0) return;
    const end = rest.lastIndexOf('\0');
    const group = rest.slice(0, end);
    const place = rest.slice(end + 1);
    const first = this.#places.get(group);
    if (first !== undefined && place < first) this.#places.set(group, place);
  }
}
