import { watchName } from '../../../protocol/footprint.ts';
import type { WatchLock } from '../../../protocol/operations/watch.ts';
import { lockState, lockVersion } from '../state/lock-watch.ts';
import type { RequestRef } from '../state/outbox.ts';
import { readRevision } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import { viewDurableLock } from './lock.ts';

export function watchLock({ state, now, out }: Turn, ref: RequestRef, { account, id, version }: WatchLock): void {
  const rev = readRevision(state);
  const view = viewDurableLock(state, account, { id }, now);
  if (lockVersion(view) !== version) return out.reply(ref, { rev, outcome: 'ok', body: lockState(id, view) });
  state.watched.addLock(watchName({ account, key: id, lock: true }), ref.router, version);
  out.reply(ref, { rev, outcome: 'registered', body: '' });
}
