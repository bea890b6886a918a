/**
 * A transport with a server of locks and mutexes in memory. Each request takes two steps, in any order with those of
 * other requests: it arrives, and its reply comes back. A request whose connection was closed before it arrived is not
 * granted anything; afterwards, the server does not notice.
 */
import type { Transport, WireReply, WireRequest } from '../../src/client/transport.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { settled } from './fake-clock.ts';

interface Lease {
  readonly owner: string | undefined;
  readonly fence: number;
}

type Body = Record<string, unknown>;

export class FakeLockServer implements Transport {
  /** By `lock x` or `mutex x`. */
  readonly held = new Map<string, Lease>();
  #fences = 0;
  #gates: (() => void)[] = [];

  /** Lets one request go on. */
  async step(random: SeededRandom): Promise<void> {
    await settled();
    const [gate] = this.#gates.splice(Math.floor(random.next() * this.#gates.length), 1);
    gate?.();
    await settled();
  }

  async send(request: WireRequest): Promise<WireReply> {
    const { signal } = request;
    await this.#gate(signal);
    const bodies = this.#handle(request);
    await this.#gate(signal);
    const single = bodies.length === 1 ? bodies[0]! : undefined;
    return {
      status: Number(single?.['Status'] ?? 200),
      text: JSON.stringify(single ?? bodies),
      boot: 'boot',
      retryAfterMs: undefined,
    };
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #gate(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#gates = this.#gates.filter((other) => other !== resolve);
        reject(signal?.reason);
      };
      if (signal?.aborted) return abort();
      signal?.addEventListener('abort', abort, { once: true });
      this.#gates.push(resolve);
    });
  }

  #handle({ path, body, method }: WireRequest): Body[] {
    if (path === '/version') return [{ Status: 200, Version: '0.1.0' }];
    const { pathname, searchParams } = new URL(path, 'http://server');
    const [, , , kind, id] = pathname.split('/');
    const owner = searchParams.get('owner') ?? undefined;
    if (kind === 'lock' && method === 'DELETE') return [this.#unlock(`lock ${id!}`, { owner })];
    if (kind === 'mlock') return [this.#lock(`mutex ${id!}`, owner)];
    if (kind === 'munlock') {
      const fence = searchParams.get('lock');
      return [this.#unlock(`mutex ${id!}`, { owner, ...(fence !== null && { fence: Number(fence) }) })];
    }
    const json = JSON.parse(body ?? '{}') as Body | Body[];
    return [json].flat().map((batch) => this.#batch(batch));
  }

  #batch({ LockID, LockOwner, UnlockID, Unlock, KVSet }: Body): Body {
    const sets = ((KVSet ?? []) as Body[]).map(({ Key }) => ({ Key, Version: 1 }));
    if (LockID !== undefined) return { ...this.#lock(`lock ${LockID as string}`, LockOwner as string), KVSet: sets };
    return { ...this.#unlock(`lock ${UnlockID as string}`, { fence: Number(Unlock) }), KVSet: sets };
  }

  #lock(name: string, owner: string | undefined): Body {
    const lease = this.held.get(name) ?? { owner, fence: (this.#fences += 1) };
    if (lease.owner !== owner) return { Status: 409, Code: 'not_locked', Message: 'held' };
    this.held.set(name, lease);
    return { Status: 200, Lock: lease.fence, Rev: lease.fence };
  }

  #unlock(name: string, { owner, fence }: { owner?: string | undefined; fence?: number }): Body {
    const lease = this.held.get(name);
    if (lease === undefined || (fence === undefined ? lease.owner !== owner : lease.fence !== fence)) {
      return { Status: 409, Code: 'lock_lost', Message: 'not held', LockID: name };
    }
    this.held.delete(name);
    return { Status: 200, Rev: 9 };
  }
}
