/**
 * What the clients of an HTTP history ask: the random commands of the checkers as far as HTTP can say them, in a hurry
 * (all times are shorter, so that waits and leases end within a run), and what those do not have: watches of a key,
 * resets, lists of locks, one lock for another, batches over many keys, the very same request again.
 *
 * Keys with an odd number may have a TTL; the others never have, which lets a search for a linearization take them.
 */
import { historyChances, historyMix } from './checkers/random-history.ts';
import type { Body } from './contract/expected.ts';
import { CommandGenerator, type Mix } from './generators/generators.ts';
import { put } from './generators/kv.ts';
import { LearningHabits } from './generators/learning-habits.ts';
import { exchange } from './generators/lock.ts';
import type { SeededRandom } from './seeded-random.ts';
import type { Batch, Command } from '../../src/protocol/operations/operations.ts';

export interface HttpCommandsOptions {
  /** How many keys, locks and so on there are. */
  readonly things: number;
}

const specialMix: Mix = { 'lock.list': 1, 'counter.reset': 1, 'sequence.reset': 1, 'watch.key': 2 };
/** So many idempotent requests are remembered, to be sent again; by the server for so long, over restarts too. */
const rememberedMax = 30;
const rememberedMs = 30_000;

export class HttpCommands {
  readonly #habits: HttpHabits;
  readonly #usual: CommandGenerator;
  readonly #special: CommandGenerator;
  readonly #idempotent: Batch[] = [];

  constructor(random: SeededRandom, { things }: HttpCommandsOptions) {
    this.#habits = new HttpHabits(random, things);
    this.#usual = new CommandGenerator(this.#habits, historyMix, { chances: historyChances });
    this.#special = new CommandGenerator(this.#habits, specialMix, { chances: historyChances });
  }

  /** What is added to each value. */
  set padBytes(bytes: number) {
    this.#habits.padBytes = bytes;
  }

  next(): Command {
    const h = this.#habits;
    const dice = h.below(100);
    const batch = { kind: 'batch', account: h.account, format: 'batch' } as const;
    if (dice < 5) return this.#special.next();
    if (dice < 7) return { ...batch, ...exchange(h) };
    if (dice < 9) {
      const set = h.distinct('kv', 4).map((key) => put(h, key));
      return { ...batch, set, get: h.distinct('kv', 3), counter: [{ key: h.name('counter'), op: 'add', n: 1 }] };
    }
    const again = dice < 12 ? this.#idempotent[h.below(this.#idempotent.length)] : undefined;
    return again ?? this.#remembered(this.#usual.next());
  }

  /** Several for one array body: batches that do not wait and that refuse known ids (a replay could not be told). */
  several(count: number): Batch[] {
    const batches: Batch[] = [];
    while (batches.length < count) {
      const command = this.next();
      if (command.kind !== 'batch' || command.format !== 'batch') continue;
      const { lock, idempotency } = command;
      batches.push({
        ...command,
        ...(lock && { lock: { ...lock, waitMs: 0 } }),
        ...(idempotency && { idempotency: { ...idempotency, mode: 'refuse' } }),
      });
    }
    // What is asked in another way is another payload.
    return batches.map((batch) => withFingerprint(batch));
  }

  learn(call: Command, body: Body): void {
    this.#habits.learn(call, body);
  }

  #remembered(command: Command): Command {
    if (command.kind !== 'batch' || command.idempotency === undefined) return command;
    const batch = withFingerprint(command);
    if (this.#idempotent.push(batch) > rememberedMax) this.#idempotent.shift();
    return batch;
  }
}

class HttpHabits extends LearningHabits {
  padBytes = 0;

  override value(): string {
    const value = super.value();
    if (this.padBytes === 0) return value;
    return JSON.stringify({ value, pad: 'x'.repeat(this.below(2 * this.padBytes)) });
  }

  override ttl(key: string): { ttlMs?: number } {
    return mayExpire(key) ? super.ttl(key) : {};
  }

  override durMs(): number {
    return super.durMs() / 5;
  }

  override waitMs(): number {
    return super.waitMs() / 5;
  }

  override rememberMs(): number {
    return rememberedMs;
  }

  /** A string, because that is what a query can say. */
  override meta(): { meta?: string } {
    const { meta } = super.meta();
    return meta === undefined ? {} : { meta: JSON.stringify(meta) };
  }

  distinct(noun: 'kv', count: number): string[] {
    const left = [...this.names[noun]];
    return Array.from({ length: Math.min(count, left.length) }, () => left.splice(this.below(left.length), 1)[0]!);
  }
}

/** Keys that never have a TTL change only when somebody asks. */
export function mayExpire(key: string): boolean {
  return Number(key.slice(1)) % 2 === 1;
}

/** As the server sees it: the same payload has the same fingerprint, any other has another. */
function withFingerprint(batch: Batch): Batch {
  if (batch.idempotency === undefined) return batch;
  const { idempotency, ...payload } = batch;
  return { ...batch, idempotency: { ...idempotency, fingerprint: JSON.stringify(payload) } };
}
