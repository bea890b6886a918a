/**
 * Sockets that close in the millisecond of the grant. In each round one client holds the lock, a doomed one is the
 * first waiter and a live one the second. The holder unlocks, and around that moment the socket of the doomed client
 * closes, by FIN, by RST or by half. The doomed client then has the lock only if the reply was sent before the close
 * arrived; otherwise the live one has it at once.
 *
 * A client that closes only one half still reads, so it knows whether the reply was sent: it gets nothing and has
 * nothing, or it gets the fence and unlocks.
 */
import assert from 'node:assert/strict';
import { sleep, trial } from '../support/crash-trial.ts';
import { RawConnection, type RawReply } from '../support/raw-connection.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { sized } from './scale.ts';

const rounds = sized(10, 200);
/** On a busy machine each round waits longer until the lock is free: fewer rounds must do, but not fewer than these. */
const roundsMin = sized(10, 30);
/** Of the rounds of one way and one family. */
const roundsMsMax = 5000;
const families = ['lock', 'mlock'] as const;
const ways = ['FIN', 'RST', 'half'] as const;
/** Length of leases and waits: too long for any client to get the lock because one ends. */
const farSeconds = 120;
/** "At once" on a busy machine; a grant to a dead client would take two minutes. */
const atOnceMs = 3000;

type Family = (typeof families)[number];
type Way = (typeof ways)[number];

interface Counts {
  /** Closed before the unlock was sent. */
  before: number;
  /** Closed after that, and got nothing. */
  raced: number;
  /** The reply was sent before the close arrived. */
  delivered: number;
  readonly gapsMs: number[];
}

trial(
  'locks and mutexes: sockets closed in the millisecond of the grant: nobody dead keeps it, the next has it at once',
  import.meta.url,
  async ({ t, server, random }) => {
    await server.start({ shards: 1, threads: 2 });
    // Over all ways: in the few rounds of one, chance may leave a side out on a busy machine.
    const all = { before: 0, raced: 0 };
    for (const family of families) {
      const scene = new Scene(family, await opened(server.port), server.port, random);
      for (const way of ways) {
        const counts: Counts = { before: 0, raced: 0, delivered: 0, gapsMs: [] };
        const endsAt = performance.now() + roundsMsMax;
        let done = 0;
        for (; done < rounds && (done < roundsMin || performance.now() < endsAt); done += 1) {
          await scene.round(way, counts);
        }
        const { gapsMs, ...closed } = counts;
        const sorted = gapsMs.toSorted((a, b) => a - b);
        const [gapMedianMs, gapP99Ms, gapMostMs] = [0.5, 0.99, 1].map((part) =>
          ms(sorted[Math.ceil(sorted.length * part) - 1]!),
        );
        t.diagnostic(JSON.stringify({ family, way, rounds: done, ...closed, gapMedianMs, gapP99Ms, gapMostMs }));
        all.before += closed.before;
        all.raced += closed.raced;
        assert.equal(closed.before + closed.raced + closed.delivered, done);
      }
      scene.end();
    }
    assert(all.before > 0 && all.raced > 0, 'sockets were closed on both sides of the unlock');
    await server.stop();
  },
);

class Scene {
  readonly #family: Family;
  /** Connection of the holder, which also asks how many clients wait. */
  readonly #holder: RawConnection;
  readonly #port: number;
  readonly #random: SeededRandom;
  /** Time from an unlock to the next grant, in the last rounds. */
  #grantMs = 1;

  constructor(family: Family, holder: RawConnection, port: number, random: SeededRandom) {
    this.#family = family;
    this.#holder = holder;
    this.#port = port;
    this.#random = random;
  }

