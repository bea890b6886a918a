/** What a node of a simulated cluster has of cells that it does not serve: copies that follow the log, or lie on its disk. */
import { logStart, type CellRow, type Engine, type LogFrame, type LogPlace } from '../../src/cluster/engine.ts';
import { Heir } from '../../src/cluster/heir.ts';
import { placeBehindTake } from '../../src/cluster/snapshots.ts';
import type { NodeDisk } from './cluster-node.ts';
import { emptyState, stateAfter, type CellState } from './judge.ts';
import { StateReader, type CellCopy } from './served-cell.ts';

export interface CopyDependencies {
  readonly engine: Engine;
  readonly pause: () => Promise<void>;
}

/** A state that frames and snapshots are put into. */
export class GrowingCopy {
  #reader: StateReader | undefined;
  #state: CellState;

  constructor(state: CellState) {
    this.#state = state;
  }

  get state(): CellState {
    if (this.#reader !== undefined) this.#state = this.#reader.state;
    this.#reader = undefined;
    return this.#state;
  }

  readonly apply = (frame: LogFrame): void => {
    this.#state = stateAfter(this.state, frame);
  };

  begin(): void {
    this.#reader = new StateReader();
  }

  part(bytes: Buffer): void {
    this.#reader!.part(bytes);
  }
}

export class CellCopies {
  readonly #disk: NodeDisk;
  readonly #dependencies: CopyDependencies;
  readonly #heirs = new Map<number, { readonly heir: Heir; readonly copy: GrowingCopy }>();

  constructor(disk: NodeDisk, dependencies: CopyDependencies) {
    this.#disk = disk;
    this.#dependencies = dependencies;
  }

  /** Follows the log of a cell from what there is of it. */
  keep(cell: number, from: CellCopy): void {
    const copy = new GrowingCopy(from.state);
    this.#heirs.set(cell, {
      heir: new Heir({ cell, from: from.place, apply: copy.apply, reader: copy }, this.#dependencies),
      copy,
    });
  }

  async follow(cell: number): Promise<void> {
    if (!this.#heirs.has(cell)) this.keep(cell, this.#disk.cells.get(cell) ?? { place: logStart, state: emptyState });
    const { heir } = this.#heirs.get(cell)!;
    await heir.follow();
    const { end } = heir;
    if (this.#heirs.get(cell)?.heir === heir && end.last > (this.#disk.remembered.get(cell)?.last ?? 0))
      this.#disk.remembered.set(cell, end);
  }

  /** Takes what is here of a cell that is to be served. */
  take(cell: number): { readonly copy: GrowingCopy; readonly place: LogPlace } {
    const heir = this.#heirs.get(cell);
    this.#heirs.delete(cell);
    const place = heir?.heir.stop();
    const kept = this.#disk.cells.get(cell);
    if (heir !== undefined && place !== undefined && place.last >= (kept?.place.last ?? 0))
      return { copy: heir.copy, place };
    return { copy: new GrowingCopy(kept?.state ?? emptyState), place: kept?.place ?? logStart };
  }

  /** Where the log goes on, behind a take. */
  async locate(row: CellRow, { copy, place }: ReturnType<CellCopies['take']>): Promise<LogPlace | string> {
    return placeBehindTake({ row, local: place, reader: copy }, this.#dependencies);
  }
}
