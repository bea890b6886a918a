/** The way of handlers that answer at once, beside those of data: in the order of their connection, whatever they throw. */
import type { FastifyReply } from 'fastify';
import { Refusal } from '../../protocol/refusal.ts';
import { answerBug } from './error-replies.ts';
import { HttpExchange } from './http-exchange.ts';
import type { RouteContext } from './route-context.ts';
import { RequestOrder } from './sockets/request-order.ts';

export function answerInOrder(
  context: RouteContext,
  operation: 'admin' | 'server',
  reply: FastifyReply,
  answer: (exchange: HttpExchange) => void,
): void {
  reply.hijack();
  const { raw, request } = reply;
  RequestOrder.of(request.raw.socket).run(() => {
    const exchange = new HttpExchange(context, operation, raw);
    try {
      answer(exchange);
    } catch (error) {
      if (error instanceof Refusal) exchange.refuse(error.failure);
      else answerBug(context, error, request, exchange);
    }
  });
}
