/**
 * A node that follows the log of a cell which another one owns, so that opening it later costs the last frames only.
 *
 * What can be seen proves nothing: a frame may be visible, and gone after a fail-over of the engine. But an owner sends a
 * frame only when the one before it is acknowledged. So each frame that has one behind it is durable, and the last one is
 * left alone: it is read again behind the take.
 */
import { logStart, type Cell, type Engine, type LogFrame, type LogPlace } from './engine.ts';
import { readSnapshot, type SnapshotReader } from './snapshots.ts';

export const followEveryMs = 250;
const framesMax = 64;
/** An engine answers with so many bytes at most, but for the first frame: behind a large one the next may be missing. */
const largeBytes = 1024 * 1024;

export interface HeirRequest {
  readonly cell: Cell;
  /** Where what this node has of the log ends. */
  readonly from: LogPlace;
  readonly apply: (frame: LogFrame) => void;
  readonly reader: SnapshotReader;
}

export interface HeirDependencies {
  readonly engine: Engine;
  readonly pause: () => Promise<void>;
}

export class Heir {
  readonly #request: HeirRequest;
  readonly #dependencies: HeirDependencies;
  #end: LogPlace;
  #following = false;
  #stopped = false;
  #isWhole = true;

  constructor(request: HeirRequest, dependencies: HeirDependencies) {
    this.#request = request;
    this.#dependencies = dependencies;
    this.#end = request.from;
  }

  /** The last frame that is applied. */
  get end(): LogPlace {
    return this.#end;
  }

  /** Applies nothing any more: its node opens the cell. @returns undefined: what it has is a part of a snapshot */
  stop(): LogPlace | undefined {
    this.#stopped = true;
    return this.#isWhole ? this.#end : undefined;
  }

  /** Reads on, as far as the log can be read. One call at a time; the engine's silence ends it. */
  async follow(): Promise<void> {
    if (this.#following || this.#stopped) return;
    this.#following = true;
    try {
      while (await this.#readOn());
    } finally {
      this.#following = false;
    }
  }

  async #readOn(): Promise<boolean> {
    const { engine } = this.#dependencies;
    const { cell, apply } = this.#request;
    const answer = await engine.read(cell, this.#end.last, framesMax);
    if (answer.kind !== 'done' || this.#stopped) return false;
    const frames = answer.result;
    const count = await this.#proven(frames);
    if (this.#stopped) return false;
    for (const [index, frame] of frames.entries()) {
      const { first, last, chain, previous } = frame;
      if (previous !== this.#end.chain || first <= this.#end.last) return this.#beginAnew();
      if (index >= count) break;
      apply(frame);
      this.#end = { first, last, chain };
    }
    return count > 0 && frames.length > 1;
  }

  /** How many of the frames have one behind them. */
  async #proven(frames: readonly LogFrame[]): Promise<number> {
    const last = frames.at(-1);
    if (last === undefined || frames.length > 1 || last.bytes.length < largeBytes)
      return Math.max(0, frames.length - 1);
    const behind = await this.#dependencies.engine.read(this.#request.cell, last.last, 1);
    return behind.kind === 'done' && behind.result[0]?.previous === last.chain ? 1 : 0;
  }

  /** The log does not go on here: it is trimmed further than this node has read, or another one than it was. */
  async #beginAnew(): Promise<boolean> {
    const { engine } = this.#dependencies;
    const { cell, reader } = this.#request;
    const row = await engine.look(cell);
    if (row.kind !== 'done' || this.#stopped) return false;
    const { snapshot } = row.result;
    reader.begin(undefined);
    this.#end = logStart;
    if (snapshot === undefined) return false;
    this.#isWhole = false;
    const isWhole = await readSnapshot({ cell, snapshot, reader }, this.#dependencies);
    if (this.#stopped) return false;
    this.#isWhole = true;
    // A newer one has taken its place, and what is here is a part of nothing.
    if (!isWhole) reader.begin(undefined);
    else this.#end = { first: snapshot.first, last: snapshot.last, chain: snapshot.chain };
    return false;
  }
}
