/**
 * Says what a simulated cluster may show. It knows what clients were told and when, what nodes believe, and what the engine
 * has durably.
 *
 *   - What was acknowledged is in the log, at its revision, once; what was refused for want of room is not.
 *   - A revision never means two things, also when the engine has lost something.
 *   - A reply shows no less than what anybody had been shown before its request was sent, and just what the log up to its
 *     frame makes.
 *   - The epochs of a log never fall, every frame follows the one before it, and an epoch begins with its owner's frame.
 *   - Nothing of a cell changes but by the owner that its row names.
 *   - No session that lives is replaced by an older one.
 *   - A node that knows of a frame that the engine has lost does not serve its cell, and does not take a loss for a take.
 *   - What a hand-over holds goes on in its order.
 *   - Nobody is declared dead by a node whose own beats were held up.
 */
import { crc32 } from 'node:zlib';
import type { LogFrame, LogPlace } from '../../src/cluster/engine.ts';
import type { ModelEngine, Statement, Tables } from './model-engine.ts';

/** Of a frame: the writes in it, from its first revision on. */
export interface FrameContent {
  readonly writes: readonly string[];
  /** When it was made, in cluster time. */
  readonly at: number;
}

/** What a cell holds: the last write, and a sum over all of them in order. */
export interface CellState {
  readonly value: string;
  readonly sum: number;
  /** When its last frame was made. */
  readonly at: number;
}

export const emptyState: CellState = { value: '', sum: 0, at: 0 };

export function stateAfter(state: CellState, frame: LogFrame): CellState {
  const { writes, at } = contentOf(frame);
  return { value: writes.at(-1) ?? state.value, sum: writes.reduce((sum, write) => crc32(write, sum), state.sum), at };
}

export interface Reply extends CellState {
  readonly place: LogPlace;
}

/** The slowest clock that a node may have. */
const slowestRate = 0.9;

export class Judge {
  readonly violations: string[] = [];
  readonly counts: Record<string, number> = {};
  /** Cells of which the engine may have lost what it had acknowledged. */
  readonly mayHaveLost = new Set<number>();
  /** When the engine has lost something the last time. */
  lostAt = -Infinity;
  readonly #now: () => number;
  readonly #acknowledged = new Map<string, { readonly cell: number; readonly rev: number; readonly write: string }>();
  readonly #refused = new Set<string>();
  readonly #meanings = new Map<string, string>();
  readonly #ordered: (readonly string[])[] = [];
  readonly #shown = new Map<number, number>();
  readonly #frames = new Map<number, LogFrame>();
  readonly #states = new Map<number, CellState>([[0, emptyState]]);

  constructor(now: () => number) {
    this.#now = now;
  }

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  /** The highest revision of the cell that anybody has been shown. */
  shown(cell: number): number {
    return this.#shown.get(cell) ?? 0;
  }

  /** A node has made this frame. */
  made(frame: LogFrame): LogFrame {
    this.#frames.set(frame.chain, frame);
    return frame;
  }

  /** A client was told that its write has this revision. */
  acknowledged(cell: number, rev: number, write: string): void {
    this.count('acknowledged');
    this.#means(cell, rev, write);
    this.#acknowledged.set(`${cell} ${rev}`, { cell, rev, write });
    this.#show(cell, rev);
  }

  /** A client was told that nothing was done. */
  refused(write: string): void {
    this.#refused.add(write);
  }

  /** @param before what anybody had been shown when the request was sent */
  read(cell: number, { place, value, sum }: Reply, before: number): void {
    this.count('read');
    const rev = place.last;
    if (rev < before && !this.mayHaveLost.has(cell))
      this.violations.push(`a read of cell ${cell} shows ${rev}, and ${before} had been shown before`);
    const expected = this.#stateAt(place.chain);
    if (expected.value !== value || expected.sum !== sum)
      this.violations.push(`cell ${cell}: a read at ${rev} shows what the log does not make`);
    this.#means(cell, rev, value);
    this.#show(cell, rev);
  }

  /** A statement changes something. */
  writes({ name, owner, joins }: Statement, { cells, nodes }: Tables): void {
    const before = joins && nodes.get(joins.node);
    // Sessions have numbers in the order of their beginnings.
    if (before !== undefined && before.session > joins!.session && !before.dead)
      this.violations.push(`${joins!.node}: a session that lives is replaced by an older one`);
    if (owner === undefined) return;
    const { epoch, session } = cells.get(owner.cell)!;
    if (epoch === owner.epoch && session === owner.session) return;
    if (name === 'handOver' && epoch === owner.epoch + 1) return;
    this.violations.push(`cell ${owner.cell}: a ${name} of epoch ${owner.epoch} changes what epoch ${epoch} owns`);
  }

