/**
 * The deletion of an account. The commit that marks it writes an entry `x` on every shard; from then on the shard refuses
 * the account's commands, and core/deletion.ts deletes what there is. The entry goes last. Its `till` is long over, so
 * that a shard finds it before all else when it starts.
 */
import { failure } from '../../../protocol/errors.ts';
import type { AccountId } from '../../../protocol/ids.ts';
import type { Batch, Command } from '../../../protocol/operations/operations.ts';
import { kinds, type Kind } from '../../../protocol/record.ts';
import { failureReply, type Reply } from '../../../protocol/replies.ts';
import { deletionsMax } from '../../../shared/limits.ts';
import { readRevision, type ShardState } from '../state/state.ts';
import type { FormatBehaviour, SectionBehaviour } from './behaviour.ts';

/** What is deleted. The audit log stays: it tells who deleted the account, and goes by its own time. */
export const sweptKinds: readonly Kind[] = Object.values(kinds).filter(
  (kind) => kind !== kinds.boot && kind !== kinds.audit && kind !== kinds.deletion,
);

export const deletionTill = 1;

export const wipeBehaviour: SectionBehaviour<'wipe'> = {
  evaluate(evaluation) {
    const { state, account, writeSet } = evaluation;
    const entries = entriesOf(state, account);
    if (state.deletions.has(account)) return { entries };
    if (state.deletions.size >= deletionsMax) {
      const message = `${deletionsMax} accounts are being deleted already; try again when they are gone.`;
      evaluation.fail(failure('overloaded', message));
    }
    writeSet.put({ kind: kinds.deletion, key: deletionKey(state, account), till: deletionTill, value: '1' });
    return { entries };
  },
};

export const accountFormats = {
  'account.import': {
    members: ({ results }) => {
      const counts = { loaded: 0, ended: 0, unmatched: 0 };
      for (const result of results.load!) if (result !== null) counts[result] += 1;
      return `"Loaded":${counts.loaded},"Ended":${counts.ended},"Unmatched":${counts.unmatched},`;
    },
  },
  'account.delete': { members: ({ results }) => `"Entries":${results.wipe!.entries},` },
} satisfies Record<string, FormatBehaviour>;

/** A name that this shard owns: each shard has an entry of its own. */
export function deletionKey({ owns }: Pick<ShardState, 'owns'>, account: AccountId): string {
  let number = 0;
  while (!owns(account, String(number))) number += 1;
  return String(number);
}

function entriesOf({ entries }: ShardState, account: AccountId): number {
  return sweptKinds.reduce((sum, kind) => sum + entries.countOf(account, kind).entries, 0);
}

/** Begins to delete what the account has in this shard. Its mark has been committed. */
export function beginDeletion({ deletions, waitQueues, mutexes }: ShardState, account: AccountId): void {
  if (deletions.has(account)) return;
  const waiters = [...waitQueues.waiters()].filter(({ queue }) => queue.account === account);
  const named = mutexes.ofAccount.has(account) ? [...mutexes.byName.keys()] : [];
  const names = named.filter((name) => name.startsWith(`${account}\0`));
  deletions.add({ account, kind: 0, after: undefined, waiters, mutexes: names, begun: false });
}

/** Returns why a command of an account that is being deleted is refused; undefined: it is not. */
export function deletionReply(state: ShardState, command: Command): Reply | undefined {
  const { kind, account } = command;
  if (!state.deletions.has(account) || kind === 'account.usage' || kind === 'audit.list') return undefined;
  return kind === 'batch' && command.wipe !== undefined ? undefined : deletingReply(state, account);
}

/** The same for a batch that has waited. */
export function refuseDeleted(state: ShardState, batch: Batch): Reply | undefined {
  return state.deletions.size === 0 ? undefined : deletionReply(state, batch);
}

export function deletingReply(state: ShardState, account: AccountId): Reply {
  const message = `The account ${JSON.stringify(account)} is being deleted; try again when all that it had is gone.`;
  return failureReply(readRevision(state), failure('account_deleting', message));
}
