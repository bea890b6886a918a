/** A sink of requests without a network. Each request gets what `answers` says; without that it hangs until `end`. */
import type { HttpSink, TaskAnswer, TaskRequest } from '../../src/dispatcher/http/http-sink.ts';

export interface SeenRequest extends TaskRequest {
  /** When it came. */
  readonly at: number;
  /** Ends it with this answer; the second time it is ignored. */
  readonly end: (answer?: TaskAnswer) => void;
}

export class FakeSink implements HttpSink {
  readonly seen: SeenRequest[] = [];
  /** Those without an answer. */
  readonly open = new Set<SeenRequest>();
  /** undefined: it hangs. */
  answers: (request: TaskRequest) => TaskAnswer | undefined = () => ({ status: 200, body: '' });
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  send(request: TaskRequest, done: (answer: TaskAnswer) => void): void {
    const seen: SeenRequest = {
      ...request,
      at: this.#now(),
      end: (answer = { status: 200, body: '' }) => {
        if (this.open.delete(seen)) done(answer);
      },
    };
    this.seen.push(seen);
    this.open.add(seen);
    const answer = this.answers(request);
    if (answer !== undefined) seen.end(answer);
  }

  close(): void {
    this.open.clear();
  }
}
