/**
 * How a random client asks: its names, its times, what it knows. The makers of this folder, one file a noun, draw from
 * it, so that the model tests, the histories and the simulator share one maker for each thing that can be asked.
 */
import { accountId } from '../../../src/protocol/ids.ts';
import type { SeededRandom } from '../seeded-random.ts';
import type { CounterOperation } from '../../../src/protocol/operations/counter.ts';
import type { Sharing } from '../../../src/protocol/operations/lock-sharing.ts';
import type { SameOperation } from '../../../src/protocol/operations/script.ts';
import type { LockOperation, UnlockOperation } from '../../../src/protocol/operations/lock.ts';

export type Named =
  | 'kv'
  | 'string'
  | 'counter'
  | 'sequence'
  | 'lock'
  | 'mutex'
  | 'id'
  | 'limit'
  | 'queue'
  | 'task'
  | 'script';

export abstract class Habits {
  readonly random: SeededRandom;
  account = accountId('acme');
  abstract readonly names: Readonly<Record<Named, readonly string[]>>;
  readonly owners: readonly string[] = ['o0', 'o0', 'o0', 'o1'];
  readonly prefixes: readonly string[] = [''];
  readonly limitMax: number = 6;
  /** In a hundred calls of a rate limit: those with other parameters than usual. */
  readonly otherLimits: number = 10;

  constructor(random: SeededRandom) {
    this.random = random;
  }

  /** As far as the client knows; 0: there is none. */
  abstract knownVersion(key: string): number;
  /** As far as the client knows. */
  knownTask(_id: string): number {
    return 1 + this.below(50);
  }
  /** Of the lock or mutex of that name, mostly the one that holds it. */
  abstract handle(noun: 'lock' | 'mutex', id: string): number;
  /** Of a message, mostly of one that is out. */
  receipt(): { readonly key: string; readonly id: string; readonly lock: number } {
    return { key: this.name('queue'), id: `${1 + this.below(50)}-0`, lock: 1 + this.below(50) };
  }

  /** One that administrators may change and purge. */
  changedQueue(): string {
    return this.name('queue');
  }

  /** As JSON. */
  abstract value(): string;
  abstract ttl(key: string): { readonly ttlMs?: number };
  abstract durMs(): number;
  abstract waitMs(): number;

  below(bound: number): number {
    return this.random.below(bound);
  }

  /** True in so many of a hundred cases. */
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  one<Item>(items: readonly Item[]): Item {
    return items.length === 1 ? items[0]! : items[this.below(items.length)]!;
  }

  name(noun: Named): string {
    return this.one(this.names[noun]);
  }

  /** Up to so many names; one may come twice. */
  some(noun: Named, most: number): string[] {
    return Array.from({ length: 1 + this.below(most) }, () => this.name(noun));
  }

  /** To expect: mostly the one that the key has. */
  version(key: string): number {
    const how = this.below(100);
    return how < 20 ? 0 : this.knownVersion(key) + (how < 30 ? 1 : 0);
  }

  /** To expect: mostly what the client knows of the key. */
  exists(key: string): boolean {
    return this.knownVersion(key) > 0 !== this.chance(20);
  }

  /** To expect. */
  equals(_key: string): string {
    return this.value();
  }

  /** Whether a change of this key may be a merge. */
  merges(_key: string): boolean {
    return false;
  }

  /** Whether a batch may read a page of keys. */
  ranges(): boolean {
    return false;
  }

  /** Of a counter that is made. */
  counterTtl(): { readonly ttlMs?: number } {
    return {};
  }

  /** A page of keys as it is, as far as the client knows. */
  rowsBelow(prefix: string, _limit: number): SameOperation {
    return { prefix, rows: [] };
  }

  held(noun: 'lock' | 'mutex'): { readonly id: string; readonly fence: number } {
    const id = this.name(noun);
    return { id, fence: this.handle(noun, id) };
  }

  owner(): Pick<LockOperation, 'owner'> {
    return this.chance(50) ? { owner: this.one(this.owners) } : {};
  }

  /** How a lock is shared, and by whom. */
  sharing(): Sharing & Pick<LockOperation, 'owner'> {
    return {};
  }

  /** As JSON. */
  meta(): Pick<LockOperation, 'meta'> {
    return this.chance(30) ? { meta: String(this.below(5)) } : {};
  }

  /** How a lock or mutex is given back: by fence, by owner, or by force. */
  proof(_noun: 'lock' | 'mutex', fence: number): Omit<UnlockOperation, 'id'> {
    const how = this.below(100);
    return how < 10 ? {} : how < 30 ? { owner: this.one(this.owners) } : { fence };
  }

  /** How long the ids of a request are remembered. */
  rememberMs(): number {
    return this.one([2000, 5000, 30_000]);
  }

  /** Of what is asked under the ids. */
  fingerprint(): string {
    return this.one(['f', 'f', 'f', 'g']);
  }

  /** How many numbers of a sequence. */
  count(): number {
    return 1 + this.below(3);
  }

  /** For how long a reply may be held. */
  heldMs(): number {
    return this.one([0, 50, 500]);
  }

  /** To change a counter by, or to. */
  number(): number {
    return this.below(20);
  }

  /** What a counter is expected to be. */
  ifEq(_key: string, op: CounterOperation['op']): { readonly ifEq?: number } {
    // HTTP knows it for no other.
    return op === 'set' && this.chance(50) ? { ifEq: this.below(4) } : {};
  }

  /** Of an addition: one, both or none. */
  bounds(op: CounterOperation['op']): Pick<CounterOperation, 'floor' | 'ceil'> {
    if (op !== 'add' || this.chance(60)) return {};
    const how = this.below(3);
    const floor = this.below(12) - 6;
    if (how === 0) return { floor };
    const ceil = floor + this.below(30);
    return how === 1 ? { ceil } : { floor, ceil };
  }
}
