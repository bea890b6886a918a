/** Calls in the format of the HTTP API, with the client's own version check, timeouts and retries. */
import type { Call } from '../client/pending-call.ts';
import type { DragonLockOptions } from '../client/options.ts';
import type { WireReply } from '../client/transport.ts';
import { withUsageErrors } from './invocation.ts';

export interface RawCalls {
  /** Sends a body to `POST /db/:acc`. @returns the body of the reply */
  call(batch: Pick<Call, 'retry' | 'idempotencyKey' | 'waitMs' | 'body'>): Promise<unknown>;
  /** Sends a request without a body once. @throws TransportError */
  send(method: 'GET' | 'POST', path: string): Promise<WireReply>;
  /** Sends a GET once. @throws TransportError */
  get(path: string): Promise<WireReply>;
  close(): Promise<void>;
}

export async function rawCalls(options: DragonLockOptions): Promise<RawCalls> {
  const [{ CallSender }, { systemLeaseClock }, { settingsOf }, { NodeTransport }, { MovingTransport }] =
    await Promise.all([
      import('../client/call-sender.ts'),
      import('../client/lease-clock.ts'),
      import('../client/options.ts'),
      import('./node-transport.ts'),
      import('../client/moving-transport.ts'),
    ]);
  const settings = withUsageErrors(() => settingsOf(options, {}));
  const transport = new MovingTransport(settings, (own) => new NodeTransport(own));
  const sender = new CallSender(settings, { transport, clock: systemLeaseClock, random: Math.random });
  return {
    async call(batch) {
      const { body } = await sender.call({ ...batch, method: 'POST', path: `/db/${settings.account}` });
      // The sender adds the status to what it returns; for an array that is an object with its indexes as keys.
      const { Status: _, ...reply } = body;
      return '0' in reply ? Object.values(reply) : reply;
    },
    send: (method, path) => transport.send({ method, path, timeoutMs: settings.timeoutMs, waits: false }),
    get: (path) => transport.send({ method: 'GET', path, timeoutMs: settings.timeoutMs, waits: false }),
    close: () => sender.close(),
  };
}
