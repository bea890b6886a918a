/**
 * Requests in flight, by an id that is used once. A `Map` does the same, but is too slow at the rate of every request.
 * When V8 rehashes a Map, the old table keeps a pointer to the new one, and keeps its own entries. Once one such table
 * has moved to the old generation, it keeps every later one alive, with its requests, until the next full collection.
 * V8 then copied and promoted half of all requests before it found them to be garbage: a fifth of the front end's time.
 *
 * So this is an array whose length is a power of two, and the low bits of an id are its place. An id whose place is
 * taken (by a request that waits for a lock, say) is skipped. At most half of the places are taken, so at worst one id
 * in two is skipped. Growing never moves two entries to the same place.
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

  /** @param nextId returns every id once, ascending; others may draw from it too */
  constructor(nextId: () => number) {
    this.#nextId = nextId;
  }

  get size(): number {
    return this.#size;
  }

  /** @returns the id of the value */
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

  /** Removes a value and returns it. */
  take(id: number): Value | undefined {
    const at = this.#placeOf(id);
    const place = this.#places[at];
    if (place?.id !== id) return undefined;
    this.#places[at] = undefined;
    this.#size -= 1;
    return place.value;
  }

  /** Ids are larger than what `&` can take. */
  #placeOf(id: number): number {
    return id % this.#places.length;
  }

  #grow(): void {
    const before = this.#places;
    this.#places = emptyPlaces(before.length * 2);
    for (const place of before) {
      if (place === undefined) continue;
      const at = this.#placeOf(place.id);
      assert(this.#places[at] === undefined, 'ids that differ in their low bits still do with one bit more');
      this.#places[at] = place;
    }
  }
}

function emptyPlaces<Value>(length: number): (Place<Value> | undefined)[] {
  return Array.from({ length }, () => undefined);
}
