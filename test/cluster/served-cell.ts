/** A cell that a node of a simulated cluster serves: a store of one value and a sum over all writes, behind its log. */
import { crc32 } from 'node:zlib';
import type { LogFrame, LogPlace, Snapshot } from '../../src/cluster/engine.ts';
import type { FencedLog } from '../../src/cluster/fenced-log.ts';
import { handOverCell, HeldRequests, type HandOverDependencies } from '../../src/cluster/hand-over.ts';
import type { NodeSession } from '../../src/cluster/session.ts';
import { trimLog, writeSnapshot, type SnapshotReader } from '../../src/cluster/snapshots.ts';
import { revision, type Revision } from '../../src/protocol/ids.ts';
import type { NodeContext } from './cluster-node.ts';
import { emptyState, stateAfter, type CellState, type FrameContent, type Reply } from './judge.ts';

/** Its revision; or nothing was done; or it may have happened or not. */
export type WriteOutcome = Revision | 'refused' | undefined;

export type CellRequest =
  | { readonly write: string; readonly done: (outcome: WriteOutcome) => void }
  | { readonly write: undefined; readonly done: (reply: Reply | 'refused' | undefined) => void };

/** What a node has of a cell, served or not. */
export interface CellCopy {
  readonly place: LogPlace;
  readonly state: CellState;
}

export interface ServedOptions extends CellCopy {
  readonly context: NodeContext;
  readonly session: NodeSession;
  readonly log: FencedLog;
  readonly snapshot: Snapshot | undefined;
  readonly pause: () => Promise<void>;
  /** The node does not have the cell any more. */
  readonly lost: (served: ServedCell) => void;
}

export class ServedCell {
  readonly log: FencedLog;
  place: LogPlace;
  state: CellState;
  readonly #options: ServedOptions;
  #snapshot: Snapshot | undefined;
  #waiting: CellRequest[] = [];
  #busy = false;
  #held: HeldRequests<CellRequest> | undefined;
  /** Writes that are to go on to another node, in the order in which they came. */
  #arrived: string[] = [];
  #over = false;

  constructor(options: ServedOptions) {
    const { log, place, state, snapshot } = options;
    this.log = log;
    this.place = place;
    this.state = state;
    this.#options = options;
    this.#snapshot = snapshot;
  }

  serve(request: CellRequest): void {
    if (this.#held !== undefined) {
      if (!this.#held.hold(request)) request.done('refused');
      else if (request.write !== undefined) this.#arrived.push(request.write);
    } else if (this.#over) {
      request.done('refused');
    } else if (request.write === undefined) {
      void this.#read(request.done);
    } else {
      this.#waiting.push(request);
      void this.#commit();
    }
  }

  /** Nothing is served any more. What waits has not been written. */
  end(): void {
    this.#over = true;
    for (const { done } of this.#waiting.splice(0)) done('refused');
  }

  /** Gives the cell away. Of what becomes of what it holds, see `handOverCell`. */
  async handOver(to: number, dependencies: HandOverDependencies<CellRequest>): Promise<void> {
    const { context, pause, lost } = this.#options;
    const { judge, disk } = context;
    if (this.#held !== undefined || this.#over) return;
    this.#arrived = this.#waiting.map(({ write }) => write!);
    const held = (this.#held = new HeldRequests<CellRequest>(() => 100));
    const result = await handOverCell(
      {
        log: this.log,
        to,
        held,
        quiet: async () => {
          while (this.#busy) await pause();
        },
        waiting: () => this.#waiting.splice(0),
      },
      {
        ...dependencies,
        sendOn: (requests) => {
          judge.keepOrder(this.#arrived);
          dependencies.sendOn(requests);
        },
      },
    );
    judge.count(`hand-over: ${result}`);
    this.#held = undefined;
    if (result === 'kept') {
      for (const request of [...this.#waiting.splice(0), ...held.takeAll()]) this.serve(request);
      return;
    }
    if (result === 'gone-back') disk.closed.add(this.log.owner.cell);
    lost(this);
  }

  /** Makes a snapshot of what is here, and trims the log up to some place. */
  async clean(upTo: Revision): Promise<void> {
    const { context, pause } = this.#options;
    const { engine, judge } = context;
    const { owner } = this.log;
    const { place, state } = this;
    const bytes = Buffer.from(JSON.stringify(state));
    const parts = [bytes.subarray(0, 5), bytes.subarray(5, 9), bytes.subarray(9)];
    const written = await writeSnapshot({ owner, place, parts }, { engine, pause });
    judge.count(`snapshot: ${written.kind}`);
    if (written.kind === 'published') this.#snapshot = written.snapshot;
    const snapshot = this.#snapshot;
    if (snapshot === undefined) return;
    judge.count(`trim: ${await trimLog({ owner, snapshot, upTo }, { engine, pause })}`);
  }

  /** Answers from memory, when the evaluation is covered. */
  async #read(done: (reply: Reply | undefined) => void): Promise<void> {
    const { context, session } = this.#options;
    const evaluated = { place: this.place, ...this.state };
    // The process may be stopped anywhere here.
    await context.machine.pause(0);
    while (!session.isCovered) {
      if (session.isLost) return done(undefined);
      await context.machine.pause(5);
    }
    done(evaluated);
  }

  async #commit(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    const { context, lost } = this.#options;
    const { disk, judge, machine, model } = context;
    while (this.#waiting.length > 0 && this.#held === undefined) {
      const group = this.#waiting.splice(0, 3);
      const { end, owner } = this.log;
      const first = revision(end.last + 1);
      const content = { writes: group.map(({ write }) => write!), at: machine.clusterTime() };
      const frame = judge.made(frameOf(content, { first, previous: end, epoch: owner.epoch }));
      const begun = machine.world.now;
      const result = await this.log.append(frame);
      if (result === 'done') {
        this.state = stateAfter(this.state, frame);
        this.place = this.log.end;
        disk.remembered.set(owner.cell, this.place);
        for (const [i, { done }] of group.entries()) (done as (rev: Revision) => void)(revision(first + i));
        continue;
      }
      judge.count(`append: ${result}`);
      for (const { done } of group) done(result === 'full' ? 'refused' : undefined);
      if (result === 'full') continue;
      if (result === 'deposed') judge.believes(owner.cell, end, { begun, engine: model });
      else disk.closed.add(owner.cell);
      lost(this);
    }
    this.#busy = false;
  }
}

/** Puts a state together from the parts of a snapshot. */
export class StateReader implements SnapshotReader {
  #parts: Buffer[] = [];

  begin(): void {
    this.#parts = [];
  }

  part(bytes: Buffer): void {
    this.#parts.push(bytes);
  }

  get state(): CellState {
    return this.#parts.length === 0 ? emptyState : (JSON.parse(Buffer.concat(this.#parts).toString()) as CellState);
  }
}

interface FramePlace {
  readonly first: Revision;
  readonly previous: LogPlace;
  readonly epoch: number;
}

export function frameOf(content: FrameContent, { first, previous, epoch }: FramePlace): LogFrame {
  const bytes = Buffer.from(JSON.stringify(content));
  const head = Buffer.from(`${previous.chain} ${first} ${epoch} `);
  // Of 52 bits: no two frames of a run have the same.
  const chain = crc32(bytes, crc32(head)) + (crc32(head, crc32(bytes)) % 2 ** 20) * 2 ** 32;
  return { first, last: revision(first + content.writes.length - 1), chain, previous: previous.chain, epoch, bytes };
}
