/**
 * Has a log go on above a revision that another server has reached: what moves here from there never meets a version or
 * fencing token again. As behind a salvage, a segment begins with a gap before it; no frame says so, its header does.
 */
import type { Disk } from '../../shared/disk.ts';
import { revision, type Revision } from '../../protocol/ids.ts';
import type { RecoveredJournal } from './recovery.ts';
import { createSegment } from './segment.ts';

/** @returns whether the log was below; then it has to be recovered again */
export async function continueAbove(
  disk: Disk,
  directory: string,
  { logId, last, chain, at }: RecoveredJournal,
  { above, segmentBytes }: { readonly above: Revision; readonly segmentBytes: number },
): Promise<boolean> {
  if (last >= above) return false;
  const header = { logId, first: revision(above + 1), after: last, chain, at };
  await createSegment(disk, directory, { header, bytes: segmentBytes });
  return true;
}
