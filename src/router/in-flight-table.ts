/**
 * What is under way, by a number that is used once. A `Map` does the same, but not at the rate of every request: when V8
 * rehashes a Map, the table before it keeps a pointer to the one that follows, and all that was in it. Once one such
 * table has grown old, it keeps every later one alive, each with the requests of its moment, until the next full
 * collection: half of all requests were then copied and promoted before they were found to be garbage, a fifth of the
 * front end's time.
 *
 * So this is an array that is a power of two long, in which a number has the place of its last bits. A number whose
 * place is taken (by somebody who waits for a lock, say) is skipped; at most half of the places are taken, so that one
 * number in two is skipped at worst. Growing moves nobody into anybody's place.
 */
import { assert } from '../shared/assert.ts';

const placesAtFirst = 256;

interface Place<Value> {
  readonly id: number;
  readonly value: Value;
}

export class InFlightTable<Value> {
  readonly #nextId: () => number;
  #places: (Place<Value> | undefined)[] = emptyPlaces(placesAtFirst);
  #size = 0;

  /** @param nextId gives every number once, ascending; others may draw from it too */
  constructor(nextId: () => number) {
    this.#nextId = nextId;
  }

  get size(): number {
    return this.#size;
  }

  /** @returns the number under which the value is found */
  add(value: Value): number {
    if (this.#size * 2 >= this.#places.length) this.#grow();
    let id = this.#nextId();
    while (this.#places[this.#placeOf(id)] !== undefined) id = this.#nextId();
    this.#places[this.#placeOf(id)] = { id, value };
    this.#size += 1;
    return id;
  }

  get(id: number): Value | undefined {
    const place = this.#places[this.#placeOf(id)];
    return place?.id === id ? place.value : undefined;
  }

  /** Gets it out. */
  take(id: number): Value | undefined {
    const at = this.#placeOf(id);
    const place = this.#places[at];
    if (place?.id !== id) return undefined;
    this.#places[at] = undefined;
    this.#size -= 1;
    return place.value;
  }

  /** Numbers are larger than what `&` can take. */
  #placeOf(id: number): number {
    return id % this.#places.length;
  }

  #grow(): void {
    const before = this.#places;
    this.#places = emptyPlaces(before.length * 2);
    for (const place of before) {
      if (place === undefined) continue;
      const at = this.#placeOf(place.id);
      assert(this.#places[at] === undefined, 'numbers that differ in their last bits still do with one bit more');
      this.#places[at] = place;
    }
  }
}

function emptyPlaces<Value>(length: number): (Place<Value> | undefined)[] {
  return Array.from({ length }, () => undefined);
}
