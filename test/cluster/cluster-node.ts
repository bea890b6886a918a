/**
 * One start of a node of a simulated cluster: the session, the watch over other nodes and the cells of `src/cluster`, with
 * a store of one value in each cell, and clients in front.
 */
import type { CellRow, Engine, LogPlace, Snapshot } from '../../src/cluster/engine.ts';
import { findOrphan } from '../../src/cluster/find-orphan.ts';
import type { CellGiven } from '../../src/cluster/hand-over.ts';
import { openCell } from '../../src/cluster/open-cell.ts';
import { beatEveryMs, NodeSession } from '../../src/cluster/session.ts';
import { NodeWatch } from '../../src/cluster/watch-nodes.ts';
import { revision, type Revision } from '../../src/protocol/ids.ts';
import { CellCopies } from './cell-copies.ts';
import type { Machine } from './cluster-world.ts';
import type { Judge } from './judge.ts';
import { anchor, type ModelEngine } from './model-engine.ts';
import { frameOf, ServedCell, type CellCopy, type CellRequest } from './served-cell.ts';

/** What a node's disk keeps over its starts. */
export interface NodeDisk {
  readonly sessions: Set<number>;
  readonly cells: Map<number, CellCopy>;
  readonly remembered: Map<number, LogPlace>;
  /** Cells that stay closed: the engine has lost something. */
  readonly closed: Set<number>;
}

export function newDisk(): NodeDisk {
  return { sessions: new Set(), cells: new Map(), remembered: new Map(), closed: new Set() };
}

export interface NodeContext {
  readonly name: string;
  readonly machine: Machine;
  readonly engine: Engine;
  readonly judge: Judge;
  /** For the judge; the node itself has only `engine`. */
  readonly model: ModelEngine;
  readonly disk: NodeDisk;
  readonly newSession: () => number;
  readonly cells: number;
  /** The node with this session, if it runs. */
  readonly peer: (session: number) => ClusterNode | undefined;
  /** Messages between nodes get lost. */
  readonly losesMessages: () => boolean;
}

const watchEveryMs = 250;
const pauseMs = 20;

export class ClusterNode {
  readonly context: NodeContext;
  readonly open = new Map<number, ServedCell>();
  session: NodeSession | undefined;
  #watch = new NodeWatch();
  /** Cells that are being opened or handed over. */
  readonly #moving = new Set<number>();
  readonly #copies: CellCopies;
  readonly #pause: () => Promise<void>;
  /** When beats were acknowledged, on nobody's clock. */
  readonly #beats: number[] = [];
  #beatenAt = -Infinity;

  constructor(context: NodeContext) {
    this.context = context;
    this.#pause = () => context.machine.pause(pauseMs);
    this.#copies = new CellCopies(context.disk, { engine: context.engine, pause: this.#pause });
  }

  start(): void {
    void this.#live();
  }

  serve(cell: number, request: CellRequest): void {
    const served = this.open.get(cell);
    if (served === undefined) request.done('refused');
    else served.serve(request);
  }

  /** Gives a cell away, if it is here. */
  async handOver(cell: number, to: ClusterNode): Promise<void> {
    const served = this.open.get(cell);
    const target = to.session?.id;
    if (served === undefined || target === undefined || target === this.session?.id) return;
    const { machine, peer } = this.context;
    // A statement that is on its way may give the cell away at any time: it is not opened again before that is settled.
    this.#moving.add(cell);
    await served.handOver(target, {
      tell: (given) => this.#message(() => peer(target)?.receive(given)),
      sendOn: (requests) => {
        const sent = peer(target);
        const arrive = (): void => requests.forEach((request) => sent?.serve(cell, request));
        machine.world.after(machine.world.between(0.1, 2), arrive, sent?.context.machine);
      },
      refuse: ({ done }) => done('refused'),
      after: machine.pause,
    });
    this.#moving.delete(cell);
  }

  /** Another node has given a cell to this session. @returns whether it is served */
  receive({ cell, epoch, session, end }: CellGiven): Promise<boolean> {
    if (this.session?.id !== session) return Promise.resolve(false);
    return this.openCell({ cell, epoch, session, trimmed: revision(0) }, end);
  }

  /** An operator accepts that the engine has lost something: what this node knows of the cell counts no more. */
  acceptLoss(cell: number): void {
    const { disk } = this.context;
    if (!disk.closed.delete(cell)) return;
    disk.remembered.delete(cell);
    disk.cells.delete(cell);
    this.#copies.take(cell);
    this.context.judge.count('loss accepted');
  }

  async clean(cell: number, upTo: Revision): Promise<void> {
    await this.open.get(cell)?.clean(upTo);
  }

