/**
 * A run of three nodes over one engine, drawn from a seed: clients write and read, machines die, stop and are cut off, the
 * engine stalls, loses answers and fails over. Afterwards everything is well again, and the cells have to be served.
 */
import type { EngineAnswer } from '../../src/cluster/engine.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { ClusterNode, type NodeDisk } from './cluster-node.ts';
import { ClusterWorld, Machine } from './cluster-world.ts';
import { Judge } from './judge.ts';
import { engineOver, ModelEngine } from './model-engine.ts';

export interface ClusterRun {
  readonly violations: readonly string[];
  readonly counts: Readonly<Record<string, number>>;
  readonly steps: number;
}

export interface ClusterRunOptions {
  /** The engine may lose what it has acknowledged. */
  readonly lossy?: boolean;
  /** How far the rates of the machines' clocks differ: 0.1 is from 0.9 to 1.12. */
  readonly rates?: readonly [number, number];
}

const names = ['a', 'b', 'c'] as const;
const faultsMs = 40_000;
const quietMs = 25_000;
const deadlineMs = 5000;

export async function simulateCluster(seed: number, options: ClusterRunOptions = {}): Promise<ClusterRun> {
  const run = new Run(seed, options);
  return run.run();
}

class Run {
  readonly #world: ClusterWorld;
  readonly #engine: ModelEngine;
  readonly #judge = new Judge();
  readonly #cells: number;
  readonly #options: ClusterRunOptions;
  readonly #disks = new Map<string, NodeDisk>();
  readonly #nodes = new Map<string, ClusterNode>();
  /** Nodes that cannot reach the engine until a time. */
  readonly #cutOff = new Map<string, number>();
  #sessions = 0;
  #writes = 0;
  #standbyBackAt = 0;
  #fullUntil = 0;
  #quiet = false;

