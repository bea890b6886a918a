/**
 * Limits of flows: rates, and how many run at once. All of an account's tasks with one FlowKey are begun here, in one
 * thread, so the limits hold over everything. A flow is read anew for each run, because somebody may just have changed it.
 *
 *   asked ──read──► begins                      its rate and its places allow it, or there is no such flow
 *                └► waits until a time          of its rate; or a second, if it is paused
 *                └► waits for the end of a run  all places are taken
 *
 * Runs of a flow begin evenly: each at least `perMs / rate` after the one before. What happened before this start is not
 * known, so the first one comes so long after it.
 */
import type { AccountId } from '../protocol/ids.ts';
import type { Router } from '../router/router.ts';
import type { Clock } from '../shared/clock.ts';
import { pausedFlowMs } from '../shared/task-limits.ts';

export type Verdict = 'begins' | 'waits-for-end' | { readonly waitsMs: number };

interface FlowState {
  running: number;
  /** When the last run began. */
  last: number;
  /** How long that counts. */
  intervalMs: number;
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

  /** May a run of this flow begin? Whoever is told that it does calls `ended`, in the end. One question a flow at a time. */
  ask(account: AccountId, flow: string, answer: (verdict: Verdict) => void): void {
    this.#router.request(
      { kind: 'flow.get', account, id: flow },
      {
        disconnected: false,
        deliver: ({ outcome, body }) => {
          if (outcome === 'not_found') answer(this.#decide(`${account}\0${flow}`, {}));
          else if (outcome === 'ok') answer(this.#decide(`${account}\0${flow}`, JSON.parse(body) as ReadFlow));
          else answer({ waitsMs: againMs });
        },
      },
    );
  }

  ended(account: AccountId, flow: string): void {
    const state = this.#flows.get(`${account}\0${flow}`);
    if (state !== undefined) state.running -= 1;
  }

  #decide(name: string, { Rate, Per = 1, Parallel = Infinity, Paused = false }: ReadFlow): Verdict {
    if (Paused) return { waitsMs: pausedFlowMs };
    const now = this.#clock.now();
    const state = this.#flows.get(name) ?? { running: 0, last: this.#started, intervalMs: 0 };
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
