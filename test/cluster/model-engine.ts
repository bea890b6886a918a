/**
 * An engine as PostgreSQL with a synchronous standby is one, in memory, with faults. A statement takes its row locks,
 * checks its conditions against what is committed and visible, writes to the log of the database, and is acknowledged when
 * the standby has it. Meanwhile it holds its locks. If the wait for the standby is cancelled, what it wrote can be seen, is
 * not durable, and its caller does not know. A fail-over keeps what the standby has, and nothing else.
 */
import {
  logStart,
  type Cell,
  type CellRow,
  type Engine,
  type EngineAnswer,
  type LogFrame,
  type LogPlace,
  type NodeRow,
  type Owned,
  type Session,
  type Snapshot,
} from '../../src/cluster/engine.ts';
import { revision, type Revision } from '../../src/protocol/ids.ts';

interface CellState {
  epoch: number;
  session: Session | undefined;
  trimmed: Revision;
  snapshot: Snapshot | undefined;
}

interface NodeState {
  session: Session;
  beat: number;
  dead: boolean;
}

export interface Tables {
  readonly cells: Map<Cell, CellState>;
  readonly nodes: Map<string, NodeState>;
  readonly log: Map<Cell, Map<Revision, LogFrame>>;
  /** Of snapshots: by the cell, then by epoch, end and number. */
  readonly parts: Map<Cell, Map<string, Buffer>>;
}

interface Lock {
  readonly name: string;
  readonly shared: boolean;
}

export interface Statement<Result = unknown> {
  readonly name: keyof Engine;
  readonly cell?: Cell;
  /** Whoever says to own the cell. */
  readonly owner?: Owned;
  /** Which session a node joins with. */
  readonly joins?: { readonly node: string; readonly session: Session };
  /** What an append puts into the log. */
  readonly frame?: LogFrame;
  readonly locks: readonly Lock[];
  /** @returns undefined: refused */
  readonly check: (tables: Tables) => { readonly result: Result } | undefined;
  /** Absent: it only reads. */
  readonly effect?: (tables: Tables) => void;
}

interface Transaction {
  readonly statement: Statement;
  readonly answer: (answer: EngineAnswer<unknown>) => void;
  readonly result: unknown;
  answered: boolean;
}

export interface EngineFaults {
  /** Milliseconds until the standby has what was written; Infinity: not before it is told to go on. */
  standbyDelay(): number;
  /** The wait for the standby is cancelled after so many milliseconds. */
  cancelsAfter(): number | undefined;
  /** Before it does anything. */
  failsWith(): 'nothing' | 'full' | undefined;
  /** A statement that changes something has found its conditions true, in these tables, and holds its locks. */
  writes?(statement: Statement, tables: Tables): void;
  after(delayMs: number, run: () => void): void;
}

export const anchor = logStart;

function emptyTables(cells: number): Tables {
  const tables: Tables = { cells: new Map(), nodes: new Map(), log: new Map(), parts: new Map() };
  for (let cell = 0; cell < cells; cell += 1) {
    tables.cells.set(cell, { epoch: 0, session: undefined, trimmed: revision(0), snapshot: undefined });
    tables.parts.set(cell, new Map());
    const frame: LogFrame = { ...anchor, epoch: 0, previous: 0, bytes: Buffer.alloc(0) };
    tables.log.set(cell, new Map([[revision(0), frame]]));
  }
  return tables;
}

export class ModelEngine {
  readonly #cells: number;
  readonly #faults: EngineFaults;
  #written: Transaction[] = [];
  /** Those that still hold their locks. */
  readonly #holding = new Set<Transaction>();
  /** How many of what was written the standby has. */
  #replicated = 0;
  #blocked: (() => void)[] = [];
  #visible: Tables;
  #timeline = 0;
  #down = false;

  constructor(cells: number, faults: EngineFaults) {
    this.#cells = cells;
    this.#faults = faults;
    this.#visible = emptyTables(cells);
  }

  /** What is durable. */
  get durable(): Tables {
    return this.#replay(this.#replicated);
  }

