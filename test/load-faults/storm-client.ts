/**
 * One client of a lock storm. At random it acquires locks, uses them, and unlocks, lets the lease end or disconnects.
 * Later it tries old fences again. It records what it saw, and judges nothing.
 */
import { ownerOf } from '../../src/protocol/partition.ts';
import { accountId } from '../../src/protocol/ids.ts';
import { machineMs } from '../../src/shared/clock.ts';
import { sleep } from '../support/crash-trial.ts';
import { RawConnection } from '../support/raw-connection.ts';
import { seededRandom, type SeededRandom } from '../support/seeded-random.ts';
import type { Call } from './storm-ledger.ts';

export interface StormOptions {
  readonly seed: number;
  readonly locks: number;
  readonly shards: number;
  /** Leases take from a quarter of this up to all of it; so do waits. */
  readonly durMsMax: number;
}

/** Where the server is, as its clients know it. */
export interface Whereabouts {
  readonly life: number;
  readonly port: number;
}

export interface Surroundings {
  readonly process: number;
  readonly calls: Call[];
  readonly stopped: () => boolean;
  readonly server: () => Whereabouts;
  /** Called when one of the clients has got a lock. */
  readonly held: () => void;
}

export const stormTarget = '/db/storm';
const account = accountId('storm');
const staleKept = 6;

type Held = Pick<Call, 'lock' | 'owner' | 'durMs'> & { readonly fence: number };

export class StormClient {
  readonly #name: string;
  readonly #options: StormOptions;
  readonly #surroundings: Surroundings;
  readonly #random: SeededRandom;
  readonly #stale: Held[] = [];
  #connection: RawConnection | undefined;
  /** For the request that proves that the other one waits. */
  #second: RawConnection | undefined;
  #life = 0;
  #attempts = 0;

  constructor(index: number, options: StormOptions, surroundings: Surroundings) {
    this.#name = `client-${index}`;
    this.#options = options;
    this.#surroundings = surroundings;
    this.#random = seededRandom(options.seed * 1009 + index);
  }

