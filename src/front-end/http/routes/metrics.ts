import type { FastifyInstance } from 'fastify';
import { systemAfter } from '../../../shared/clock.ts';
import { answerInOrder } from '../answer-in-order.ts';
import type { RouteContext } from '../route-context.ts';
import { answerBug } from '../error-replies.ts';
import type { Scrape } from '../../metrics-registry.ts';
import { serverRoute } from '../server-route.ts';

/** A text is made at most this often; those who ask meanwhile share the next one. */
const makeEveryMs = 100;

/** `GET /metrics`: Prometheus' text format. It needs no token, and names no account unless the operator wants it. */
export function metricsRoutes(app: FastifyInstance, context: RouteContext): void {
  // Loaded when somebody asks: of several front ends most are never asked.
  let registry: Promise<Scrape> | undefined;
  const texts = new SharedTexts(async () => {
    registry ??= import('../../metrics-registry.ts').then(({ metricsRegistry }) => metricsRegistry(context));
    const made = await registry;
    return { contentType: made.contentType, text: Buffer.from(await made.metrics()) };
  });
  serverRoute(app, context, '/metrics', (reply) => {
    answerInOrder(context, 'server', reply, (exchange) => {
      exchange.wait({ cancel: () => {} });
      texts.next().then(
        // All who asked meanwhile are answered now: a thousand of them in turn with the requests of accounts.
        ({ contentType, text }) => context.turns.run('', () => exchange.deliverShared(contentType, text)),
        (error: unknown) => answerBug(context, error, reply.request, exchange),
      );
    });
  });
}

interface Made {
  readonly contentType: string;
  readonly text: Buffer;
}

/** Makes a text for all who ask for it at about the same time, after the last of them has asked. */
class SharedTexts {
  readonly #make: () => Promise<Made>;
  #next: Promise<Made> | undefined;
  #before: Promise<unknown> = Promise.resolve();

  constructor(make: () => Promise<Made>) {
    this.#make = make;
  }

  next(): Promise<Made> {
    return (this.#next ??= this.#afterTheLast());
  }

  async #afterTheLast(): Promise<Made> {
    await this.#before;
    this.#next = undefined;
    const text = this.#make();
    const pause = new Promise<void>((resolve) => void systemAfter(makeEveryMs, resolve));
    this.#before = Promise.allSettled([text, pause]);
    return text;
  }
}