  async round(way: Way, counts: Counts): Promise<void> {
    const held = handleIn(await this.#holder.ask('POST', this.#lockTarget(0)));
    const doomed = await opened(this.#port);
    const dead = doomed.ask('POST', this.#lockTarget(farSeconds));
    await this.#waiters(1);
    const alive = await opened(this.#port);
    const next = alive.ask('POST', this.#lockTarget(farSeconds));
    await this.#waiters(2);

    // From a little before the unlock to a little after the grant.
    const closeAfterMs = this.#grantMs * (this.#random.next() * 2 - 0.4);
    const unlock = (): Promise<RawReply | undefined> => this.#holder.ask(...this.#unlockCall(held));
    let unlocked: Promise<RawReply | undefined>;
    let sentAt: number;
    if (closeAfterMs < 0) {
      close(doomed, way);
      // The FIN of the closed half is sent in the next turn of this loop.
      if (way === 'half') await new Promise((resolve) => doomed.socket.once('finish', resolve));
      spin(-closeAfterMs);
      sentAt = performance.now();
      unlocked = unlock();
    } else {
      sentAt = performance.now();
      unlocked = unlock();
      // A reply that has arrived already is not read: this turn does not end before the close.
      spin(closeAfterMs);
      close(doomed, way);
    }
    const from = performance.now();
    assert.equal((await unlocked)?.status, 200, 'the unlock worked');
    const outcome =
      way === 'half' ? await heard(dead, next) : await silence(next, closeAfterMs < 0 ? atOnceMs : this.#quietMs);
    let granted: RawReply | undefined;
    let givenBackAt: number;
    switch (outcome.kind) {
      case 'next':
        granted = outcome.reply;
        break;
      case 'doomed':
        counts.delivered += 1;
        givenBackAt = performance.now();
        assert.equal((await this.#holder.ask(...this.#unlockCall(handleIn(outcome.reply))))?.status, 200);
        granted = await next;
        assert(granted !== undefined && granted.at > givenBackAt, 'not two of them have it');
        break;
      case 'nobody':
        assert(way !== 'half', 'the doomed one heard nothing, and yet nobody else got the lock');
        assert(closeAfterMs >= 0, 'it was closed before the unlock was sent, and yet nobody else got the lock');
        await this.#force();
        granted = await next;
        break;
    }
    const fence = handleIn(granted);
    assert(fence > held, 'fences grow');
    const last = await this.#holder.ask(...this.#unlockCall(fence));
    // If the doomed client did not have the lock, the next client got it a little later than we waited.
    if (outcome.kind === 'nobody' && last?.status === 200) counts.delivered += 1;
    else if (outcome.kind !== 'doomed') {
      if (closeAfterMs < 0) counts.before += 1;
      else counts.raced += 1;
      const gapMs = Math.max(0, granted!.at - from);
      counts.gapsMs.push(gapMs);
      assert(gapMs < atOnceMs, `the next had it at once: ${gapMs} ms`);
      this.#grantMs = this.#grantMs * 0.9 + Math.min(20, granted!.at - sentAt) * 0.1;
    }
    doomed.socket.destroy();
    alive.socket.destroy();
  }

  end(): void {
    this.#holder.socket.destroy();
  }

  #lockTarget(wait: number): string {
    return `/db/race/${this.#family}/x?dur=${farSeconds}${wait > 0 ? `&wait=${wait}` : ''}`;
  }

  #unlockCall(fence?: number): ['DELETE' | 'POST', string] {
    const query = fence === undefined ? '?force=1' : `?lock=${fence}`;
    return this.#family === 'lock' ? ['DELETE', `/db/race/lock/x${query}`] : ['POST', `/db/race/munlock/x${query}`];
  }

  /** How long the lock must seem free before the doomed client counts as its holder. */
  get #quietMs(): number {
    return Math.max(15, 10 * this.#grantMs);
  }

  async #force(): Promise<void> {
    assert.equal((await this.#holder.ask(...this.#unlockCall()))?.status, 200);
  }

  async #waiters(count: number): Promise<void> {
    for (;;) {
      const metrics = await this.#holder.ask('GET', '/metrics');
      const waiting = /^dragonlock_shard_waiters\{[^}]*\} (\d+)$/m.exec(metrics?.body ?? '')?.[1];
      assert(waiting !== undefined, 'metrics tell how many wait');
      if (Number(waiting) === count) return;
    }
  }
}

type Outcome = { readonly kind: 'next' | 'doomed'; readonly reply: RawReply | undefined } | { readonly kind: 'nobody' };

/** The doomed client reads to the end: it has the lock, or the next client has. */
async function heard(dead: Promise<RawReply | undefined>, next: Promise<RawReply | undefined>): Promise<Outcome> {
  const reply = await Promise.race([dead, next.then(() => undefined)]);
  return reply === undefined ? silence(next, atOnceMs) : { kind: 'doomed', reply };
}

async function silence(next: Promise<RawReply | undefined>, waitMs: number): Promise<Outcome> {
  const nobody = sleep(waitMs).then((): Outcome => ({ kind: 'nobody' }));
  return Promise.race([next.then((reply): Outcome => ({ kind: 'next', reply })), nobody]);
}

async function opened(port: number): Promise<RawConnection> {
  const connection = await RawConnection.open(port);
  assert(connection !== undefined, 'the server takes connections');
  return connection;
}

function close({ socket }: RawConnection, way: Way): void {
  switch (way) {
    case 'FIN':
      return void socket.destroy();
    case 'RST':
      return void socket.resetAndDestroy();
    case 'half':
      return void socket.end();
  }
}

/** Spins, because a timer is too coarse. */
function spin(forMs: number): void {
  const until = performance.now() + forMs;
  while (performance.now() < until);
}

function handleIn(reply: RawReply | undefined): number {
  assert.equal(reply?.status, 200, `a grant: ${reply?.body ?? 'no answer'}`);
  return (JSON.parse(reply.body) as { Lock: number }).Lock;
}

function ms(value: number): number {
  return Math.round(value * 100) / 100;
}