  async run(): Promise<void> {
    while (!this.#surroundings.stopped()) {
      if (this.#random.next() < 0.4) await this.#tryStale();
      await this.#takeTurn();
    }
    // A lease from before the last restart is refused all the same.
    await this.#tryStale();
    this.#connection?.socket.destroy();
    this.#second?.socket.destroy();
  }

  async #takeTurn(): Promise<void> {
    const lock = `lock-${this.#random.below(this.#options.locks)}`;
    this.#attempts += 1;
    const asked = { lock, owner: `${this.#name}-${this.#attempts}`, durMs: this.#someMs() };
    const vanishes = this.#random.next() < 0.12;
    let held = await this.#acquire(asked, vanishes);
    // The reply was lost with the server, and the same owner asks again: it may have had the lock all along.
    if (held === undefined && !vanishes && this.#connection?.socket.destroyed === true && this.#random.next() < 0.5)
      held = await this.#acquire(asked, false);
    if (held === undefined) return;
    for (let uses = 1 + this.#random.below(3); uses > 0; uses -= 1) {
      await sleep(this.#random.below(held.durMs * 0.5));
      await this.#use(held);
    }
    const end = this.#random.next();
    if (end < 0.6) await this.#tell('release', held, { UnlockID: held.lock, Unlock: held.fence });
    else if (end < 0.8) this.#vanish();
    this.#stale.push(held);
    if (this.#stale.length > staleKept) this.#stale.splice(this.#random.below(this.#stale.length), 1);
  }

  async #acquire(asked: Pick<Call, 'lock' | 'owner' | 'durMs'>, vanishes: boolean): Promise<Held | undefined> {
    const connection = await this.#connected();
    if (connection === undefined) return undefined;
    const { lock, owner, durMs } = asked;
    const waitMs = this.#someMs();
    const proves = this.#random.next() < 0.5;
    const id = this.#idBeside(lock, `${owner}/${this.#life}`);
    const body = { LockID: lock, LockOwner: owner, LockDur: durMs / 1000, LockWait: waitMs / 1000 };
    const call = this.#begin('acquire', asked, waitMs);
    const asking = connection.ask('POST', stormTarget, proves ? { ...body, IdempotencyIDs: [id] } : body);
    if (proves) await Promise.race([asking, this.#prove(call, id)]);
    if (vanishes) {
      await Promise.race([asking, sleep(this.#random.below(waitMs))]);
      if (connection.socket.destroyed || call.answeredAt !== undefined) await asking;
      else this.#vanish();
    }
    const reply = this.#end(call, await asking);
    if (reply !== 200) return undefined;
    this.#surroundings.held();
    return { ...asked, fence: call.fence! };
  }

  /** Only the first request with an id that still waits can be in progress; this one changes nothing in any case. */
  async #prove(call: Call, id: string): Promise<void> {
    this.#second = await this.#open(this.#second);
    const body = { IdempotencyIDs: [id], Check: [{ Key: call.lock, Version: 1 }] };
    const reply = await this.#second?.ask('POST', stormTarget, body);
    if (reply !== undefined && reply.body.includes('"request_in_progress"')) call.inLineAt = machineMs();
  }

  async #use(held: Held): Promise<void> {
    if (this.#random.next() < 0.35) {
      const { lock, fence, durMs } = held;
      return this.#tell('extend', held, { LockID: lock, UnlockID: lock, Unlock: fence, LockDur: durMs / 1000 });
    }
    return this.#tell('write', held, {
      Guard: [{ LockID: held.lock, Lock: held.fence }],
      KVSet: [{ Key: `w/${held.lock}`, Value: held.fence }],
    });
  }

  async #tryStale(): Promise<void> {
    const held = this.#stale[this.#random.below(this.#stale.length)];
    if (held !== undefined) await this.#use(held);
  }

  async #tell(kind: Call['kind'], held: Held, body: unknown): Promise<void> {
    const connection = await this.#connected();
    if (connection === undefined) return;
    const call = this.#begin(kind, held, 0);
    call.fence = held.fence;
    this.#end(call, await connection.ask('POST', stormTarget, body));
  }

  #begin(kind: Call['kind'], { lock, owner, durMs }: Pick<Call, 'lock' | 'owner' | 'durMs'>, waitMs: number): Call {
    const { process, calls } = this.#surroundings;
    const call: Call = { kind, process, lock, owner, life: this.#life, durMs, waitMs, sentAt: machineMs() };
    calls.push(call);
    return call;
  }

  #end(call: Call, reply: Awaited<ReturnType<RawConnection['ask']>>): number | undefined {
    if (reply === undefined) return undefined;
    call.answeredAt = machineMs();
    call.status = reply.status;
    const body = JSON.parse(reply.body) as { Code?: string; Rev?: number; Lock?: number };
    if (body.Code !== undefined) call.code = body.Code;
    if (body.Rev !== undefined) call.rev = body.Rev;
    if (call.kind === 'acquire' && body.Lock !== undefined) call.fence = body.Lock;
    return reply.status;
  }

  #vanish(): void {
    const socket = this.#connection?.socket;
    if (this.#random.next() < 0.5) socket?.destroy();
    else socket?.resetAndDestroy();
  }

  /** @returns undefined when the storm is over before the server is there */
  async #connected(): Promise<RawConnection | undefined> {
    while (this.#connection === undefined || this.#connection.socket.destroyed) {
      if (this.#surroundings.stopped() && this.#surroundings.server().port === 0) return undefined;
      const { life } = this.#surroundings.server();
      this.#connection = await this.#open(this.#connection);
      if (this.#connection === undefined) await sleep(5 + this.#random.below(20));
      else this.#life = life;
    }
    return this.#connection;
  }

  async #open(connection: RawConnection | undefined): Promise<RawConnection | undefined> {
    if (connection !== undefined && !connection.socket.destroyed) return connection;
    const { port } = this.#surroundings.server();
    return port === 0 ? undefined : RawConnection.open(port);
  }

  /** An id that the lock's own shard keeps: the shard that knows the id then knows the place in the wait queue. */
  #idBeside(lock: string, name: string): string {
    const { shards } = this.#options;
    for (let n = 0; ; n += 1) {
      const id = `${name}/${n}`;
      if (ownerOf(account, id, shards) === ownerOf(account, lock, shards)) return id;
    }
  }

  #someMs(): number {
    return Math.round(this.#options.durMsMax * (0.25 + 0.75 * this.#random.next()));
  }
}
