import { clientRows } from './client.ts';
import { goalRows } from './goal-rows.ts';
import { queueRows } from './queue-rows.ts';
import { queueSizeRows } from './queue-sizes.ts';
import { moreRows } from './more-rows.ts';
import type { Row } from './row.ts';
import { originalTableRows } from './original-table.ts';
import { respRows } from './resp.ts';
import { scriptRows } from './script-rows.ts';
import { startRows } from './start-up.ts';

/** All rows, in the order in which they run and are shown. @param latencies simulated by the original table, ms */
export function allRows(latencies: readonly number[]): readonly Row[] {
  return [
    ...goalRows,
    ...respRows,
    ...queueRows,
    ...queueSizeRows,
    ...scriptRows,
    ...clientRows,
    ...moreRows,
    ...startRows,
    ...latencies.flatMap(originalTableRows),
  ];
}
