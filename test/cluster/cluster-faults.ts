/**
 * What happens to a simulated cluster. Some of it is blind, some is aimed at a moment that chance would seldom meet: an
 * append that arrives just when its cell is taken, an engine that forgets a take, a question that is old when it is answered.
 */
import { revision } from '../../src/protocol/ids.ts';
import type { ClusterNetwork } from './cluster-network.ts';
import type { ClusterNode } from './cluster-node.ts';
import type { ClusterWorld } from './cluster-world.ts';
import type { Judge } from './judge.ts';
import type { ModelEngine, Statement } from './model-engine.ts';

export interface Scene {
  readonly world: ClusterWorld;
  readonly engine: ModelEngine;
  readonly network: ClusterNetwork;
  readonly judge: Judge;
  readonly cells: number;
  readonly lossy: boolean;
  readonly nodes: ReadonlyMap<string, ClusterNode>;
  start(name: string): void;
  /** Another process, on another disk, with a node's name. */
  startImpostor(name: string): ClusterNode;
}

export class ClusterFaults {
  readonly #scene: Scene;
  standbyBackAt = 0;
  fullUntil = 0;
  /** Waits for the standby are often cancelled until then. */
  cancelsUntil = 0;
  /** Told how many statements were durable before the next take. */
  #onTake: ((before: number) => void) | undefined;
  #over = false;
  #endsAt = 0;

  constructor(scene: Scene) {
    this.#scene = scene;
  }

