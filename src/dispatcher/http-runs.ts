/**
 * Runs that send a request:
 *
 *   asked to run ──► flow allows it ──► the shard says that the task is as it was ──► flow's turn ──► sent ──► answered
 *        ▲                │                          │
 *        └── the line waits                          └──► it has changed: nothing is sent
 */
import type { Fences } from '../protocol/epochs.ts';
import type { HttpTarget, TaskDefinition, TaskState } from '../protocol/operations/task-definition.ts';
import type { WebhookSecret } from '../protocol/operations/task-setting.ts';
import type { Router } from '../router/router.ts';
import type { After, Clock } from '../shared/clock.ts';
import type { Due } from './due-task.ts';
import type { Flows } from './flows.ts';
import type { HttpSink, TaskAnswer } from './http/http-sink.ts';
import { taskRequest } from './http/task-request.ts';
import type { Secrets } from './secrets.ts';

export interface HttpRunsOptions {
  readonly router: Pick<Router, 'request'>;
  readonly clock: Clock;
  readonly after: After;
  readonly flows: Pick<Flows, 'sends'>;
  /** Wall time, for receivers: they compare it with theirs. */
  readonly wall: () => number;
  readonly sink: HttpSink;
  readonly secrets: Secrets;
  readonly fences: Pick<Fences, 'next'>;
}

export interface HttpRun {
  readonly due: Due;
  readonly definition: TaskDefinition;
  readonly target: HttpTarget;
  /** With the instant that is run. */
  readonly state: TaskState;
}

/** `changed`: the task is not as it was. `later`: the server cannot begin a run now. Neither has sent anything. */
export type HttpRunEnd = 'changed' | 'later' | { readonly startMs: number; readonly answer: TaskAnswer };

export class HttpRuns {
  readonly #options: HttpRunsOptions;

  constructor(options: HttpRunsOptions) {
    this.#options = options;
  }

  begin(run: HttpRun, done: (end: HttpRunEnd) => void): void {
    const { account, id, version } = run.due;
    this.#options.router.request(
      { kind: 'task.begin', account, id, version },
      {
        disconnected: false,
        deliver: ({ outcome }) => {
          if (outcome === 'ok') this.#sign(run, done);
          else done(outcome === 'version_mismatch' ? 'changed' : 'later');
        },
      },
    );
  }

  #sign(run: HttpRun, done: (end: HttpRunEnd) => void): void {
    const { secrets, flows, after } = this.#options;
    const { account, flow } = run.due;
    secrets.get(account, (secret) => {
      if (secret === undefined) return done('later');
      const waitsMs = flow === undefined ? 0 : flows.sends(account, flow);
      if (waitsMs === 0) this.#send(run, secret, done);
      else after(waitsMs, () => this.#send(run, secret, done));
    });
  }

  #send({ due, target, state }: HttpRun, secret: WebhookSecret, done: (end: HttpRunEnd) => void): void {
    const { clock, wall, sink, fences } = this.#options;
    const fence = fences.next();
    if (fence === undefined) return done('later');
    const startMs = clock.now();
    const names = { account: due.account, id: due.id, instant: state.next, attempt: state.attempts + 1, fence };
    sink.send(taskRequest(target, names, { secret, now: startMs, wallMs: wall() }), (answer) =>
      done({ startMs, answer }),
    );
  }
}