  /** Every durable frame, also those that were trimmed since. */
  get history(): readonly { readonly cell: Cell; readonly frame: LogFrame }[] {
    return this.#written
      .slice(0, this.#replicated)
      .flatMap(({ statement: { cell, frame } }) => (frame === undefined ? [] : [{ cell: cell!, frame }]));
  }

  /** How many statements are durable. */
  get durableCount(): number {
    return this.#replicated;
  }

  run<Result>(statement: Statement<Result>, answer: (answer: EngineAnswer<Result>) => void): void {
    if (this.#down) return answer({ kind: 'unknown' });
    if (this.#isLocked(statement.locks)) {
      this.#blocked.push(() => this.run(statement, answer));
      return;
    }
    const fault = this.#faults.failsWith();
    if (fault !== undefined && statement.effect !== undefined) return answer({ kind: fault });
    const checked = statement.check(this.#visible);
    if (checked === undefined) return answer({ kind: 'refused' });
    if (statement.effect === undefined) return answer({ kind: 'done', result: checked.result });
    const transaction: Transaction = {
      statement,
      answer: answer as Transaction['answer'],
      result: checked.result,
      answered: false,
    };
    this.#faults.writes?.(statement, this.#visible);
    this.#written.push(transaction);
    this.#holding.add(transaction);
    const place = this.#written.length;
    const timeline = this.#timeline;
    this.#faults.after(this.#faults.standbyDelay(), () => {
      if (this.#timeline === timeline) this.#replicateTo(place);
    });
    const cancels = this.#faults.cancelsAfter();
    if (cancels === undefined) return;
    this.#faults.after(cancels, () => {
      if (this.#timeline === timeline && !transaction.answered) this.#finish(transaction, { kind: 'unknown' });
    });
  }

  /** The primary dies; the standby takes its place after `start`. @param lost how many of what it had are gone too */
  failOver(lost: number): void {
    this.#timeline += 1;
    this.#down = true;
    this.#replicated = Math.max(0, this.#replicated - lost);
    const gone = this.#written.splice(this.#replicated);
    this.#holding.clear();
    const blocked = this.#blocked;
    this.#blocked = [];
    this.#visible = this.#replay(this.#replicated);
    for (const transaction of gone) if (!transaction.answered) transaction.answer({ kind: 'unknown' });
    // While it is down, each of them is told so.
    for (const again of blocked) again();
  }

  start(): void {
    this.#down = false;
  }

  #replay(count: number): Tables {
    const tables = emptyTables(this.#cells);
    for (const { statement } of this.#written.slice(0, count)) statement.effect!(tables);
    return tables;
  }

  #replicateTo(place: number): void {
    for (; this.#replicated < place; this.#replicated += 1) {
      const transaction = this.#written[this.#replicated]!;
      if (!transaction.answered) this.#finish(transaction, { kind: 'done', result: transaction.result });
    }
  }

  #finish(transaction: Transaction, answer: EngineAnswer<unknown>): void {
    transaction.answered = true;
    this.#holding.delete(transaction);
    transaction.statement.effect!(this.#visible);
    transaction.answer(answer);
    const blocked = this.#blocked;
    this.#blocked = [];
    for (const again of blocked) again();
  }

  #isLocked(locks: readonly Lock[]): boolean {
    if (locks.length === 0) return false;
    for (const { statement } of this.#holding) {
      const meets = (held: Lock): boolean =>
        locks.some(({ name, shared }) => name === held.name && !(shared && held.shared));
      if (statement.locks.some(meets)) return true;
    }
    return false;
  }
}

const owns = ({ cells }: Tables, { cell, epoch, session }: Owned): boolean => {
  const row = cells.get(cell)!;
  return row.epoch === epoch && row.session === session;
};
const cellLock = (cell: Cell, shared: boolean): Lock => ({ name: `cell ${cell}`, shared });
const partName = ({ epoch, last }: Pick<Snapshot, 'epoch' | 'last'>, part: number): string =>
  `${epoch} ${last} ${part}`;
const partsOf = (snapshot: Snapshot): string[] =>
  Array.from({ length: snapshot.parts }, (_, part) => partName(snapshot, part));
const nodeLock = (node: string): Lock => ({ name: `node ${node}`, shared: false });
const rowOf = ({ cells }: Tables, cell: Cell): CellRow => ({ cell, ...cells.get(cell)! });