  draw(fromMs: number, toMs: number): void {
    const { world } = this.#scene;
    this.#endsAt = toMs;
    for (let at = fromMs; at < toMs; at += world.between(100, 2500)) world.after(at, () => this.#strike());
    for (let at = fromMs; at < toMs; at += world.between(100, 1500)) world.after(at, () => this.#routine());
  }

  heal(): void {
    this.#over = true;
    this.standbyBackAt = 0;
    this.fullUntil = 0;
    this.cancelsUntil = 0;
    this.#onTake = undefined;
    this.#scene.engine.start();
  }

  /** A statement changes something in the engine. */
  writes({ name }: Statement): void {
    if (name !== 'take' || this.#onTake === undefined) return;
    const then = this.#onTake;
    this.#onTake = undefined;
    then(this.#scene.engine.durableCount);
  }

  #strike(): void {
    if (this.#over) return;
    const { world, judge, network, lossy } = this.#scene;
    const cell = world.random.below(this.#scene.cells);
    const node = world.chance(4) ? this.#anyNode() : (this.#ownerOf(cell) ?? this.#anyNode());
    const { name } = node.context;
    const line = network.line(name);
    const kind = world.random.below(lossy ? 20 : 16);
    switch (kind) {
      case 0:
        return this.#kill(node);
      case 1:
      case 13:
      case 14:
      case 15:
        return this.#pause(node, world.chance(3) ? 30_000 : 4000);
      case 2:
        judge.count('cut off');
        line.cutUntil = world.now + world.between(0, 8000);
        return;
      case 3:
        judge.count('standby away');
        this.standbyBackAt = world.now + world.between(0, 6000);
        return;
      case 4:
        return this.#failOver(0);
      case 5:
        judge.count('disk full');
        this.fullUntil = world.now + world.between(0, 3000);
        if (world.chance(2)) network.answersLostUntil = this.fullUntil;
        return;
      case 6: {
        // What was cancelled can be seen, and is gone after the fail-over.
        judge.count('cancelled, then failed over');
        const until = world.now + world.between(200, 1500);
        this.standbyBackAt = until + 1;
        this.cancelsUntil = until;
        world.after(until - world.now, () => this.#failOver(0));
        return;
      }
      case 7:
        judge.count('answers held');
        line.answersHeldUntil = world.now + world.between(1500, 4800);
        line.cutUntil = 0;
        world.after(world.between(100, 700), () => (line.cutUntil = world.now + 9000));
        return;
      case 8: {
        // A question arrives late, and shows a beat that was the last one.
        judge.count('late question');
        const asker = this.#anyNode().context.name;
        const arrives = (): void => void (line.cutUntil = world.now + 9000);
        if (asker !== name) network.line(asker).slow.set('nodes', { delayMs: world.between(800, 4500), arrives });
        return;
      }
      case 9:
        judge.count('slow looks');
        for (const other of this.#scene.nodes.keys())
          if (other !== name) network.line(other).looksSlowUntil = world.now + 5000;
        return this.#kill(node, 1000);
      case 10: {
        judge.count('append held');
        line.holdsNextAppend = () => (line.cutUntil = world.now + world.between(3000, 9000));
        return;
      }
      case 11: {
        judge.count('impostor');
        const impostor = this.#scene.startImpostor(name);
        world.after(world.between(5, 3000), () => (impostor.context.machine.isDead = true));
        return;
      }
      case 12:
        judge.count('two restarts');
        this.#kill(node, 300);
        world.after(world.between(400, 4000), () => this.#kill(this.#scene.nodes.get(name)!, 300));
        return;
      default:
        return this.#lose(kind, node, cell);
    }
  }

  /** What operators and timers do all the time. */
  #routine(): void {
    const { world, cells, nodes, lossy } = this.#scene;
    const cell = world.random.below(cells);
    if (lossy && world.chance(4)) for (const node of nodes.values()) node.acceptLoss(cell);
    else if (world.chance(2)) this.#handOver(cell);
    else this.#clean(cell);
  }

  /** The engine loses what it has acknowledged, at a bad moment. */
  #lose(kind: number, node: ClusterNode, cell: number): void {
    const { world, engine, judge } = this.#scene;
    const lost = 1 + world.random.below(40);
    switch (kind) {
      case 16:
        this.#failOver(lost);
        return this.#kill(node);
      case 17:
        this.#failOver(lost);
        return this.#pause(node, 12_000);
      case 18:
        this.#failOver(lost);
        return this.#handOver(cell);
      default:
        // The next take goes, with all that follows it, and whoever took the cell is not there at once.
        this.#onTake = (before) => {
          judge.count('take lost');
          world.after(world.chance(2) ? world.between(0, 6) : world.between(50, 1500), () => {
            this.#failOver(Math.max(1, engine.durableCount - before));
            for (const other of this.#scene.nodes.values())
              if (world.chance(4)) this.#kill(other);
              else if (world.chance(2)) this.#pause(other, 5000);
          });
        };
        if (world.chance(2)) this.#kill(node);
    }
  }

  #kill(node: ClusterNode, awayMs = 8000): void {
    const { world, judge } = this.#scene;
    const { machine, name } = node.context;
    if (machine.isDead || this.#over) return;
    judge.count('killed');
    machine.isDead = true;
    node.open.clear();
    node.session = undefined;
    world.after(world.between(0, awayMs), () => this.#scene.start(name));
  }

  #pause({ context: { machine } }: ClusterNode, atMostMs: number): void {
    const { world, judge } = this.#scene;
    judge.count('paused');
    if (!this.#over) machine.pausedUntil = Math.min(world.now + world.between(0, atMostMs), this.#endsAt);
  }

  #failOver(lost: number): void {
    const { world, engine, judge } = this.#scene;
    if (this.#over) return;
    judge.count(lost > 0 ? 'failed over, lossy' : 'failed over');
    if (lost > 0) {
      judge.lostAt = world.now;
      for (let cell = 0; cell < this.#scene.cells; cell += 1) judge.mayHaveLost.add(cell);
    }
    engine.failOver(lost);
    // One that loses something takes longer than clocks differ: only time tells a take from one that is lost.
    const shortest = lost > 0 ? 250 : 0;
    world.after(world.between(shortest, world.chance(2) ? 300 : 4000), () => engine.start());
  }

  #handOver(cell: number): void {
    const to = this.#anyNode();
    for (const other of this.#scene.nodes.values()) if (other.open.has(cell)) void other.handOver(cell, to);
  }

  /** Whoever has the cell, and whoever only believes it, cleans up. */
  #clean(cell: number): void {
    const { nodes, world } = this.#scene;
    for (const node of nodes.values()) {
      const end = node.open.get(cell)?.place.last ?? 0;
      // A trim asks for more than there is, now and then.
      void node.clean(cell, revision(world.chance(2) ? end + 10 : Math.max(0, end - world.random.below(200))));
    }
  }

  #ownerOf(cell: number): ClusterNode | undefined {
    const { world, nodes } = this.#scene;
    const owners = [...nodes.values()].filter((node) => node.open.has(cell));
    return owners[world.random.below(owners.length || 1)];
  }

  #anyNode(): ClusterNode {
    const { world, nodes } = this.#scene;
    return [...nodes.values()][world.random.below(nodes.size)]!;
  }
}