  /** A node knows that this frame was in the log, did something since `begun`, and goes on as if it were there. */
  believes(cell: number, place: LogPlace | undefined, { begun, engine }: { begun: number; engine: ModelEngine }): void {
    if (place === undefined || this.lostAt >= begun) return;
    const { log, cells } = engine.durable;
    if (place.last <= cells.get(cell)!.trimmed || log.get(cell)!.get(place.first)?.chain === place.chain) return;
    this.violations.push(`cell ${cell}: the frame at ${place.first} is lost, and who knew it has not noticed`);
  }

  /** These writes go to another node in this order. */
  keepOrder(writes: readonly string[]): void {
    this.count('sent on');
    this.#ordered.push(writes);
  }

  /** A node has found others gone. @param beats when its own beats were acknowledged */
  fences(node: string, beats: readonly number[]): void {
    this.count('found gone');
    const now = this.#now();
    const gapMax = 1000 / slowestRate;
    const recent = beats.filter((at) => at > now - 2200);
    const first = beats.findLast((at) => at <= now - 2200) ?? -Infinity;
    for (const [i, at] of [...recent, now].entries())
      if (at - (recent[i - 1] ?? first) > gapMax + 1)
        return void this.violations.push(`${node} finds others gone, and its own beats were held up`);
  }

  /** At the end. */
  judgeLog(engine: ModelEngine): void {
    const writes = new Map<string, number>();
    const last = new Map<number, LogFrame>();
    for (const { cell, frame } of engine.history.toSorted((a, b) => a.frame.first - b.frame.first)) {
      const before = last.get(cell);
      if (frame.previous !== (before?.chain ?? 0) || frame.epoch < (before?.epoch ?? 0))
        this.violations.push(`cell ${cell}: the frame at ${frame.first} does not follow the one before it`);
      if (frame.epoch !== before?.epoch && !contentOf(frame).writes[0]?.startsWith('boot'))
        this.violations.push(`cell ${cell}: the epoch ${frame.epoch} does not begin with a frame of its owner`);
      last.set(cell, frame);
      for (const [i, write] of contentOf(frame).writes.entries()) {
        const rev = frame.first + i;
        if (writes.has(write)) this.violations.push(`${write} is in the log twice`);
        if (this.#refused.has(write)) this.violations.push(`${write} is in the log, and was refused`);
        writes.set(write, rev);
        const { write: told } = this.#acknowledged.get(`${cell} ${rev}`) ?? {};
        if (told !== undefined && told !== write && !this.mayHaveLost.has(cell))
          this.violations.push(`cell ${cell}: ${rev} is ${write}, and was told to be ${told}`);
      }
    }
    for (const ordered of this.#ordered) {
      const places = ordered.flatMap((write) => writes.get(write) ?? []);
      if (places.some((rev, i) => i > 0 && rev < places[i - 1]!))
        this.violations.push(`${ordered.join(', ')} were sent on in this order, and are in another one`);
    }
    for (const { cell, rev, write } of this.#acknowledged.values())
      if (writes.get(write) !== rev && !this.mayHaveLost.has(cell))
        this.violations.push(`cell ${cell}: ${write} was acknowledged as ${rev}, and is not in the log`);
  }

  /** What the log makes up to this frame. */
  #stateAt(chain: number): CellState {
    const missing: LogFrame[] = [];
    let at = chain;
    let state = this.#states.get(at);
    while (state === undefined) {
      const frame = this.#frames.get(at);
      if (frame === undefined) throw new Error(`nobody has made a frame ${at}`);
      missing.push(frame);
      at = frame.previous;
      state = this.#states.get(at);
    }
    for (const frame of missing.toReversed()) {
      state = stateAfter(state, frame);
      this.#states.set(frame.chain, state);
    }
    return state;
  }

  #means(cell: number, rev: number, write: string): void {
    const name = `${cell} ${rev}`;
    const other = this.#meanings.get(name);
    if (other !== undefined && other !== write)
      this.violations.push(`cell ${cell}: ${rev} is ${write}, and has been ${other}`);
    this.#meanings.set(name, write);
  }

  #show(cell: number, rev: number): void {
    this.#shown.set(cell, Math.max(this.shown(cell), rev));
  }
}

export function contentOf(frame: LogFrame): FrameContent {
  return frame.bytes.length === 0 ? { writes: [], at: 0 } : (JSON.parse(frame.bytes.toString()) as FrameContent);
}
