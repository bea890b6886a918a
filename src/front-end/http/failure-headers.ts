/** The headers of a refusal that come from its details. */
import type { Failure } from '../../protocol/errors.ts';

export const noHeaders: readonly string[] = [];

/** @returns names and values in turn */
export function headersOf({ code, details }: Failure): readonly string[] {
  if (code === 'method_not_allowed') return ['Allow', String(details?.['Allow'])];
  if (code === 'moved')
    return ['Dragonlock-Owner', String(details?.['Owner']), 'Dragonlock-Cell', String(details?.['Cell'])];
  return noHeaders;
}
