/**
 * The pending effects of one batch, in the order of their operations: the last effect on an entry replaces the earlier
 * ones, and stands where it was made. Nearly every batch has one or two effects, so a linear search is fastest: a `Map`
 * by name cost an eighth of a shard's time, because it looks the name of each entry up in V8's table of all strings.
 */
import type { PendingEffect } from '../../../protocol/wire/shard-messages.ts';
import type { Kind } from '../../../protocol/record.ts';
import { readyIndexMin } from './queue-records.ts';

const fewMax = 8;

export class WriteSet {
  readonly #few: PendingEffect[] = [];
  /** Replaces `#few` when there are many effects. Names include the kind. */
  #byName: Map<string, PendingEffect> | undefined;
  #places = 0;
  /** Messages of groups that were passed because their time is over. */
  passed = 0;

  find(kind: Kind, key: string): PendingEffect | undefined {
    if (this.#byName !== undefined) return this.#byName.get(nameOf(kind, key));
    const at = this.#indexOf(kind, key);
    return at < 0 ? undefined : this.#few[at];
  }

  put(effect: PendingEffect): void {
    this.remove(effect.kind, effect.key);
    if (this.#byName !== undefined) {
      this.#byName.set(nameOf(effect.kind, effect.key), effect);
      return;
    }
    this.#few.push(effect);
    if (this.#few.length <= fewMax) return;
    this.#byName = new Map(this.#few.map((each) => [nameOf(each.kind, each.key), each]));
  }

  /** Deletes what is stored. Of what only this commit has put, nothing is left. */
  drop(end: PendingEffect, isStored: boolean): void {
    if (isStored) this.put(end);
    else this.remove(end.kind, end.key);
  }

  remove(kind: Kind, key: string): void {
    if (this.#byName !== undefined) {
      this.#byName.delete(nameOf(kind, key));
      return;
    }
    const at = this.#indexOf(kind, key);
    if (at >= 0) this.#few.splice(at, 1);
  }

  /** The index of one more thing of a queue that this commit makes ready. */
  takePlace(): number {
    this.#places += 1;
    return readyIndexMin + this.#places - 1;
  }

  all(): readonly PendingEffect[] {
    return this.#byName === undefined ? this.#few : [...this.#byName.values()];
  }

  #indexOf(kind: Kind, key: string): number {
    for (let at = 0; at < this.#few.length; at += 1) {
      const effect = this.#few[at]!;
      if (effect.key === key && effect.kind === kind) return at;
    }
    return -1;
  }
}

function nameOf(kind: Kind, key: string): string {
  return String.fromCharCode(kind) + key;
}
