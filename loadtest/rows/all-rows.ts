import { clientRows } from './client.ts';
import { goalRows } from './goal-rows.ts';
import { moreRows } from './more-rows.ts';
import type { Row } from './row.ts';
import { seedRows } from './original-table.ts';
import { startRows } from './start-up.ts';

/** In the order in which they run and are shown. @param latencies of the original table, ms */
export function allRows(latencies: readonly number[]): readonly Row[] {
  return [...goalRows, ...clientRows, ...moreRows, ...startRows, ...latencies.flatMap(seedRows)];
}
