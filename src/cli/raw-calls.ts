/** Calls in the words of the HTTP API, sent as the client sends its own: with a version check and retries. */
import type { Call } from '../client/pending-call.ts';
import type { DragonLockOptions } from '../client/options.ts';
import type { WireReply } from '../client/transport.ts';
import { asUsage } from './invocation.ts';

export interface DirectCalls {
  /** A body for `POST /db/:acc`. @returns the reply's */
  call(batch: Pick<Call, 'retry' | 'idempotencyKey' | 'waitMs' | 'body'>): Promise<unknown>;
  /** One attempt of a GET. @throws TransportError */
  get(path: string): Promise<WireReply>;
  close(): Promise<void>;
}

export async function directCalls(options: DragonLockOptions): Promise<DirectCalls> {
  const [{ CallSender }, { systemLeaseClock }, { settingsOf }, { HttpTransport }] = await Promise.all([
    import('../client/call-sender.ts'),
    import('../client/lease-clock.ts'),
    import('../client/options.ts'),
    import('../client/transport.ts'),
  ]);
  const settings = asUsage(() => settingsOf(options, {}));
  const transport = new HttpTransport(settings);
  const sender = new CallSender(settings, { transport, clock: systemLeaseClock, random: Math.random });
  return {
    async call(batch) {
      const { body } = await sender.call({ ...batch, method: 'POST', path: `/db/${settings.account}` });
      // The sender puts the status into what it hands over, which for an array is an object with its indexes.
      const { Status: _, ...reply } = body;
      return '0' in reply ? Object.values(reply) : reply;
    },
    get: (path) => transport.send({ method: 'GET', path, timeoutMs: settings.timeoutMs, waits: false }),
    close: () => sender.close(),
  };
}
