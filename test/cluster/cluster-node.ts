/**
 * One start of a node of a simulated cluster: the session, the watch over other nodes and the cells of `src/cluster`, with
 * a store of one value in each cell, and clients in front.
 */
import { crc32 } from 'node:zlib';
import type { CellRow, Engine, LogFrame, LogPlace } from '../../src/cluster/engine.ts';
import { FencedLog, definite } from '../../src/cluster/fenced-log.ts';
import { findOrphan } from '../../src/cluster/find-orphan.ts';
import { openCell } from '../../src/cluster/open-cell.ts';
import { beatEveryMs, NodeSession } from '../../src/cluster/session.ts';
import { NodeWatch } from '../../src/cluster/watch-nodes.ts';
import { revision, type Revision } from '../../src/protocol/ids.ts';
import type { Machine } from './cluster-world.ts';
import { emptyState, stateAfter, type CellState, type FrameContent, type Judge, type Reply } from './judge.ts';
import { anchor, type ModelEngine } from './model-engine.ts';

/** What a node's disk keeps over its starts. */
export interface NodeDisk {
  readonly sessions: Set<number>;
  readonly cells: Map<number, { place: LogPlace; state: CellState }>;
  readonly remembered: Map<number, LogPlace>;
  /** Cells that stay closed: the engine has lost something. */
  readonly closed: Set<number>;
}

export function newDisk(): NodeDisk {
  return { sessions: new Set(), cells: new Map(), remembered: new Map(), closed: new Set() };
}

/** Its revision; or nothing was done; or it may have happened or not, or the node does not have the cell. */
export type WriteOutcome = Revision | 'refused' | undefined;

interface OpenCell {
  readonly log: FencedLog;
  state: CellState;
  readonly waiting: { readonly write: string; readonly done: (outcome: WriteOutcome) => void }[];
  busy: boolean;
  /** It is being handed over, or lost: nothing is answered from memory. */
  leaving: boolean;
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
}

const watchEveryMs = 250;
const pauseMs = 20;

export class ClusterNode {
  readonly context: NodeContext;
  readonly open = new Map<number, OpenCell>();
  session: NodeSession | undefined;
  #watch = new NodeWatch();
  /** Cells that are being opened or handed over. */
  readonly #moving = new Set<number>();
  readonly #pause: () => Promise<void>;
  /** When beats were acknowledged, on nobody's clock. */
  readonly #beats: number[] = [];
  #beatenAt = -Infinity;

  constructor(context: NodeContext) {
    this.context = context;
    this.#pause = () => context.machine.pause(pauseMs);
  }

  start(): void {
    void this.#live();
  }

  write(cell: number, write: string): Promise<WriteOutcome> {
    const own = this.open.get(cell);
    if (own === undefined || own.leaving) return Promise.resolve(undefined);
    return new Promise((done) => {
      own.waiting.push({ write, done });
      void this.#commit(cell, own);
    });
  }

  /** Answers from memory, when the evaluation is covered. */
  async read(cell: number): Promise<Reply | undefined> {
    const own = this.open.get(cell);
    const { session } = this;
    if (own === undefined || own.leaving || session === undefined) return undefined;
    const evaluated = { place: own.log.end, ...own.state };
    // The process may be stopped anywhere here.
    await this.context.machine.pause(0);
    while (!session.isCovered) {
      if (session.isLost) return undefined;
      await this.context.machine.pause(5);
    }
    return evaluated;
  }

