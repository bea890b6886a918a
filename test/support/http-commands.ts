/**
 * What the clients of an HTTP history ask: the random commands of the checkers, as far as HTTP can say them, in a hurry
 * (all times are shorter, so that waits and leases end within a run), and what those do not have: watches of a key,
 * resets, lists of locks, one lock for another, batches over many keys, the very same request again.
 *
 * Keys with an odd number may have a TTL; the others never have, which lets a search for a linearization take them.
 */
import type { Batch, Command, LockOperation } from '../../src/protocol/commands.ts';
import { accountId } from '../../src/protocol/ids.ts';
import type { Body } from './contract/expected.ts';
import { RandomCommands } from './checkers/random-history.ts';
import type { SeededRandom } from './seeded-random.ts';

export interface HttpCommandsOptions {
  /** How many keys, locks and so on there are. */
  readonly things: number;
  /** What is added to each value. */
  readonly padBytes?: number;
}

type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

const account = accountId('acme');
const hurry = 0.2;
/** So many idempotent requests are remembered, to be sent again; by the server for so long, over restarts too. */
const rememberedMax = 30;
const rememberedMs = 30_000;

export class HttpCommands {
  padBytes: number;
  readonly #random: SeededRandom;
  readonly #things: number;
  readonly #commands: RandomCommands;
  readonly #versions = new Map<string, number>();
  readonly #handles = new Map<string, number>();
  readonly #idempotent: Batch[] = [];
  #count = 0;

  constructor(random: SeededRandom, { things, padBytes = 0 }: HttpCommandsOptions) {
    this.#random = random;
    this.#things = things;
    this.padBytes = padBytes;
    this.#commands = new RandomCommands(random, things);
  }

  next(): Command {
    const dice = this.#random.below(100);
    if (dice < 12) return this.#special(dice);
    const command = this.#commands.next();
    return command.kind === 'batch' ? this.#fit(command) : inAHurry(command);
  }

  /** Several for one array body: batches that do not wait, and that refuse what is known (a replay could not be told). */
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
    this.#commands.learn(call, body);
    for (const { Key, Version } of [...(body.KV ?? []), ...(body.KVSet ?? [])]) this.#versions.set(Key!, Version!);
    if (call.kind === 'batch' && call.lock && body.Lock !== undefined) this.#handles.set(call.lock.id, body.Lock);
  }

  #special(dice: number): Command {
    const rest = { kind: 'batch', account, format: 'batch' } as const;
    const key = this.#name('k');
    switch (dice) {
      case 0:
        return { kind: 'lock.list', account, prefix: 'l', limit: 1 + this.#random.below(4) };
      case 1:
        return { ...rest, format: 'counter.reset', counter: [{ key: this.#name('c'), op: 'reset', n: 0 }] };
      case 2:
        return { ...rest, format: 'sequence.reset', sequence: { key: this.#name('s'), op: 'reset', n: 1 } };
      case 3:
      case 4: {
        const [id, other] = this.#distinct('l', 2);
        const lock: LockOperation = { id: id!, durMs: 300, waitMs: this.#random.below(2) * 100 };
        return { ...rest, lock, unlock: { id: other!, handle: this.#handles.get(other!) ?? 1 } };
      }
      case 5:
      case 6:
        return { kind: 'watch.key', account, key, version: this.#versions.get(key) ?? 0 };
      case 7:
      case 8: {
        const set = this.#distinct('k', 4).map((one) => ({ key: one, value: this.#value() }));
        return this.#fit({
          ...rest,
          set,
          get: this.#distinct('k', 3),
          counter: [{ key: this.#name('c'), op: 'add', n: 1 }],
        });
      }
      default:
        return this.#idempotent[this.#random.below(this.#idempotent.length)] ?? { ...rest, get: [key] };
    }
  }

  #fit(command: Batch): Batch {
    const batch: Mutable<Batch> = { ...command };
    const { lock, set, idempotency, format } = command;
    if (lock !== undefined) {
      const meta = lock.meta !== undefined && format === 'lock.acquire' ? { meta: JSON.stringify(lock.meta) } : {};
      batch.lock = { ...shorter(lock), ...meta };
    }
    if (set !== undefined) {
      batch.set = set.map(({ key, value, version, ttlMs }) => ({
        key,
        ...(value !== undefined && { value: this.#padded(value) }),
        ...(version !== undefined && { version }),
        ...(ttlMs !== undefined && mayExpire(key) && { ttlMs: ttlMs * hurry }),
      }));
    }
    const { kind: _, account: __, format: ___, idempotency: ____, ...parts } = batch;
    // An empty batch would be malformed.
    if (Object.keys(parts).length === 0) batch.get = [this.#name('k')];
    if (idempotency === undefined) return batch;
    const whole = withFingerprint({ ...batch, idempotency: { ...idempotency, ttlMs: rememberedMs } });
    if (this.#idempotent.push(whole) > rememberedMax) this.#idempotent.shift();
    return whole;
  }

  #value(): string {
    this.#count += 1;
    return JSON.stringify(`x${this.#count}`);
  }

  #padded(value: string): string {
    return this.padBytes === 0
      ? value
      : JSON.stringify({ value, pad: 'x'.repeat(this.#random.below(2 * this.padBytes)) });
  }

  #name(letter: string): string {
    return `${letter}${this.#random.below(this.#things)}`;
  }

  #distinct(letter: string, count: number): string[] {
    const names = new Set<string>();
    while (names.size < Math.min(count, this.#things)) names.add(this.#name(letter));
    return [...names];
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

function inAHurry(command: Exclude<Command, Batch>): Command {
  return command.kind === 'mutex.lock' ? { ...command, lock: shorter(command.lock) } : command;
}

function shorter(lock: LockOperation): LockOperation {
  return { ...lock, durMs: lock.durMs * hurry, waitMs: lock.waitMs * hurry };
}
