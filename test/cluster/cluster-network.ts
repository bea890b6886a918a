/**
 * What lies between the nodes of a simulated cluster and its engine: each statement and each answer takes its time, some
 * are lost, some statements arrive when nobody waits for them any more. Faults aim at one node's line, or at one statement
 * of it.
 */
import type { Cell, Engine, EngineAnswer } from '../../src/cluster/engine.ts';
import type { ClusterWorld, Machine } from './cluster-world.ts';
import { engineOver, type ModelEngine, type Statement } from './model-engine.ts';

const deadlineMs = 5000;

/** The line of one node. */
class Line {
  /** Nothing gets through until then. */
  cutUntil = 0;
  /** Statements get through, and answers wait until then. */
  answersHeldUntil = 0;
  /** Of the next statement of a kind: how late it arrives, and what happens when it does. */
  readonly slow = new Map<keyof Engine, { readonly delayMs: number; readonly arrives: () => void }>();
  /** Looks take this long until then. */
  looksSlowUntil = 0;
  /** Of the next append: it arrives just when somebody takes the cell; its sender hears nothing. */
  holdsNextAppend: (() => void) | undefined;
}

export class ClusterNetwork {
  readonly #world: ClusterWorld;
  readonly #engine: ModelEngine;
  readonly #lines = new Map<string, Line>();
  #held: { readonly cell: Cell; readonly arrive: () => void }[] = [];
  /** Every third answer is lost until then. */
  answersLostUntil = 0;
  #quiet = false;

  constructor(world: ClusterWorld, engine: ModelEngine) {
    this.#world = world;
    this.#engine = engine;
  }

  line(name: string): Line {
    let line = this.#lines.get(name);
    if (line === undefined) this.#lines.set(name, (line = new Line()));
    return line;
  }

  engineOf(name: string, machine: Machine): Engine {
    return engineOver((statement) => this.#send(this.line(name), machine, statement));
  }

  /** From now on everything gets through. */
  heal(): void {
    this.#quiet = true;
    this.#lines.clear();
    this.answersLostUntil = 0;
    for (const { arrive } of this.#held.splice(0)) arrive();
  }

  #send<Result>(line: Line, machine: Machine, statement: Statement<Result>): Promise<EngineAnswer<Result>> {
    const world = this.#world;
    return new Promise((resolve) => {
      let settled = false;
      const settle = (answer: EngineAnswer<Result>): void => {
        if (settled) return;
        settled = true;
        resolve(answer);
      };
      machine.after(deadlineMs, () => settle({ kind: 'unknown' }));
      // A broken connection is noticed long before the deadline, now and then.
      const lose = (): void => {
        if (world.chance(2)) machine.after(world.between(0, 50), () => settle({ kind: 'unknown' }));
      };
      const isCut = (): boolean => !this.#quiet && line.cutUntil > world.now;
      if (isCut() || this.#happens(100)) return lose();
      const arrive = (): void =>
        this.#arrive(statement, (answer) => {
          const isLost = world.now < this.answersLostUntil && world.chance(3);
          if (isCut() || isLost || this.#happens(60)) return lose();
          const held = this.#quiet ? 0 : Math.max(0, line.answersHeldUntil - world.now);
          world.after(held + world.between(0.1, 2), () => settle(answer), machine);
        });
      if (statement.name === 'append' && line.holdsNextAppend !== undefined && !this.#quiet) {
        line.holdsNextAppend();
        line.holdsNextAppend = undefined;
        this.#held.push({ cell: statement.cell!, arrive });
        return lose();
      }
      const slow = line.slow.get(statement.name);
      line.slow.delete(statement.name);
      if (slow !== undefined) {
        world.after(slow.delayMs, () => {
          slow.arrives();
          arrive();
        });
        return;
      }
      // Some arrive when nobody waits any more; joins more often, because there are few of them.
      const isLate = this.#happens(statement.name === 'join' ? 3 : 120);
      if (isLate) {
        world.after(world.between(10, 12_000), arrive);
        return lose();
      }
      const isSlow = statement.name === 'look' && world.now < line.looksSlowUntil;
      world.after(isSlow ? world.between(200, 1500) : world.between(0.1, 2), () => (isCut() ? lose() : arrive()));
    });
  }

  #arrive<Result>(statement: Statement<Result>, answer: (answer: EngineAnswer<Result>) => void): void {
    const run = (): void => this.#engine.run(statement, answer);
    const isMove = statement.name === 'take' || statement.name === 'handOver';
    const met = isMove ? this.#held.filter(({ cell }) => cell === statement.cell) : [];
    if (met.length === 0) return run();
    this.#held = this.#held.filter((held) => !met.includes(held));
    const isBehind = this.#world.chance(3);
    if (isBehind) run();
    for (const { arrive } of met) arrive();
    if (!isBehind) run();
  }

  #happens(oneIn: number): boolean {
    return !this.#quiet && this.#world.chance(oneIn);
  }
}
