/**
 * What the clients of a simulation ask: every command, on few keys, so that they meet. The values of a request name it,
 * which is how a commit is told to be whole. What was answered before (handles, versions, ids) is used again, also when
 * it is stale. Each run has favourites, drawn from its seed, so that many runs differ more than many requests of one do.
 */
import { accountId, type AccountId } from '../../src/protocol/ids.ts';
import type { ReplyBody } from '../support/reply-body.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { bankPrefix } from './timeline.ts';
import type { Batch, Command } from '../../src/protocol/operations/operations.ts';
import type { LockOperation } from '../../src/protocol/operations/lock.ts';
import type { SetOperation } from '../../src/protocol/operations/kv.ts';

export const accounts: readonly AccountId[] = [accountId('acme'), accountId('acme.2')];

export const keys = ['a', 'b', 'c', 'd/1', 'd/2', 'd/3'];
const locks = ['l1', 'l2', 'a'];
const bank = [0, 1, 2, 3].map((number) => `${bankPrefix}${number}`);

export interface Request {
  readonly number: number;
  readonly command: Command;
  /** What it is called in the coverage. */
  readonly what: string;
}

interface Kept {
  readonly id: string;
  readonly handle: number;
}

export class Workload {
  /** What a request with this number puts. */
  readonly puts = new Map<number, ReadonlyMap<string, string>>();
  readonly #random: SeededRandom;
  readonly #versions = new Map<string, number>();
  readonly #handles: Kept[] = [];
  readonly #mutexHandles: Kept[] = [];
  readonly #idempotent: Request[] = [];
  readonly #favourites: readonly number[];
  #numbers = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
    this.#favourites = Array.from({ length: 1 + random.below(6) }, () => random.below(this.#mix.length));
  }

  next(): Request {
    const random = this.#random;
    this.#numbers += 1;
    const number = this.#numbers;
    const account = accounts[random.below(6) === 0 ? 1 : 0]!;
    const retry = this.#idempotent[random.below(Math.max(1, this.#idempotent.length))];
    if (retry !== undefined && random.below(12) === 0)
      return { number, command: this.#retry(retry.command), what: 'retry' };
    const favourite = this.#favourites[random.below(this.#favourites.length)]!;
    const make = this.#mix[random.below(3) > 0 ? favourite : random.below(this.#mix.length)]!;
    const [what, command] = make(account, number);
    const request = { number, command, what };
    if (command.kind === 'batch') {
      const puts = new Map<string, string>();
      for (const { key, value } of command.set ?? []) {
        if (value === undefined) puts.delete(key);
        else puts.set(key, value);
      }
      this.puts.set(number, puts);
      if (command.idempotency !== undefined) this.#idempotent.push(request);
    }
    return request;
  }

  /** Remembers what may be used again. */
  answered(command: Command, status: number, body: ReplyBody): void {
    if (status !== 200) return;
    if (command.kind === 'mutex.lock') this.#mutexHandles.push({ id: command.lock.id, handle: body.Lock });
    if (command.kind !== 'batch') return;
    if (command.lock !== undefined && body.Lock !== undefined)
      this.#handles.push({ id: command.lock.id, handle: body.Lock });
    for (const { Key, Version } of [...(body.KV ?? []), ...(body.KVSet ?? [])]) this.#versions.set(Key, Version);
  }

  readonly #mix: readonly ((account: AccountId, number: number) => [string, Command])[] = [
    (account, number) => ['set', batch(account, { set: [this.#put(this.#key(), number)] })],
    (account, number) => ['set if version', batch(account, { set: [this.#conditional(this.#key(), number)] })],
    (account, number) => [
      'delete',
      batch(account, { set: [{ key: this.#key() }, ...this.#maybe(() => this.#put(this.#key(), number))] }),
    ],
    (account, number) => {
      const set = this.#some(keys, 4).map((key) => this.#put(key, number));
      return ['set many', batch(account, { set, get: this.#some(keys, 3) })];
    },
    (account, number) => {
      const check = this.#some(keys, 2).map((key) => ({ key, version: this.#versions.get(key) ?? 0 }));
      return ['check', batch(account, { check, set: [this.#put(this.#key(), number)], get: [this.#key()] })];
    },
    (account) => ['get', batch(account, { get: this.#some(keys, 4) })],
    (account) => {
      const [from, to] = this.#some(bank, 2);
      const n = 1 + this.#random.below(9);
      const counter = [
        { key: from!, op: 'add' as const, n: -n },
        { key: to ?? from!, op: 'add' as const, n },
      ];
      return ['transfer', batch(account, { counter })];
    },
    (account) => ['audit', batch(account, { counter: bank.map((key) => ({ key, op: 'get' as const, n: 0 })) })],
    (account) => {
      const op = (['add', 'set', 'max', 'min', 'reset'] as const)[this.#random.below(5)]!;
      const ifEq = this.#random.below(4) === 0 ? { ifEq: this.#random.below(3) } : {};
      return ['counter', batch(account, { counter: [{ key: 'n', op, n: this.#random.below(5), ...ifEq }] })];
    },
    (account) => {
      const n = 1 + this.#random.below(3);
      return ['sequence', batch(account, { format: 'sequence.next', sequence: { key: 'seq', op: 'next', n } })];
    },
    (account, number) => ['lock', batch(account, { lock: this.#lock(number) })],
    (account, number) => ['lock', batch(account, { lock: this.#lock(number) })],
    (account, number) => {
      const set = this.#some(keys, 2).map((key) => this.#put(key, number));
      return ['lock and set', batch(account, { lock: this.#lock(number), set })];
    },
    (account) => this.#unlock(account),
    (account) => this.#unlock(account),
    (account, number) => {
      const { id, handle } = this.#handle(this.#handles);
      return ['guard', batch(account, { guard: [{ id, handle }], set: [this.#put(this.#key(), number)] })];
    },
    (account) => {
      const { id, handle } = this.#handle(this.#handles);
      return ['extend', batch(account, { lock: { id, durMs: this.#durMs(), waitMs: 0, extend: handle } })];
    },
    (account, number) => {
      const { id, handle } = this.#handle(this.#handles);
      // The edge takes the same id twice for an extension.
      const other = locks.find((lock) => lock !== id)!;
      return [
        'one lock for another',
        batch(account, { lock: { ...this.#lock(number), id: other }, unlock: { id, handle } }),
      ];
    },
    (account, number) => {
      const ids = this.#some(['i1', 'i2', 'i3', 'i4'], 2);
      const mode = this.#random.below(2) === 0 ? 'refuse' : 'replay';
      const idempotency = { ids, ttlMs: 500 + this.#random.below(20_000), mode, fingerprint: `f${number}` } as const;
      const locked = this.#random.below(3) === 0 ? { lock: this.#lock(number) } : {};
      const set = this.#some(keys, 2).map((key) => this.#put(key, number));
      return ['once', batch(account, { idempotency, set, ...locked })];
    },
    (account) => [
      'list',
      { kind: 'kv.list', account, prefix: this.#random.below(2) === 0 ? '' : 'd/', limit: 1 + this.#random.below(6) },
    ],
    (account) => ['list locks', { kind: 'lock.list', account, prefix: '', limit: 10 }],
    (account) => {
      const { id, handle } = this.#handle(this.#handles);
      return [
        'inspect',
        { kind: 'lock.inspect', account, id, ...(this.#random.below(2) === 0 ? { fence: handle } : {}) },
      ];
    },
    (account, number) => ['mutex', { kind: 'mutex.lock', account, lock: { ...this.#lock(number), id: 'm' } }],
    (account) => [
      'mutex unlock',
      { kind: 'mutex.unlock', account, unlock: { id: 'm', handle: this.#handle(this.#mutexHandles).handle } },
    ],
  ];

  #unlock(account: AccountId): [string, Command] {
    const { id, handle } = this.#handle(this.#handles);
    const force = this.#random.below(8) === 0;
    return [
      force ? 'force' : 'unlock',
      batch(account, { format: 'lock.release', unlock: force ? { id } : { id, handle } }),
    ];
  }

  /** The very same request, or another one under its id. */
  #retry(command: Command): Command {
    if (command.kind !== 'batch' || this.#random.below(5) > 0) return command;
    return { ...command, idempotency: { ...command.idempotency!, fingerprint: 'another' } };
  }

  #put(key: string, number: number): SetOperation {
    const value = JSON.stringify({
      op: number,
      pad: 'x'.repeat(this.#random.below(10) === 0 ? 700 : this.#random.below(40)),
    });
    const ttl = this.#random.below(5) === 0 ? { ttlMs: 50 + this.#random.below(3000) } : {};
    return { key, value, ...ttl };
  }

  #conditional(key: string, number: number): SetOperation {
    return { ...this.#put(key, number), version: this.#random.below(3) === 0 ? 0 : (this.#versions.get(key) ?? 0) };
  }

  #lock(number: number): LockOperation {
    const owner = this.#random.below(6) === 0 ? { owner: `again${this.#random.below(2)}` } : { owner: `o${number}` };
    const meta = this.#random.below(3) === 0 ? { meta: `"m${number}"` } : {};
    const waitMs = this.#random.below(3) === 0 ? 0 : this.#random.below(6000);
    return { id: locks[this.#random.below(locks.length)]!, durMs: this.#durMs(), waitMs, ...owner, ...meta };
  }

  #durMs(): number {
    return 50 + this.#random.below(this.#random.below(4) === 0 ? 30_000 : 2000);
  }

  #handle(kept: readonly Kept[]): Kept {
    // Mostly the latest ones.
    const back = this.#random.below(3) === 0 ? this.#random.below(kept.length + 1) : this.#random.below(3);
    return kept.at(-1 - back) ?? { id: 'l1', handle: 1 };
  }

  #key(): string {
    return keys[this.#random.below(keys.length)]!;
  }

  #some(from: readonly string[], most: number): string[] {
    const count = 1 + this.#random.below(most);
    const left = [...from];
    return Array.from(
      { length: Math.min(count, left.length) },
      () => left.splice(this.#random.below(left.length), 1)[0]!,
    );
  }

  #maybe<Item>(make: () => Item): Item[] {
    return this.#random.below(2) === 0 ? [make()] : [];
  }
}

function batch(account: AccountId, parts: Partial<Omit<Batch, 'kind'>>): Batch {
  return { kind: 'batch', account, format: 'batch', ...parts };
}