  /** Begins to serve a cell, unless that is under way. @param end of the log, as whoever gave the cell has said */
  async openCell(seen: CellRow, end?: LogPlace): Promise<boolean> {
    const { disk } = this.context;
    const { cell } = seen;
    const { session } = this;
    if (this.#moving.has(cell) || this.open.has(cell) || disk.closed.has(cell) || session === undefined) return false;
    this.#moving.add(cell);
    await this.#openCell(seen, end, session);
    this.#moving.delete(cell);
    return this.open.has(cell);
  }

  async #openCell(seen: CellRow, given: LogPlace | undefined, session: NodeSession): Promise<void> {
    const { engine, disk, judge, machine } = this.context;
    const { cell } = seen;
    const known = disk.remembered.get(cell);
    const remembered = given !== undefined && given.last > (known?.last ?? 0) ? given : known;
    const begun = machine.world.now;
    const local = this.#copies.take(cell);
    const { copy } = local;
    let snapshot: Snapshot | undefined;
    const opened = await openCell(
      {
        seen,
        session: session.id,
        handedOver: given !== undefined,
        from: (row) => {
          ({ snapshot } = row);
          return this.#copies.locate(row, local);
        },
        remembered,
        apply: copy.apply,
        endAt: () => copy.state.at,
        now: machine.clusterTime,
        bootFrame: (first, previous, epoch) => {
          const writes = [`boot ${cell} ${session.id} ${epoch} ${first}`];
          return judge.made(frameOf({ writes, at: machine.clusterTime() }, { first, previous, epoch }));
        },
      },
      { engine, pause: this.#pause },
    );
    judge.count(`open: ${opened.kind}`);
    if (opened.kind === 'gone-back') disk.closed.add(cell);
    if (opened.kind !== 'open') return;
    const { log } = opened;
    judge.believes(cell, remembered, { begun, engine: this.context.model });
    disk.remembered.set(cell, log.end);
    if (this.session !== session) return;
    const served = new ServedCell({
      context: this.context,
      session,
      log,
      place: log.end,
      state: copy.state,
      snapshot,
      pause: this.#pause,
      lost: (lost) => this.#giveUp(cell, lost),
    });
    this.open.set(cell, served);
  }

  #giveUp(cell: number, served: ServedCell): void {
    served.end();
    if (this.open.get(cell) !== served) return;
    this.open.delete(cell);
    const { place, state } = served;
    const { disk, machine } = this.context;
    // Not always: a crash comes before a checkpoint.
    if (place.last > (disk.cells.get(cell)?.place ?? anchor).last && machine.world.chance(2))
      disk.cells.set(cell, { place, state });
    if (machine.world.chance(2)) this.#copies.keep(cell, { place, state });
  }

  async #live(): Promise<void> {
    const { engine, name, newSession, machine, disk } = this.context;
    for (;;) {
      const session = new NodeSession(name, newSession(), { engine, now: machine.monotonic });
      disk.sessions.add(session.id);
      const joined = await session.join((id) => disk.sessions.has(id), this.#pause);
      if (joined !== 'joined') {
        this.context.judge.count(`join: ${joined}`);
        await machine.pause(500);
        continue;
      }
      this.session = session;
      this.#watch = new NodeWatch();
      const beating = this.#beat(session);
      await this.#watchOthers(session);
      await beating;
      this.session = undefined;
      for (const [cell, served] of this.open) this.#giveUp(cell, served);
      this.context.judge.count('session lost');
    }
  }

  async #beat(session: NodeSession): Promise<void> {
    while (!session.isLost) {
      await session.beat();
      if (session.beatenAt !== this.#beatenAt) this.#beats.push(this.context.machine.world.now);
      this.#beatenAt = session.beatenAt;
      await this.context.machine.pause(beatEveryMs);
    }
  }

  async #watchOthers(session: NodeSession): Promise<void> {
    const { engine, machine, cells, name } = this.context;
    // Not every node is an heir.
    const isHeir = machine.world.chance(2);
    while (!session.isLost) {
      await machine.pause(watchEveryMs);
      const askedAt = machine.monotonic();
      const nodes = await engine.nodes();
      if (nodes.kind !== 'done') continue;
      const seen = { askedAt, answeredAt: machine.monotonic() };
      const found = this.#watch.see(nodes.result, seen, session.beatenAt).filter(({ node }) => node !== name);
      if (found.length > 0) this.context.judge.fences(name, this.#beats);
      for (const gone of found) {
        await engine.fence(gone.node, gone.session, gone.beat);
      }
      for (let cell = 0; cell < cells; cell += 1) {
        await this.#look(cell, session);
        if (isHeir && !this.open.has(cell) && !this.#moving.has(cell)) void this.#copies.follow(cell);
      }
    }
  }

  /** Takes a cell that nobody has, or opens one that is this session's: it was handed over. */
  async #look(cell: number, session: NodeSession): Promise<void> {
    const { engine } = this.context;
    const mine = await engine.look(cell);
    if (session.isLost || this.open.has(cell)) return;
    if (mine.kind === 'done' && mine.result.session === session.id) return void this.openCell(mine.result);
    const orphan = await findOrphan(engine, cell);
    if (orphan !== undefined && !session.isLost) void this.openCell(orphan);
  }

  /** A message to another node, and its answer; either may be lost. */
  #message<Answer>(deliver: () => Promise<Answer> | undefined): Promise<Answer> {
    const { machine, losesMessages } = this.context;
    const { world } = machine;
    return new Promise((resolve) => {
      if (losesMessages()) return;
      world.after(world.between(0.1, 2), () => {
        void deliver()?.then((answer) => {
          if (!losesMessages()) world.after(world.between(0.1, 2), () => resolve(answer), machine);
        });
      });
    });
  }
}
