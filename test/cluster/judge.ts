/**
 * Says what a simulated cluster may show. It knows what clients were told and when, and what the engine has durably.
 *
 *   - What was acknowledged is in the log, at its revision, once.
 *   - A revision never means two things.
 *   - A reply shows no less than what anybody had been shown before its request was sent.
 *   - The epochs of a log never fall, and every frame follows the one before it.
 */
import type { LogFrame } from '../../src/cluster/engine.ts';
import type { Tables } from './model-engine.ts';

/** Of a frame: the writes in it, from its first revision on. */
export interface FrameContent {
  readonly writes: readonly string[];
}

export class Judge {
  readonly violations: string[] = [];
  readonly counts: Record<string, number> = {};
  /** Cells of which the engine may have lost what it had acknowledged. */
  readonly mayHaveLost = new Set<number>();
  readonly #acknowledged = new Map<string, { readonly cell: number; readonly rev: number; readonly write: string }>();
  readonly #meanings = new Map<string, string>();
  readonly #shown = new Map<number, number>();

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  /** The highest revision of the cell that anybody has been shown. */
  shown(cell: number): number {
    return this.#shown.get(cell) ?? 0;
  }

  /** A client was told that its write has this revision. */
  acknowledged(cell: number, rev: number, write: string): void {
    this.count('acknowledged');
    this.#means(cell, rev, write);
    this.#acknowledged.set(`${cell} ${rev}`, { cell, rev, write });
    this.#show(cell, rev);
  }

  /** @param before what anybody had been shown when the request was sent */
  read(cell: number, rev: number, write: string, before: number): void {
    this.count('read');
    if (rev < before && !this.mayHaveLost.has(cell))
      this.violations.push(`a read of cell ${cell} shows ${rev}, and ${before} had been shown before`);
    this.#means(cell, rev, write);
    this.#show(cell, rev);
  }

  /** At the end. */
  judgeLog(tables: Tables): void {
    const writes = new Map<string, number>();
    for (const [cell, frames] of tables.log) {
      let before: LogFrame | undefined;
      for (const frame of [...frames.values()].toSorted((a, b) => a.first - b.first)) {
        if (before !== undefined && (frame.previous !== before.chain || frame.epoch < before.epoch))
          this.violations.push(`cell ${cell}: the frame at ${frame.first} does not follow the one before it`);
        before = frame;
        for (const [i, write] of contentOf(frame).writes.entries()) {
          const name = `${cell} ${frame.first + i}`;
          if (writes.has(write)) this.violations.push(`${write} is in the log twice`);
          writes.set(write, frame.first + i);
          const { write: told } = this.#acknowledged.get(name) ?? {};
          if (told !== undefined && told !== write && !this.mayHaveLost.has(cell))
            this.violations.push(`cell ${cell}: ${frame.first + i} is ${write}, and was told to be ${told}`);
        }
      }
    }
    for (const { cell, rev, write } of this.#acknowledged.values()) {
      const isTrimmed = rev <= tables.cells.get(cell)!.trimmed;
      if (!isTrimmed && writes.get(write) !== rev && !this.mayHaveLost.has(cell))
        this.violations.push(`cell ${cell}: ${write} was acknowledged as ${rev}, and is not in the log`);
    }
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
  return frame.bytes.length === 0 ? { writes: [] } : (JSON.parse(frame.bytes.toString()) as FrameContent);
}
