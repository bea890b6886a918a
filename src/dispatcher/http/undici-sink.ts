/** Sends requests with undici: no redirects, no proxies, no retries, and no connection older than a minute. */
import { Agent } from 'undici';
import type { After } from '../../shared/clock.ts';
import { answerKeptBytesMax, answerReadBytesMax, targetConnectionMs } from '../../shared/task-limits.ts';
import type { TargetPolicy } from '../../shared/target-policy.ts';
import { guardedConnector, type Resolve } from './connector.ts';
import type { HttpSink, TaskAnswer, TaskRequest } from './http-sink.ts';

export interface UndiciSinkOptions {
  readonly policy: TargetPolicy;
  readonly resolve: Resolve;
  readonly after: After;
}

/** How long a connection that nobody uses stays open. */
const idleMs = 4000;
const headerBytesMax = 16 * 1024;

export class UndiciSink implements HttpSink {
  readonly #agent: Agent;
  readonly #after: After;

  constructor({ policy, resolve, after }: UndiciSinkOptions) {
    this.#after = after;
    this.#agent = new Agent({
      connect: guardedConnector(policy, resolve),
      allowH2: false,
      pipelining: 1,
      clientTtl: targetConnectionMs,
      keepAliveTimeout: idleMs,
      keepAliveMaxTimeout: targetConnectionMs,
      maxHeaderSize: headerBytesMax,
      // The deadline of the task is the only one.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  send(request: TaskRequest, done: (answer: TaskAnswer) => void): void {
    const { deadlineMs } = request;
    const abort = new AbortController();
    const cancel = this.#after(deadlineMs, () => abort.abort());
    this.#answerTo(request, abort.signal).then(
      (answer) => {
        cancel();
        done(answer);
      },
      (error: unknown) => {
        cancel();
        const late = `there was no answer within ${deadlineMs / 1000} s`;
        done({ error: abort.signal.aborted ? late : messageOf(error) });
      },
    );
  }

  close(): void {
    void this.#agent.destroy();
  }

  async #answerTo({ url, method, headers, body }: TaskRequest, signal: AbortSignal): Promise<TaskAnswer> {
    const { origin, pathname, search } = new URL(url);
    const answer = await this.#agent.request({
      origin,
      path: pathname + search,
      method,
      headers: { ...headers },
      body: body ?? null,
      signal,
    });
    const kept: Buffer[] = [];
    let read = 0;
    for await (const piece of answer.body as AsyncIterable<Buffer>) {
      if (read < answerKeptBytesMax) kept.push(piece.subarray(0, answerKeptBytesMax - read));
      read += piece.length;
      // Leaving the loop ends the connection.
      if (read >= answerReadBytesMax) break;
    }
    const retryAfter = answer.headers['retry-after'];
    return {
      status: answer.statusCode,
      body: Buffer.concat(kept)
        .toString()
        .replace(/\uFFFD+$/, ''),
      ...(typeof retryAfter === 'string' && { retryAfter }),
    };
  }
}

/** What went wrong. Of several attempts to connect, the last one says it. */
function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors.at(-1));
  if (!(error instanceof Error)) return String(error);
  const { code } = error as { code?: string };
  return error.message === '' ? (code ?? error.name) : error.message;
}
