/** `ops` of a batch: operations on keys as Redis knows them, see `protocol/operations/string-op.ts`. */
import { resultNil } from '../../../protocol/operations/string-op.ts';
import type { SectionBehaviour } from './behaviour.ts';

export const opsBehaviour: SectionBehaviour<'ops'> = {
  evaluate: () => resultNil,
  members: ({ results }) => `"Ops":${JSON.stringify(results.ops)},`,
};