/** The statements of an engine, sent by `send`, which is the network. */
export function engineOver(send: <Result>(statement: Statement<Result>) => Promise<EngineAnswer<Result>>): Engine {
  const done = { result: undefined };
  return {
    append: (owner: Owned, frame: LogFrame, previous: LogPlace) =>
      send({
        name: 'append',
        cell: owner.cell,
        owner,
        frame,
        locks: [cellLock(owner.cell, true), { name: `slot ${owner.cell} ${frame.first}`, shared: false }],
        check(tables) {
          const log = tables.log.get(owner.cell)!;
          const isBehind = log.get(previous.first)?.chain === previous.chain;
          return owns(tables, owner) && isBehind && !log.has(frame.first) ? done : undefined;
        },
        effect: ({ log }) => void log.get(owner.cell)!.set(frame.first, frame),
      }),
    barrier: (owner) =>
      send({
        name: 'barrier',
        cell: owner.cell,
        owner,
        locks: [cellLock(owner.cell, false)],
        check: (tables) => (owns(tables, owner) ? done : undefined),
        effect: () => undefined,
      }),
    take: (cell, seen, session) =>
      send({
        name: 'take',
        cell,
        locks: [cellLock(cell, false)],
        check({ cells, nodes }) {
          const row = cells.get(cell)!;
          const isMine = row.epoch === seen + 1 && row.session === session;
          if (row.epoch !== seen && !isMine) return undefined;
          const owner = row.session === session ? undefined : row.session;
          if ([...nodes.values()].some((node) => node.session === owner && !node.dead)) return undefined;
          return { result: { ...row, cell, epoch: seen + 1, session } };
        },
        effect: ({ cells }) => void Object.assign(cells.get(cell)!, { epoch: seen + 1, session }),
      }),
    handOver: (owner, end, to) =>
      send({
        name: 'handOver',
        cell: owner.cell,
        owner,
        locks: [cellLock(owner.cell, false)],
        check(tables) {
          const row = tables.cells.get(owner.cell)!;
          const isDone = row.epoch === owner.epoch + 1 && row.session === to;
          const isWhole = tables.log.get(owner.cell)!.get(end.first)?.chain === end.chain;
          return (owns(tables, owner) && isWhole) || isDone ? done : undefined;
        },
        effect: ({ cells }) => void Object.assign(cells.get(owner.cell)!, { epoch: owner.epoch + 1, session: to }),
      }),
    trim: (owner, upTo) =>
      send({
        name: 'trim',
        cell: owner.cell,
        owner,
        locks: [cellLock(owner.cell, false)],
        check: (tables) => (owns(tables, owner) ? done : undefined),
        effect({ cells, log }) {
          const frames = log.get(owner.cell)!;
          const last = Math.max(...frames.keys());
          for (const [first, frame] of frames) if (frame.last <= upTo && first !== last) frames.delete(first);
          const row = cells.get(owner.cell)!;
          row.trimmed = revision(Math.max(row.trimmed, upTo));
        },
      }),
    putPart: (owner, last, part, bytes) =>
      send({
        name: 'putPart',
        cell: owner.cell,
        owner,
        locks: [cellLock(owner.cell, true)],
        check: (tables) => (owns(tables, owner) ? done : undefined),
        effect: ({ parts }) => void parts.get(owner.cell)!.set(partName({ epoch: owner.epoch, last }, part), bytes),
      }),
    publish: (owner, snapshot) =>
      send({
        name: 'publish',
        cell: owner.cell,
        owner,
        locks: [cellLock(owner.cell, false)],
        check(tables) {
          const own = partsOf(snapshot);
          const parts = tables.parts.get(owner.cell)!;
          const before = tables.cells.get(owner.cell)!.snapshot;
          const isNewer = before === undefined || before.last < snapshot.last;
          const isAgain = before?.last === snapshot.last && before.epoch === snapshot.epoch;
          const isWhole = own.every((name) => parts.has(name));
          return owns(tables, owner) && isWhole && (isNewer || isAgain) ? done : undefined;
        },
        effect({ cells, parts }) {
          const own = new Set(partsOf(snapshot));
          cells.get(owner.cell)!.snapshot = snapshot;
          const all = parts.get(owner.cell)!;
          for (const name of all.keys()) if (!own.has(name)) all.delete(name);
        },
      }),
    readPart: (cell, snapshot, part) =>
      send({
        name: 'readPart',
        cell,
        locks: [],
        check: ({ parts }) => ({ result: parts.get(cell)!.get(partName(snapshot, part)) }),
      }),
    look: (cell) => send({ name: 'look', cell, locks: [], check: (tables) => ({ result: rowOf(tables, cell) }) }),
    frameAt: (cell, first) =>
      send({ name: 'frameAt', cell, locks: [], check: ({ log }) => ({ result: log.get(cell)!.get(first) }) }),
    read: (cell, after, framesMax) =>
      send({
        name: 'read',
        cell,
        locks: [],
        check: ({ log }) => ({
          result: [...log.get(cell)!.values()]
            .filter(({ last }) => last > after)
            .toSorted((a, b) => a.first - b.first)
            .slice(0, framesMax),
        }),
      }),
    join: (node, session, seen) =>
      send({
        name: 'join',
        joins: { node, session },
        locks: [nodeLock(node)],
        check({ nodes }) {
          const before = nodes.get(node);
          const isAgain = before?.session === session;
          return isAgain ? (before.dead ? undefined : done) : before?.session === seen ? done : undefined;
        },
        effect({ nodes }) {
          if (nodes.get(node)?.session !== session) nodes.set(node, { session, beat: 0, dead: false });
        },
      }),
    beat: (node, session) =>
      send({
        name: 'beat',
        locks: [nodeLock(node)],
        check({ nodes }) {
          const row = nodes.get(node);
          return row?.session === session && !row.dead ? done : undefined;
        },
        effect: ({ nodes }) => void (nodes.get(node)!.beat += 1),
      }),
    fence: (node, session, seen) =>
      send({
        name: 'fence',
        locks: [nodeLock(node)],
        check({ nodes }) {
          const row = nodes.get(node);
          return row?.session === session && row.beat === seen && !row.dead ? done : undefined;
        },
        effect: ({ nodes }) => void (nodes.get(node)!.dead = true),
      }),
    nodes: () =>
      send({
        name: 'nodes',
        locks: [],
        check: ({ nodes }) => ({ result: [...nodes].map(([node, row]): NodeRow => ({ node, ...row })) }),
      }),
  };
}
