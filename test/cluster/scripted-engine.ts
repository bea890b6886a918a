/** The model engine without delays, whose calls a test can lose, refuse, hold back, or put something before. */
import type { Engine, EngineAnswer, LogFrame, LogPlace, Owned, Session } from '../../src/cluster/engine.ts';
import { revision } from '../../src/protocol/ids.ts';
import { anchor, engineOver, ModelEngine } from './model-engine.ts';

/** `late`: the caller gives up, and the statement takes effect when the test says so. */
export type CallFault = 'request-lost' | 'answer-lost' | 'late' | 'nothing' | 'full';
type Method = keyof Engine;

export class ScriptedEngine {
  /** Runs the oldest wait for the standby, as long as it is away. */
  readonly waits: (() => void)[] = [];
  readonly calls: Method[] = [];
  readonly late: (() => Promise<unknown>)[] = [];
  readonly model: ModelEngine;
  readonly engine: Engine;
  isStandbyAway = false;
  /** The wait for the standby is cancelled, once. */
  cancelsNext = false;
  readonly #faults = new Map<Method, (CallFault | undefined)[]>();
  readonly #before = new Map<Method, () => Promise<unknown>>();

  constructor(cells = 1) {
    this.model = new ModelEngine(cells, {
      standbyDelay: () => 0,
      cancelsAfter: () => {
        const cancels = this.cancelsNext;
        this.cancelsNext = false;
        return cancels ? -1 : undefined;
      },
      failsWith: () => undefined,
      after: (delayMs, run) => (this.isStandbyAway && delayMs >= 0 ? void this.waits.push(run) : run()),
    });
    const direct = engineOver((statement) => new Promise((resolve) => this.model.run(statement, resolve)));
    this.engine = new Proxy(direct, {
      get:
        (target, method: Method) =>
        (...args: never[]) =>
          this.#call(method, () => (target[method] as (...all: never[]) => never)(...args)),
    });
  }

  /** What happens to the next calls of a method; undefined: nothing. */
  fault(method: Method, ...faults: (CallFault | undefined)[]): void {
    this.#faults.set(method, faults);
  }

  /** Runs once, just before the next call of the method takes effect. */
  before(method: Method, run: () => Promise<unknown>): void {
    this.#before.set(method, run);
  }

  frames(cell = 0): LogFrame[] {
    return [...this.model.durable.log.get(cell)!.values()].filter(({ first }) => first > 0);
  }

  async #call(method: Method, run: () => Promise<EngineAnswer<unknown>>): Promise<EngineAnswer<unknown>> {
    this.calls.push(method);
    const before = this.#before.get(method);
    this.#before.delete(method);
    await before?.();
    switch (this.#faults.get(method)?.shift()) {
      case 'request-lost':
        return { kind: 'unknown' };
      case 'answer-lost':
        await run();
        return { kind: 'unknown' };
      case 'late':
        this.late.push(run);
        return { kind: 'unknown' };
      case 'nothing':
        return { kind: 'nothing' };
      case 'full':
        return { kind: 'full' };
      case undefined:
        break;
    }
    return run();
  }
}

/** Lets everything go on that waits for nothing. */
export const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
export const pause = settle;

let chains = 0;

/** A frame of one record behind another one; no two have the same checksum. */
export function frameBehind(previous: LogPlace, epoch: number, first: number = previous.last + 1): LogFrame {
  const rev = revision(first);
  return { first: rev, last: rev, chain: (chains += 1), previous: previous.chain, epoch, bytes: Buffer.alloc(0) };
}

/** The session takes the cell from whoever has it. */
export async function take({ engine }: ScriptedEngine, session: Session, cell = 0): Promise<Owned> {
  const row = await engine.look(cell);
  if (row.kind !== 'done') throw new Error(`expected a row, got ${row.kind}`);
  const taken = await engine.take(cell, row.result.epoch, session);
  if (taken.kind !== 'done') throw new Error(`expected the cell, got ${taken.kind}`);
  return { cell, epoch: taken.result.epoch, session };
}

/** Puts so many frames behind the anchor or another one. */
export async function lengthen(
  { engine }: ScriptedEngine,
  owner: Owned,
  count: number,
  behind: LogPlace = anchor,
): Promise<LogFrame[]> {
  const frames: LogFrame[] = [];
  for (let i = 0; i < count; i += 1) {
    const previous = frames.at(-1) ?? behind;
    const frame = frameBehind(previous, owner.epoch);
    const answer = await engine.append(owner, frame, previous);
    if (answer.kind !== 'done') throw new Error(`expected the frame to be durable, got ${answer.kind}`);
    frames.push(frame);
  }
  return frames;
}
