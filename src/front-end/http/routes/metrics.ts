import type { FastifyInstance } from 'fastify';
import { systemAfter } from '../../../shared/clock.ts';
import { answerInOrder } from '../answer-in-order.ts';
import type { RouteContext } from '../route-context.ts';
import { metricsRegistry } from '../../metrics-registry.ts';
import { serverRoute } from '../server-route.ts';

/** A text is made at most this often; those who ask meanwhile share the next one. */
const makeEveryMs = 100;

/** `GET /metrics`: Prometheus' text format. It needs no token, and names no account unless the operator wants it. */
export function metricsRoutes(app: FastifyInstance, context: RouteContext): void {
  const registry = metricsRegistry(context);
  const texts = new SharedTexts(async () => Buffer.from(await registry.metrics()));
  serverRoute(app, context, '/metrics', (reply) => {
    answerInOrder(context, 'server', reply, (exchange) => {
      exchange.wait({ cancel: () => {} });
      // A rejection is a bug: as it is unhandled, it takes the process down.
      void texts.next().then((text) => {
        // All who asked meanwhile are answered now: a thousand of them in turn with the requests of accounts.
        context.turns.run('', () => exchange.deliverShared(registry.contentType, text));
      });
    });
  });
}

/** Makes a text for all who ask for it at about the same time, after the last of them has asked. */
class SharedTexts {
  readonly #make: () => Promise<Buffer>;
  #next: Promise<Buffer> | undefined;
  #before: Promise<unknown> = Promise.resolve();

  constructor(make: () => Promise<Buffer>) {
    this.#make = make;
  }

  next(): Promise<Buffer> {
    return (this.#next ??= this.#afterTheLast());
  }

  async #afterTheLast(): Promise<Buffer> {
    await this.#before;
    this.#next = undefined;
    const text = this.#make();
    const pause = new Promise<void>((resolve) => void systemAfter(makeEveryMs, resolve));
    this.#before = Promise.allSettled([text, pause]);
    return text;
  }
}