  constructor(seed: number, options: ClusterRunOptions) {
    this.#world = new ClusterWorld(seededRandom(seed));
    this.#options = options;
    const world = this.#world;
    this.#cells = 1 + world.random.below(3);
    this.#engine = new ModelEngine(this.#cells, {
      standbyDelay: () => Math.max(0, this.#standbyBackAt - world.now) + world.between(0.2, 3),
      cancelsAfter: () => (!this.#quiet && world.chance(60) ? world.between(0, 4) : undefined),
      failsWith: () => {
        if (!this.#quiet && world.chance(80)) return 'nothing';
        return world.now < this.#fullUntil && world.chance(2) ? 'full' : undefined;
      },
      after: (delayMs, then) => world.after(delayMs, then),
    });
  }

  async run(): Promise<ClusterRun> {
    const world = this.#world;
    for (const name of names) this.#start(name);
    for (let client = 0; client < 6; client += 1) this.#client();
    this.#drawFaults();
    await world.runUntil(faultsMs);
    this.#heal();
    await world.runUntil(faultsMs + quietMs);
    this.#judge.judgeLog(this.#engine.durable);
    this.#judgeLife();
    return { violations: this.#judge.violations, counts: this.#judge.counts, steps: world.steps };
  }

  #start(name: string): void {
    const world = this.#world;
    const [slowest, fastest] = this.#options.rates ?? [0.9, 1.12];
    const machine = new Machine(world, world.between(slowest, fastest));
    let disk = this.#disks.get(name);
    if (disk === undefined)
      this.#disks.set(
        name,
        (disk = { sessions: new Set(), cells: new Map(), remembered: new Map(), closed: new Set() }),
      );
    const node = new ClusterNode({
      name,
      machine,
      engine: engineOver((statement) => this.#send(name, machine, (answer) => this.#engine.run(statement, answer))),
      judge: this.#judge,
      disk,
      newSession: () => (this.#sessions += 1),
      cells: this.#cells,
      peer: (session) => [...this.#nodes.values()].find((other) => other.session?.id === session),
    });
    this.#nodes.set(name, node);
    node.start();
  }

  /** The network between a node and the engine. */
  #send<Result>(
    name: string,
    machine: Machine,
    execute: (answer: (answer: EngineAnswer<Result>) => void) => void,
  ): Promise<EngineAnswer<Result>> {
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
      const isCut = (): boolean => (this.#cutOff.get(name) ?? 0) > world.now;
      if (isCut() || (!this.#quiet && world.chance(100))) return lose();
      // Some requests arrive when nobody waits any more.
      const isLate = !this.#quiet && world.chance(120);
      const delay = isLate ? world.between(10, 12_000) : world.between(0.1, 2);
      if (isLate) lose();
      world.after(delay, () => {
        if (isCut() && !isLate) return lose();
        execute((answer) => {
          if (isCut() || (!this.#quiet && world.chance(60))) return lose();
          world.after(world.between(0.1, 2), () => settle(answer), machine);
        });
      });
    });
  }

  /** One after the other, each to a node that may or may not have the cell. */
  #client(): void {
    const world = this.#world;
    const next = (): void => world.after(world.between(1, 120), ask);
    const ask = (): void => {
      const cell = world.random.below(this.#cells);
      const owners = [...this.#nodes.values()].filter((node) => node.open.has(cell));
      const node = owners[world.random.below(owners.length || 1)];
      if (node === undefined) return next();
      const { machine } = node.context;
      const before = this.#judge.shown(cell);
      let over = false;
      const done = (): void => {
        if (over) return;
        over = true;
        next();
      };
      // A client does not wait for ever.
      world.after(8000, done);
      const isRead = world.chance(2);
      world.after(
        world.between(0.1, 2),
        () => {
          if (isRead) {
            void node.read(cell).then((reply) => {
              if (reply !== undefined && !over) this.#judge.read(cell, reply.rev, reply.value, before);
              done();
            });
            return;
          }
          this.#writes += 1;
          const write = `w${this.#writes}`;
          void node.write(cell, write).then((rev) => {
            if (rev !== undefined && !over) this.#judge.acknowledged(cell, rev, write);
            done();
          });
        },
        machine,
      );
    };
    next();
  }

  #drawFaults(): void {
    const world = this.#world;
    let at = 3000;
    while (at < faultsMs) {
      at += world.between(100, 4000);
      world.after(at, () => this.#fault());
    }
  }

  #fault(): void {
    const world = this.#world;
    const judge = this.#judge;
    const name = names[world.random.below(names.length)]!;
    const node = this.#nodes.get(name)!;
    const { machine } = node.context;
    const cell = world.random.below(this.#cells);
    switch (world.random.below(10)) {
      case 0:
        if (machine.isDead) break;
        judge.count('killed');
        machine.isDead = true;
        world.after(world.between(0, 8000), () => this.#start(name));
        node.open.clear();
        node.session = undefined;
        break;
      case 1:
      case 2:
        judge.count('paused');
        machine.pausedUntil = world.now + world.between(0, world.chance(3) ? 30_000 : 4000);
        break;
      case 3:
        judge.count('cut off');
        this.#cutOff.set(name, world.now + world.between(0, 8000));
        break;
      case 4:
        judge.count('standby away');
        this.#standbyBackAt = world.now + world.between(0, 6000);
        break;
      case 5:
        this.#failOver();
        break;
      case 6:
      case 7: {
        const to = this.#nodes.get(names[world.random.below(names.length)]!)!;
        for (const other of this.#nodes.values()) if (other.open.has(cell)) void other.handOver(cell, to);
        break;
      }
      case 8: {
        const places = [...this.#disks.values()].map(({ cells }) => cells.get(cell)?.place.last ?? 0);
        void node.trim(cell, Math.min(...places) as never);
        break;
      }
      default:
        judge.count('disk full');
        this.#fullUntil = world.now + world.between(0, 3000);
    }
  }

  #failOver(): void {
    const world = this.#world;
    const lost = this.#options.lossy === true && world.chance(2) ? 1 + world.random.below(40) : 0;
    this.#judge.count(lost > 0 ? 'failed over, lossy' : 'failed over');
    if (lost > 0) for (let cell = 0; cell < this.#cells; cell += 1) this.#judge.mayHaveLost.add(cell);
    this.#engine.failOver(lost);
    world.after(world.between(0, 4000), () => this.#engine.start());
  }

  #heal(): void {
    this.#quiet = true;
    this.#cutOff.clear();
    this.#standbyBackAt = 0;
    this.#fullUntil = 0;
    this.#engine.start();
    for (const { context } of this.#nodes.values())
      context.machine.pausedUntil = Math.min(context.machine.pausedUntil, this.#world.now + 10);
  }

  /** In the end every cell is served, unless it has to stay closed. */
  #judgeLife(): void {
    for (let cell = 0; cell < this.#cells; cell += 1) {
      const nodes = [...this.#nodes.values()];
      const isOpen = nodes.some((node) => node.open.has(cell));
      const isClosed = nodes.some(({ context }) => context.disk.closed.has(cell));
      if (isClosed) this.#judge.count('cell closed');
      if (isClosed && !this.#judge.mayHaveLost.has(cell))
        this.#judge.violations.push(`cell ${cell} is closed, and nothing was lost`);
      if (!isOpen && !isClosed) this.#judge.violations.push(`nobody serves cell ${cell}`);
      if (isOpen) this.#judge.count('cell open');
    }
  }
}
