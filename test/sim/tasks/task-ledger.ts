/**
 * What clients were told of their tasks, what has come of them, and whether the two agree: I24 to I27.
 *
 *   acknowledged          runs, or was cancelled
 *   never acknowledged    runs once, or never
 *   cancelled in time     never runs; a request that was under way ends
 *   a schedule            each instant was run, was passed over with a count, or failed
 */
import { Violation } from '../trace.ts';

export interface MadeTask {
  readonly id: string;
  readonly target: 'queue' | 'http' | 'script';
  readonly flow: boolean;
  /** Of a schedule; it ends at `untilMs`. */
  readonly everyMs?: number;
  readonly untilMs?: number;
}

interface KnownTask extends MadeTask {
  /** When its first run is due; absent: nobody was told that it is there. */
  nextMs?: number;
  /** `unknown`: asked for and not answered. */
  cancelled?: 'unknown' | 'never ran' | 'too late';
  /** How often nothing moved any more, when the cancel was answered. */
  cancelledAt: number;
  /** Somebody has asked for a run. */
  asked?: true;
  fence: number;
  requests: number;
  successes: number;
  /** The id that receivers know, by the instant. */
  readonly webhooks: Map<string, string>;
}

/** As `GET /task/:id` shows it, after all has ended. */
export interface ShownTask {
  readonly State: string;
  readonly Runs: number;
  readonly Skipped: number;
  readonly Failed: number;
}

export const flowIntervalMs = 500;

export class TaskLedger {
  readonly tasks = new Map<string, KnownTask>();
  /** How often nothing moved any more: who was told something before then can have been told by all. */
  quiet = 0;
  /** When the last request of the flow came; over starts, too. */
  lastOfFlow = -Infinity;

  made(task: MadeTask): void {
    this.tasks.set(task.id, { ...task, cancelledAt: 0, fence: 0, requests: 0, successes: 0, webhooks: new Map() });
  }

  acknowledged(id: string, nextMs: number): void {
    this.#of(id).nextMs = nextMs;
  }

  /** A run may come before its time from now on. @returns false for a schedule */
  runAsked(id: string): boolean {
    const task = this.#of(id);
    if (task.everyMs !== undefined) return false;
    task.asked = true;
    return true;
  }

  cancelAsked(id: string): void {
    this.#of(id).cancelled ??= 'unknown';
  }

  /** @param version of the task that was cancelled; 0: there was none any more */
  cancelAnswered(id: string, version: number): void {
    const task = this.#of(id);
    // A cancel before this one, whose answer was lost, may have been the one.
    if (version > 0) {
      task.cancelled = 'never ran';
      task.cancelledAt = this.quiet;
    } else if (task.cancelled !== 'never ran') task.cancelled = task.nextMs === undefined ? 'unknown' : 'too late';
  }

  isInFlow(id: string): boolean {
    return this.#of(id).flow;
  }

  sent(id: string, headers: Readonly<Record<string, string>>, at: number): void {
    const task = this.#of(id);
    const { cancelled, cancelledAt, webhooks } = task;
    const scheduled = headers['dragonlock-scheduled']!;
    const fence = Number(headers['dragonlock-fence']);
    if (cancelled === 'never ran' && cancelledAt < this.quiet)
      throw new Violation(`${id} was cancelled, and sends a request`);
    if (Number(scheduled) > at && task.asked !== true)
      throw new Violation(`I24: ${id} runs ${Number(scheduled) - at} ms before its instant`);
    if (fence <= task.fence) throw new Violation(`the fence of ${id} is ${fence} after ${task.fence}`);
    const webhook = headers['webhook-id']!;
    if (webhook !== (webhooks.get(scheduled) ?? webhook))
      throw new Violation(
        `I26: the run of ${id} at ${scheduled} has two ids: ${webhooks.get(scheduled)} and ${webhook}`,
      );
    webhooks.set(scheduled, webhook);
    task.fence = fence;
    task.requests += 1;
  }

  succeeded(id: string): void {
    this.#of(id).successes += 1;
  }

  /**
   * Call when nothing more can come.
   *
   * @param shown undefined: there is no such task
   * @param effects messages of a queue target, or commits of a script
   */
  checkEnd(id: string, shown: ShownTask | undefined, effects: number): void {
    const task = this.#of(id);
    const { target, everyMs, nextMs, cancelled, requests, successes } = task;
    const fail = (what: string): never => {
      throw new Violation(
        `${what}: ${JSON.stringify({ ...task, webhooks: [...task.webhooks] })}, ${effects} effects, ${JSON.stringify(shown)}`,
      );
    };
    if (nextMs !== undefined && cancelled === undefined && shown === undefined) fail('I24: a task is lost');
    if (target === 'http' && requests > 0 && shown === undefined && cancelled === undefined)
      fail('I27: a request was sent for a task that is not durable');
    if (everyMs !== undefined) {
      if (shown === undefined) return;
      if (shown.State !== 'done') fail('I24: a schedule does not end');
      const { Runs, Skipped, Failed } = shown;
      if (target !== 'http' && Runs !== effects) fail('I26: runs and effects differ');
      if (nextMs === undefined) return;
      const instants = Math.floor((task.untilMs! - nextMs) / everyMs) + 1;
      if (Runs + Skipped + Failed !== instants) fail(`I24: of ${instants} instants not each is accounted for`);
      return;
    }
    if (target === 'http') {
      if (shown !== undefined && (shown.State !== 'done' || successes === 0)) fail('I24: a request never succeeded');
      return;
    }
    if (effects > 1) fail('I26: a run has two effects');
    if (cancelled === 'never ran' && effects > 0) fail('a task was cancelled, and has run');
    if (shown !== undefined && effects === 0) fail('I24: a task that is done has no effect');
    if (shown === undefined && cancelled === undefined && effects > 0) fail('I26: a run has an effect and no end');
  }

  #of(id: string): KnownTask {
    const task = this.tasks.get(id);
    if (task === undefined) throw new Violation(`nobody has made a task ${id}`);
    return task;
  }
}
