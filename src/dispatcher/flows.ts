/**
 * Limits of flows: rates, and how many run at once. All of an account's tasks with one FlowKey are begun here, in one
 * thread, so the limits hold over everything. A flow is read anew for each run, because somebody may just have changed it.
 *
 *   asked ──read──► begins                      its rate and its places allow it, or there is no such flow
 *                └► waits until a time          of its rate; or a second, if it is paused and nobody has asked for the run
 *                └► waits for the end of a run  all places are taken
 *
 * Runs of a flow begin evenly: each at least `perMs / rate` after the one before. What happened before this start is not
 * known, so the first one comes so long after it. Between its beginning and its request a run asks the shard, and one may
 * be answered faster than the one before: so requests are spaced once more where they are sent.
 */
import type { AccountId } from '../protocol/ids.ts';
import type { Router } from '../router/router.ts';
import { assert } from '../shared/assert.ts';
import type { Clock } from '../shared/clock.ts';
import { pausedFlowMs } from '../shared/task-limits.ts';

export interface FlowQuestion {
  readonly account: AccountId;
  readonly flow: string;
  /** Somebody has asked for the run. */
  readonly isAsked: boolean;
}

export type Verdict = 'begins' | 'waits-for-end' | { readonly waitsMs: number };

interface FlowState {
  running: number;
  /** When the last run began, or is to send its request. */
  last: number;
  /** How long that counts. */
  intervalMs: number;
  /** When the last request was sent, or is to be. */
  sent: number;
}

/** After a refusal that has nothing to do with the flow. */
const againMs = 1000;
/** So many are kept before those are looked through that count no longer. */
const keptMin = 1024;

export class Flows {
  readonly #router: Pick<Router, 'request'>;
  readonly #clock: Clock;
  readonly #started: number;
  readonly #flows = new Map<string, FlowState>();
  #sweepAt = keptMin;

  constructor(router: Pick<Router, 'request'>, clock: Clock) {
    this.#router = router;
    this.#clock = clock;
    this.#started = clock.now();
  }

  /** May a run of this flow begin? Whoever is told that it does calls `ended`, in the end. One question a line at a time. */
  ask({ account, flow, isAsked }: FlowQuestion, answer: (verdict: Verdict) => void): void {
    const name = `${account}\0${flow}`;
    this.#router.request(
      { kind: 'flow.get', account, id: flow },
      {
        disconnected: false,
        deliver: ({ outcome, body }) => {
          if (outcome === 'not_found') return answer(this.#decide(name, {}));
          if (outcome !== 'ok') return answer({ waitsMs: againMs });
          const read = JSON.parse(body) as ReadFlow;
          const isPaused = read.Paused === true && !isAsked;
          answer(isPaused ? { waitsMs: pausedFlowMs } : this.#decide(name, read));
        },
      },
    );
  }

  /** @returns in how many milliseconds a run that has begun may send its request; it has to do so then */
  sends(account: AccountId, flow: string): number {
    const state = this.#flows.get(`${account}\0${flow}`);
    assert(state !== undefined && state.running > 0, 'a run of a flow begins before it sends');
    const now = this.#clock.now();
    state.sent = Math.max(now, Math.ceil(state.sent + state.intervalMs));
    state.last = Math.max(state.last, state.sent);
    return state.sent - now;
  }

  ended(account: AccountId, flow: string): void {
    const state = this.#flows.get(`${account}\0${flow}`);
    if (state !== undefined) state.running -= 1;
  }

  #decide(name: string, { Rate, Per = 1, Parallel = Infinity }: ReadFlow): Verdict {
    const now = this.#clock.now();
    const started = this.#started;
    const state = this.#flows.get(name) ?? { running: 0, last: started, sent: started, intervalMs: 0 };
    if (state.running >= Parallel) return 'waits-for-end';
    const intervalMs = Rate === undefined ? 0 : (Per * 1000) / Rate;
    const waitsMs = Math.ceil(state.last + intervalMs - now);
    if (Rate !== undefined && waitsMs > 0) return { waitsMs };
    state.running += 1;
    state.last = now;
    state.intervalMs = intervalMs;
    this.#flows.set(name, state);
    if (this.#flows.size >= this.#sweepAt) this.#sweep(now);
    return 'begins';
  }

  #sweep(now: number): void {
    for (const [name, { running, last, intervalMs }] of this.#flows)
      if (running === 0 && last + intervalMs <= now) this.#flows.delete(name);
    this.#sweepAt = Math.max(keptMin, 2 * this.#flows.size);
  }
}

interface ReadFlow {
  readonly Rate?: number;
  /** Seconds. */
  readonly Per?: number;
  readonly Parallel?: number;
  readonly Paused?: boolean;
}
