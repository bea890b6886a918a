/** A client on a fake clock and a fake transport. The test answers its requests one by one. */
import assert from 'node:assert/strict';
import { DragonLock } from '../../src/client/dragon-lock.ts';
import type { DragonLockOptions } from '../../src/client/options.ts';
import { TransportError, type Transport, type WireReply, type WireRequest } from '../../src/client/transport.ts';
import { FakeClock, settled } from './fake-clock.ts';

export class Exchange {
  readonly request: WireRequest;
  readonly #resolve: (reply: WireReply) => void;
  readonly #reject: (error: unknown) => void;

  constructor(request: WireRequest, resolve: (reply: WireReply) => void, reject: (error: unknown) => void) {
    this.request = request;
    this.#resolve = resolve;
    this.#reject = reject;
    request.signal?.addEventListener('abort', () => reject(request.signal?.reason));
  }

  /** The batches in the request. */
  get batches(): readonly Record<string, unknown>[] {
    const body: unknown = JSON.parse(this.request.body ?? '{}');
    return (Array.isArray(body) ? body : [body]) as Record<string, unknown>[];
  }

  async reply(status: number, body: unknown, retryAfterMs?: number): Promise<void> {
    this.#resolve({ status, text: JSON.stringify(body), boot: 'boot', retryAfterMs });
    await settled();
  }

  /** Answers as a gateway does in the server's place: without the server's header. */
  async gateway(status: number, text = '<h1>Bad Gateway</h1>', retryAfterMs?: number): Promise<void> {
    this.#resolve({ status, text, boot: undefined, retryAfterMs });
    await settled();
  }

  async fails(code: string, status: number, retryAfterMs?: number): Promise<void> {
    await this.reply(status, { Code: code, Message: code, RequestID: 'boot-1' }, retryAfterMs);
  }

  /** Answers each batch with success; the revision is its position in the array, from 1. */
  async succeed(): Promise<void> {
    const bodies = this.batches.map((batch, i) => ({ Status: 200, Rev: i + 1, ...resultOf(batch) }));
    await this.reply(200, bodies.length === 1 ? bodies[0] : bodies);
  }

  async breaks(how: 'sent' | 'before' | 'for good'): Promise<void> {
    this.#reject(new TransportError(new Error('broken'), how === 'sent', how === 'for good'));
    await settled();
  }
}

export class FakeTransport implements Transport {
  readonly exchanges: Exchange[] = [];
  /** The version that `/version` reports; undefined: the test answers the request. */
  version: string | undefined = '0.1.0';

  send(request: WireRequest): Promise<WireReply> {
    return new Promise((resolve, reject) => {
      if (request.path === '/version' && this.version !== undefined) {
        resolve({
          status: 200,
          text: JSON.stringify({ Version: this.version }),
          boot: 'boot',
          retryAfterMs: undefined,
        });
      } else this.exchanges.push(new Exchange(request, resolve, reject));
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** Removes and returns the oldest request. */
  take(): Exchange {
    return this.exchanges.shift() ?? assert.fail('a request was sent');
  }
}

export interface ClientUnderTest {
  readonly client: DragonLock;
  readonly transport: FakeTransport;
  readonly clock: FakeClock;
}

/** @param random replaces each random number */
export function clientUnderTest(options: DragonLockOptions = {}, random = 1): ClientUnderTest {
  const transport = new FakeTransport();
  const clock = new FakeClock();
  const client = new DragonLock(
    { url: 'http://127.0.0.1:8081', account: 'acc', ...options },
    { transport: () => transport, clock, random: () => random },
  );
  return { client, transport, clock };
}

function resultOf(batch: Record<string, unknown>): object {
  const of = (name: string): Record<string, unknown>[] => (batch[name] ?? []) as Record<string, unknown>[];
  return {
    KVSet: of('KVSet').map(({ Key }) => ({ Key, Version: 7 })),
    KV: of('KVGet').map((key) => ({ Key: key, Version: 7, Value: 'v' })),
    Atomic: of('Atomic').map(({ Key, Add }) => ({ Key, Value: Add, Old: 0 })),
  };
}