  /** Gives a cell away, if it is here. */
  async handOver(cell: number, to: ClusterNode): Promise<void> {
    const own = this.open.get(cell);
    const target = to.session?.id;
    if (own === undefined || own.leaving || target === undefined || target === this.session?.id) return;
    own.leaving = true;
    // A statement that is on its way may give the cell away at any time: it is not opened again before that is settled.
    this.#moving.add(cell);
    while (own.busy) await this.#pause();
    this.#giveUp(cell, own);
    const { engine, judge } = this.context;
    const given = await definite(() => engine.handOver(own.log.owner, own.log.end, target), this.#pause);
    this.#moving.delete(cell);
    if (given === 'refused') return;
    judge.count('handed over');
    const row = { cell, epoch: own.log.owner.epoch + 1, session: target, trimmed: revision(0) };
    const { machine } = this.context;
    // A message to the other node, which may not arrive; then it finds the row.
    if (!machine.world.chance(4)) this.context.peer(target)?.openCell(row, true);
  }

  async trim(cell: number, upTo: Revision): Promise<void> {
    const own = this.open.get(cell);
    if (own === undefined) return;
    const answer = await this.context.engine.trim(own.log.owner, upTo);
    if (answer.kind === 'done') this.context.judge.count('trimmed');
  }

  /** Begins to serve a cell, unless that is under way. */
  openCell(seen: CellRow, handedOver: boolean): void {
    const { disk } = this.context;
    const { cell } = seen;
    if (this.#moving.has(cell) || this.open.has(cell) || disk.closed.has(cell) || this.session === undefined) return;
    this.#moving.add(cell);
    void this.#openCell(seen, handedOver, this.session).finally(() => this.#moving.delete(cell));
  }

  async #openCell(seen: CellRow, handedOver: boolean, session: NodeSession): Promise<void> {
    const { engine, disk, judge, machine } = this.context;
    const { cell } = seen;
    const known = disk.cells.get(cell);
    const remembered = disk.remembered.get(cell);
    const begun = machine.world.now;
    let state = known?.state ?? emptyState;
    const apply = (frame: LogFrame): void => {
      state = stateAfter(state, frame);
    };
    const opened = await openCell(
      {
        seen,
        session: session.id,
        handedOver,
        from: known?.place ?? anchor,
        remembered,
        apply,
        endAt: () => state.at,
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
    judge.believes(cell, remembered, { begun, engine: this.context.model });
    disk.remembered.set(cell, opened.log.end);
    if (this.session !== session) return;
    const own = { log: opened.log, state, waiting: [], busy: false, leaving: false };
    this.open.set(cell, own);
  }

  async #commit(cell: number, own: OpenCell): Promise<void> {
    if (own.busy) return;
    own.busy = true;
    const { disk, judge, machine, model } = this.context;
    while (own.waiting.length > 0 && !own.leaving) {
      const group = own.waiting.splice(0, 3);
      const { end, owner } = own.log;
      const first = revision(end.last + 1);
      const writes = group.map(({ write }) => write);
      const frame = judge.made(
        frameOf({ writes, at: machine.clusterTime() }, { first, previous: end, epoch: owner.epoch }),
      );
      const begun = machine.world.now;
      const result = await own.log.append(frame);
      if (result === 'done') {
        own.state = stateAfter(own.state, frame);
        disk.remembered.set(cell, own.log.end);
        for (const [i, { done }] of group.entries()) done(revision(first + i));
        continue;
      }
      judge.count(`append: ${result}`);
      for (const { done } of group) done(result === 'full' ? 'refused' : undefined);
      if (result === 'full') continue;
      if (result === 'deposed') judge.believes(cell, end, { begun, engine: model });
      else disk.closed.add(cell);
      this.#giveUp(cell, own);
    }
    own.busy = false;
  }

  #giveUp(cell: number, own: OpenCell): void {
    own.leaving = true;
    if (this.open.get(cell) === own) this.open.delete(cell);
    for (const { done } of own.waiting.splice(0)) done(undefined);
    const { place } = this.context.disk.cells.get(cell) ?? { place: anchor };
    // Not always: a crash comes before a checkpoint.
    if (own.log.end.last > place.last && this.context.machine.world.chance(2))
      this.context.disk.cells.set(cell, { place: own.log.end, state: own.state });
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
      for (const [cell, own] of this.open) this.#giveUp(cell, own);
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
      for (let cell = 0; cell < cells; cell += 1) await this.#look(cell, session);
    }
  }

  /** Takes a cell that nobody has, or opens one that is this session's: it was handed over. */
  async #look(cell: number, session: NodeSession): Promise<void> {
    const { engine } = this.context;
    const mine = await engine.look(cell);
    if (session.isLost || this.open.has(cell)) return;
    if (mine.kind === 'done' && mine.result.session === session.id) return this.openCell(mine.result, false);
    const orphan = await findOrphan(engine, cell);
    if (orphan !== undefined && !session.isLost) this.openCell(orphan, false);
  }
}

interface FramePlace {
  readonly first: Revision;
  readonly previous: LogPlace;
  readonly epoch: number;
}

function frameOf(content: FrameContent, { first, previous, epoch }: FramePlace): LogFrame {
  const bytes = Buffer.from(JSON.stringify(content));
  const head = Buffer.from(`${previous.chain} ${first} ${epoch} `);
  // Of 52 bits: no two frames of a run have the same.
  const chain = crc32(bytes, crc32(head)) + (crc32(head, crc32(bytes)) % 2 ** 20) * 2 ** 32;
  return { first, last: revision(first + content.writes.length - 1), chain, previous: previous.chain, epoch, bytes };
}
