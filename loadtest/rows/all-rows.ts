import { goalRows } from './goal-rows.ts';
import type { Row } from './row.ts';

export function allRows(): readonly Row[] {
  return [...goalRows];
}
