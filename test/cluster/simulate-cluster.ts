/**
 * A run of three nodes over one engine, drawn from a seed: clients write and read, machines die, stop and are cut off, the
 * engine stalls, loses answers and fails over. Afterwards everything is well again, and the cells have to be served.
 */
import { seededRandom } from '../support/seeded-random.ts';
import { ClusterFaults } from './cluster-faults.ts';
import { ClusterNetwork } from './cluster-network.ts';
import { ClusterNode, newDisk, type NodeDisk } from './cluster-node.ts';
import { ClusterWorld, Machine } from './cluster-world.ts';
import { Judge, type Reply } from './judge.ts';
import { ModelEngine } from './model-engine.ts';
import type { WriteOutcome } from './served-cell.ts';

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
const clients = 8;
const faultsMs = 30_000;
const quietMs = 20_000;

export async function simulateCluster(seed: number, options: ClusterRunOptions = {}): Promise<ClusterRun> {
  const run = new Run(seed, options);
  return run.run();
}

class Run {
  readonly #world: ClusterWorld;
  readonly #engine: ModelEngine;
  readonly #network: ClusterNetwork;
  readonly #faults: ClusterFaults;
  readonly #judge: Judge;
  readonly #cells: number;
  readonly #options: ClusterRunOptions;
  readonly #disks = new Map<string, NodeDisk>(names.map((name) => [name, newDisk()]));
  readonly #nodes = new Map<string, ClusterNode>();
  #sessions = 0;
  #writes = 0;
  #quiet = false;

  constructor(seed: number, options: ClusterRunOptions) {
    const world = (this.#world = new ClusterWorld(seededRandom(seed)));
    this.#options = options;
    this.#judge = new Judge(() => world.now);
    this.#cells = 1 + world.random.below(3);
    this.#engine = new ModelEngine(this.#cells, {
      standbyDelay: () => Math.max(0, this.#faults.standbyBackAt - world.now) + world.between(0.2, 3),
      cancelsAfter: () => {
        const often = world.now < this.#faults.cancelsUntil ? 2 : 60;
        return !this.#quiet && world.chance(often) ? world.between(0, 4) : undefined;
      },
      failsWith: () => {
        if (!this.#quiet && world.chance(80)) return 'nothing';
        return world.now < this.#faults.fullUntil && world.chance(2) ? 'full' : undefined;
      },
      writes: (statement, tables) => {
        this.#judge.writes(statement, tables);
        this.#faults.writes(statement);
      },
      after: (delayMs, then) => world.after(delayMs, then),
    });
    this.#network = new ClusterNetwork(world, this.#engine);
    this.#faults = new ClusterFaults({
      world,
      engine: this.#engine,
      network: this.#network,
      judge: this.#judge,
      cells: this.#cells,
      lossy: options.lossy === true,
      nodes: this.#nodes,
      start: (name) => void this.#nodes.set(name, this.#start(name, this.#disks.get(name)!)),
      startImpostor: (name) => this.#start(name, newDisk()),
    });
  }

  async run(): Promise<ClusterRun> {
    const world = this.#world;
    for (const name of names) this.#nodes.set(name, this.#start(name, this.#disks.get(name)!));
    for (let client = 0; client < clients; client += 1) this.#client();
    this.#faults.draw(3000, faultsMs);
    await world.runUntil(faultsMs);
    this.#heal();
    await world.runUntil(faultsMs + quietMs);
    this.#judge.judgeLog(this.#engine);
    this.#judgeLife();
    return { violations: this.#judge.violations, counts: this.#judge.counts, steps: world.steps };
  }

  #start(name: string, disk: NodeDisk): ClusterNode {
    const world = this.#world;
    const [slowest, fastest] = this.#options.rates ?? [0.9, 1.12];
    const machine = new Machine(world, world.between(slowest, fastest));
    const node = new ClusterNode({
      name,
      machine,
      engine: this.#network.engineOf(name, machine),
      model: this.#engine,
      judge: this.#judge,
      disk,
      newSession: () => (this.#sessions += 1),
      cells: this.#cells,
      peer: (session) => [...this.#nodes.values()].find((other) => other.session?.id === session),
      losesMessages: () => !this.#quiet && world.chance(6),
    });
    node.start();
    return node;
  }

  /** One after the other, each to a node that may or may not have the cell. */
  #client(): void {
    const world = this.#world;
    const next = (): void => world.after(world.between(1, this.#quiet ? 1000 : 120), ask);
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
      // A client does not wait for ever; what it is told afterwards has to be true all the same.
      world.after(world.between(300, 4000), done);
      const isRead = world.chance(2);
      world.after(
        world.between(0.1, 2),
        () => {
          if (isRead) {
            const told = (reply: Reply | 'refused' | undefined): void => {
              if (reply !== undefined && reply !== 'refused') this.#judge.read(cell, reply, before);
              done();
            };
            return node.serve(cell, { write: undefined, done: told });
          }
          this.#writes += 1;
          const write = `w${this.#writes}`;
          const told = (outcome: WriteOutcome): void => {
            if (outcome === 'refused') this.#judge.refused(write);
            else if (outcome !== undefined) this.#judge.acknowledged(cell, outcome, write);
            done();
          };
          node.serve(cell, { write, done: told });
        },
        machine,
      );
    };
    next();
  }

  #heal(): void {
    this.#quiet = true;
    this.#faults.heal();
    this.#network.heal();
  }

  /** In the end every node has a session, and every cell is served, unless it has to stay closed. */
  #judgeLife(): void {
    const nodes = [...this.#nodes.values()];
    const { nodes: sessions } = this.#engine.durable;
    for (const { session, context } of nodes) {
      const row = sessions.get(context.name);
      if (session === undefined || row?.session !== session.id || row.dead || session.isLost)
        this.#judge.violations.push(`${context.name} has no session that lives`);
    }
    for (let cell = 0; cell < this.#cells; cell += 1) {
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
