import type { Cell, CellRow, Engine } from './engine.ts';

/**
 * Looks whether a cell has an owner that lives. The cell comes first, then the nodes: a session that is missing among the
 * nodes later than it was seen to own the cell is gone for good. The other way round it may just have begun.
 *
 * @returns the row to take the cell by; undefined: it has an owner, or the engine did not say
 */
export async function findOrphan(engine: Engine, cell: Cell): Promise<CellRow | undefined> {
  const row = await engine.look(cell);
  if (row.kind !== 'done') return undefined;
  const nodes = await engine.nodes();
  if (nodes.kind !== 'done') return undefined;
  const { session: owner } = row.result;
  return nodes.result.some(({ session, dead }) => session === owner && !dead) ? undefined : row.result;
}
