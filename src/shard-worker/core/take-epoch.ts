import { bootKey, epochEffect, nextEpoch } from '../../protocol/epochs.ts';
import { serverAccount, type Revision } from '../../protocol/ids.ts';
import { kinds } from '../../protocol/record.ts';
import { commit } from './state/commit.ts';
import type { Turn } from './state/turn.ts';

/** Counts another epoch as taken. It may be used once `rev` is durable. Precondition: there is space to write. */
export function takeEpoch(turn: Turn): { readonly epoch: number; readonly rev: Revision } {
  const stored = turn.state.entries.get(kinds.boot, serverAccount, bootKey);
  const epoch = nextEpoch(Number(stored?.value ?? 0));
  const rev = turn.out.nextRevision();
  commit(turn, { rev, account: serverAccount, effects: [epochEffect(epoch)] });
  return { epoch, rev };
}
