/** Clients of a random history: they ask for few things, over and over, and use again what they were told. */
import type { Body } from '../contract/expected.ts';
import type { SeededRandom } from '../seeded-random.ts';
import { Habits, type Named } from './habits.ts';
import type { Command } from '../../../src/protocol/operations/operations.ts';

/** Receipts that are remembered. */
const receiptsMax = 60;

export class LearningHabits extends Habits {
  readonly names: Readonly<Record<Named, readonly string[]>>;
  override readonly owners = ['o0', 'o1', 'o2'];
  override readonly prefixes = ['k'];
  override readonly limitMax: number = 4;
  readonly #versions = new Map<string, number>();
  readonly #fences = new Map<string, number>();
  readonly #receipts: { readonly key: string; readonly id: string; readonly lock: number }[] = [];
  #values = 0;

  /** `things`: how many keys, locks and so on there are. */
  constructor(random: SeededRandom, things: number) {
    super(random);
    const named = (letter: string, count = things): string[] =>
      Array.from({ length: count }, (_, i) => `${letter}${i}`);
    this.names = {
      kv: named('k'),
      string: ['k0', ...named('t')],
      counter: named('c'),
      sequence: named('s'),
      lock: named('l'),
      mutex: named('m'),
      queue: named('q'),
      task: named('t'),
      id: named('i', things * 4),
      limit: named('g', 2),
      script: named('j', 2),
    };
  }

  learn(call: Command, body: Body): void {
    const { KV, KVSet, Rev, Lock } = body;
    for (const { Key, Version } of [...(KV ?? []), ...(KVSet ?? [])]) this.#versions.set(Key!, Version!);
    if (call.kind === 'batch' && call.format !== 'batch' && Rev !== undefined)
      for (const { key } of call.set ?? []) this.#versions.set(key, Rev);
    if ((call.kind === 'batch' || call.kind === 'mutex.lock') && call.lock && Lock !== undefined) {
      this.#fences.set(call.lock.id, Lock);
    }
    if (call.kind === 'batch' && call.dequeue !== undefined) this.#learnReceipts(call.dequeue.key, body);
  }

  #learnReceipts(key: string, body: Body): void {
    const { Dequeue, Messages } = body as { Dequeue?: { Messages: Body[] }; Messages?: Body[] };
    for (const { ID, Lock } of Dequeue?.Messages ?? Messages ?? []) {
      this.#receipts.push({ key, id: String(ID), lock: Lock! });
      if (this.#receipts.length > receiptsMax) this.#receipts.shift();
    }
  }

  /** Mostly one that nobody has used. */
  override receipt(): { readonly key: string; readonly id: string; readonly lock: number } {
    const at = this.below(this.#receipts.length);
    const receipt = this.#receipts[at] ?? super.receipt();
    if (this.chance(70)) this.#receipts.splice(at, 1);
    return this.chance(5) ? { ...receipt, lock: receipt.lock + 1 } : receipt;
  }

  override changedQueue(): string {
    return this.names.queue[0]!;
  }

  knownVersion(key: string): number {
    return this.#versions.get(key) ?? 0;
  }

  override version(key: string): number {
    return this.chance(20) ? 0 : this.knownVersion(key);
  }

  handle(_noun: 'lock' | 'mutex', id: string): number {
    return this.#fences.get(id) ?? 1;
  }

  /** No two are equal, so that what was read tells who wrote it. */
  value(): string {
    this.#values += 1;
    return JSON.stringify(this.chance(50) ? `v${this.#values}` : { n: this.#values, list: [1, null] });
  }

  override merges(_key: string): boolean {
    return this.chance(15);
  }

  ttl(_key: string): { ttlMs?: number } {
    return this.chance(15) ? { ttlMs: 1500 } : {};
  }

  durMs(): number {
    return this.one([1000, 3000, 15_000]);
  }

  waitMs(): number {
    return this.chance(40) ? 800 : 0;
  }

  override some(noun: Named, most: number): string[] {
    return super.some(noun, Math.min(most, 2));
  }
}
