/**
 * The requests of the clients of an HTTP history: the random commands of the checkers as far as HTTP can express them,
 * with shorter times, so that waits and leases end within a run. Added are watches of a key, resets, lists of locks,
 * exchanges of locks, batches over many keys, queues, and repeated requests.
 *
 * Keys with an odd number may have a TTL. The others never have one, so that a search for a linearization can use them.
 */
import { historyChances, historyMix } from './checkers/random-history.ts';
import type { Body } from './contract/expected.ts';
import { CommandGenerator, type Mix } from './generators/generators.ts';
import { put } from './generators/kv.ts';
import type { Named } from './generators/habits.ts';
import { LearningHabits } from './generators/learning-habits.ts';
import { exchange } from './generators/lock.ts';
import type { SeededRandom } from './seeded-random.ts';
import { isOfSharedLocks, SharedLocks } from './generators/shared-lock.ts';
import { WholeAccounts, wholeAccount } from './generators/whole-account.ts';
import type { Batch, Command } from '../../src/protocol/operations/operations.ts';

export interface HttpCommandsOptions {
  /** The number of keys, locks and so on. */
  readonly things: number;
}

const specialMix: Mix = { 'lock.list': 1, 'counter.reset': 1, 'sequence.reset': 1, 'watch.key': 2 };

/** Three queues of all that there are: what administrators change, and two in which nothing may be lost. */
const queueMix: Mix = {
  'queue.send': 4,
  'queue.take': 8,
  'queue.ack': 3,
  'queue.nack': 2,
  'queue.extend': 1,
  'queue.life': 6,
  'queue.policy': 1,
  'queue.change': 1,
  'queue.redrive': 1,
  'queue.stat': 1,
  'queue.list': 1,
  'queue.peek': 1,
};

/** Operations of Redis come through their own door only. */
const httpChances = { ...historyChances, ops: 0 };

/** The number of idempotent requests to send again, and how long the server remembers them, over restarts too. */
const rememberedMax = 30;
const rememberedMs = 30_000;

export class HttpCommands {
  readonly #habits: HttpHabits;
  readonly #usual: CommandGenerator;
  readonly #special: CommandGenerator;
  readonly #queues: CommandGenerator;
  readonly #shared: SharedLocks;
  readonly #whole: WholeAccounts;
  readonly #idempotent: Batch[] = [];

  constructor(random: SeededRandom, { things }: HttpCommandsOptions) {
    this.#habits = new HttpHabits(random, things);
    this.#usual = new CommandGenerator(this.#habits, historyMix, { chances: httpChances });
    this.#queues = new CommandGenerator(this.#habits, queueMix, { chances: httpChances });
    this.#shared = new SharedLocks(random, this.#habits);
    this.#whole = new WholeAccounts(random);
    this.#special = new CommandGenerator(this.#habits, specialMix, { chances: httpChances });
  }

  /** Is added to each value. */
  set padBytes(bytes: number) {
    this.#habits.padBytes = bytes;
  }

  get queues(): readonly string[] {
    return this.#habits.queues;
  }

  next(): Command {
    const h = this.#habits;
    const dice = h.below(100);
    const batch = { kind: 'batch', account: h.account, format: 'batch' } as const;
    if (dice < 5) return this.#special.next();
    if (dice >= 56 && dice < 60) return this.#whole.next();
    if (dice >= 60 && dice < 70) return this.#shared.next(h.account);
    if (dice >= 70) return this.nextOfQueues();
    if (dice < 7) return { ...batch, ...exchange(h) };
    if (dice < 9) {
      const set = h.distinct('kv', 4).map((key) => put(h, key));
      return { ...batch, set, get: h.distinct('kv', 3), counter: [{ key: h.name('counter'), op: 'add', n: 1 }] };
    }
    const again = dice < 12 ? this.#idempotent[h.below(this.#idempotent.length)] : undefined;
    return again ?? this.#remembered(this.#usual.next());
  }

  nextOfQueues(): Command {
    return this.#remembered(this.#queues.next());
  }

  /** Makes one array body: batches that do not wait and that refuse known ids (a replay would not be noticed). */
  several(count: number): Batch[] {
    const batches: Batch[] = [];
    while (batches.length < count) {
      const command = this.next();
      // Several locks at once are a batch of their own.
      if (command.kind !== 'batch' || command.format !== 'batch' || command.locks !== undefined) continue;
      if (command.account === wholeAccount) continue;
      const { lock, idempotency, dequeue } = command;
      batches.push({
        ...command,
        ...(lock && { lock: { ...lock, waitMs: 0 } }),
        ...(dequeue && { dequeue: { ...dequeue, waitMs: 0 } }),
        ...(idempotency && { idempotency: { ...idempotency, mode: 'refuse' } }),
      });
    }
    // The same request in another form is another payload.
    return batches.map((batch) => withFingerprint(batch));
  }

  learn(call: Command, body: Body): void {
    if (call.account === wholeAccount) return;
    if (isOfSharedLocks(call)) this.#shared.learn(call, body as { Lock: number });
    else this.#habits.learn(call, body);
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
  /** So that windows can be counted. */
  override readonly otherLimits = 0;

  get queues(): readonly string[] {
    return this.names.queue.slice(0, 3);
  }

  override name(noun: Named): string {
    return noun === 'queue' ? this.one(this.queues) : super.name(noun);
  }

  override value(): string {
    const value = super.value();
    if (this.padBytes === 0) return value;
    return JSON.stringify({ value, pad: 'x'.repeat(this.below(2 * this.padBytes)) });
  }

  override merges(key: string): boolean {
    return mayExpire(key) && super.merges(key);
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

  override heldMs(): number {
    return this.one([0, 0, 100]);
  }

  override rememberMs(): number {
    return rememberedMs;
  }

  /** Returns a string, because a query has no other type. */
  override meta(): { meta?: string } {
    const { meta } = super.meta();
    return meta === undefined ? {} : { meta: JSON.stringify(meta) };
  }

  distinct(noun: 'kv', count: number): string[] {
    const left = [...this.names[noun]];
    return Array.from({ length: Math.min(count, left.length) }, () => left.splice(this.below(left.length), 1)[0]!);
  }
}

/** Keys without a TTL change only by requests. */
export function mayExpire(key: string): boolean {
  return Number(key.slice(1)) % 2 === 1;
}

/** Returns a fingerprint as the server's: equal for the same payload, different for any other. */
export function withFingerprint(batch: Batch): Batch {
  if (batch.idempotency === undefined) return batch;
  const { idempotency, ...payload } = batch;
  return { ...batch, idempotency: { ...idempotency, fingerprint: JSON.stringify(payload) } };
}
