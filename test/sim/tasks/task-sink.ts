/**
 * Where simulated requests of tasks go: the seed decides whether one succeeds, fails, gets no answer, or hangs until its
 * deadline. What is under way when the server dies vanishes. It checks each request when it comes.
 */
import type { HttpSink, TaskAnswer, TaskRequest } from '../../../src/dispatcher/http/http-sink.ts';
import type { After } from '../../../src/shared/clock.ts';
import type { SeededRandom } from '../../support/seeded-random.ts';
import { Violation, type Counts } from '../trace.ts';
import { flowIntervalMs, type TaskLedger } from './task-ledger.ts';

export interface TaskSinkOptions {
  readonly random: SeededRandom;
  readonly counts: Counts;
  readonly ledger: TaskLedger;
  readonly now: () => number;
  readonly after: After;
  /** From now on everything succeeds. */
  readonly healthy: () => boolean;
}

export class TaskSink implements HttpSink {
  readonly #options: TaskSinkOptions;
  readonly #open = new Set<string>();
  readonly #openOfFlow = new Set<string>();

  /** One for each life of the server. */
  constructor(options: TaskSinkOptions) {
    this.#options = options;
  }

  get underWay(): number {
    return this.#open.size;
  }

  send(request: TaskRequest, done: (answer: TaskAnswer) => void): void {
    const { counts, ledger, now, after } = this.#options;
    const id = new URL(request.url).pathname.slice(1);
    const at = now();
    if (this.#open.has(id)) throw new Violation(`I25: ${id} runs twice at once`);
    ledger.sent(id, request.headers, at);
    this.#open.add(id);
    if (ledger.isInFlow(id)) this.#ofFlow(id, at);
    counts.add('request');
    const [answer, delayMs] = this.#drawAnswer(request);
    after(delayMs, () => {
      if (!this.#open.delete(id)) return;
      this.#openOfFlow.delete(id);
      counts.add('status' in answer ? `answer ${answer.status}` : answer.error);
      if ('status' in answer && answer.status === 200) ledger.succeeded(id);
      done(answer);
    });
  }

  close(): void {
    this.#open.clear();
    this.#openOfFlow.clear();
  }

  #ofFlow(id: string, at: number): void {
    if (this.#openOfFlow.size > 0)
      throw new Violation(`I27: ${[...this.#openOfFlow].join()} and ${id} run in one place`);
    const sinceMs = at - this.#options.ledger.lastOfFlow;
    if (sinceMs < flowIntervalMs) throw new Violation(`I27: ${id} begins ${sinceMs} ms after another one of its flow`);
    this.#openOfFlow.add(id);
    this.#options.ledger.lastOfFlow = at;
    this.#options.counts.add('request of a flow');
  }

  #drawAnswer({ deadlineMs }: TaskRequest): [TaskAnswer, delayMs: number] {
    const { random, healthy } = this.#options;
    const delayMs = random.below(3) === 0 ? 0 : random.below(deadlineMs);
    const draw = healthy() ? 0 : random.below(10);
    if (draw < 6) return [{ status: 200, body: 'ok' }, delayMs];
    if (draw < 7) return [{ status: 500, body: 'no' }, delayMs];
    if (draw < 8) return [{ error: 'reset' }, delayMs];
    return [{ error: 'hung' }, deadlineMs];
  }
}
