/**
 * Deletes accounts, a little in each turn, so that no other account waits for it:
 *
 *   marked ──waits and mutexes end──► swept, kind by kind ──nothing is left──► the mark goes in the last commit
 *
 * Only the mark is stored, so a shard that starts anew sweeps from the front what there still is. All commands of the
 * account are refused meanwhile, so nothing appears behind the sweep. Keys go as if they were deleted one by one:
 * watches are told of each.
 */
import type { AccountId } from '../../protocol/ids.ts';
import { watchName } from '../../protocol/footprint.ts';
import { effectBytesMax, kinds, type Effect } from '../../protocol/record.ts';
import { expiryCommitBytesMax, wipedPerTurn } from '../../shared/limits.ts';
import { deletingReply, deletionKey, sweptKinds } from './operations/account.ts';
import { forgetMutex } from './operations/mutex.ts';
import { refuseWaiter } from './operations/waiting.ts';
import { commit } from './state/commit.ts';
import type { Deletion } from './state/deletions.ts';
import { lockState } from './state/lock-watch.ts';
import type { Turn } from './state/turn.ts';

/** @returns whether there is more to delete, and it can be done at once */
export function sweepDeletions(turn: Turn): boolean {
  const { deletions } = turn.state;
  const deletion = deletions.size === 0 || mustWait(turn) ? undefined : deletions.next();
  if (deletion === undefined) return false;
  sweep(turn, deletion);
  return deletions.size > 0;
}

/**
 * Deletes the first entries of an account in the turn that marks it: of a small account, all. The space may have gone
 * since: the mark of a transaction arrives after its commit.
 */
export function sweepFresh(turn: Turn): void {
  const deletion = mustWait(turn) ? undefined : turn.state.deletions.fresh();
  if (deletion !== undefined) sweep(turn, deletion);
}

/** Each deletion is a write, too: a memtable that is full must go to the store first. */
function mustWait({ state: { outOfSpace } }: Turn): boolean {
  return outOfSpace?.space === 'full' || outOfSpace?.failure.code === 'overloaded';
}

function sweep(turn: Turn, deletion: Deletion): void {
  const { state } = turn;
  deletion.begun = true;
  const left = endInMemory(turn, deletion, wipedPerTurn);
  if (left === 0) return;
  const effects = nextEffects(turn, deletion, left);
  const { account } = deletion;
  if (deletion.kind === sweptKinds.length) {
    state.deletions.remove(account);
    state.queues.forget(account);
    effects.push({ kind: kinds.deletion, key: deletionKey(state, account), till: 0 });
  }
  if (effects.length === 0) return;
  const rev = turn.out.nextRevision();
  commit(turn, { rev, account, effects });
  if (state.watched.size > 0) tellLockWatchers(turn, account, effects);
}

/** Ends waits and mutexes. @returns how much is left of `most` */
function endInMemory(turn: Turn, { account, waiters, mutexes }: Deletion, most: number): number {
  let left = most;
  for (; left > 0; left -= 1) {
    const waiter = waiters.pop();
    if (waiter === undefined) break;
    refuseWaiter(turn, waiter, deletingReply(turn.state, account));
  }
  for (; left > 0; left -= 1) {
    const mutex = mutexes.pop();
    if (mutex === undefined) break;
    forgetMutex(turn.state, mutex);
  }
  return left;
}

function nextEffects({ state: { entries } }: Turn, deletion: Deletion, most: number): Effect[] {
  const { account } = deletion;
  const effects: Effect[] = [];
  let bytes = 0;
  for (; deletion.kind < sweptKinds.length; deletion.kind += 1) {
    const kind = sweptKinds[deletion.kind]!;
    for (const key of entries.keys(kind, account, '', deletion.after)) {
      if (effects.length >= most || bytes >= expiryCommitBytesMax) return effects;
      const effect = { kind, key, till: 0 };
      effects.push(effect);
      bytes += effectBytesMax(effect);
      deletion.after = key;
    }
    deletion.after = undefined;
  }
  return effects;
}

/** Whoever watches a lock learns that nobody holds it. */
function tellLockWatchers({ state, out }: Turn, account: AccountId, effects: readonly Effect[]): void {
  for (const { kind, key } of effects) {
    if (kind !== kinds.lock) continue;
    const name = watchName({ account, key, lock: true });
    const body = lockState(key, { ended: [] });
    for (const router of state.watched.takeLock(name, 0))
      out.event(router, { account, key, lock: true, rev: state.lastRev, version: 0, body });
  }
}
