/** The audit log: an entry in the commit of what it tells. It shows in no reply to a client. */
import type { Performed, Turn } from './moment.ts';
import type { Batch } from '../../../src/protocol/operations/operations.ts';

export const audit = {
  perform(_: Turn, { audit: entry, format }: Batch): Performed {
    return entry === undefined || format === 'batch' ? { members: {} } : { reply: {} };
  },
};
