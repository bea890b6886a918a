/** Behaviours: the compiler demands one for each declaration in `protocol/operations/operations.ts`. */
import type { AccountId } from '../../../protocol/ids.ts';
import type { CommandKind, ListCommand, SectionName } from '../../../protocol/operations/operations.ts';
import { pageReply } from '../../../protocol/page.ts';
import type { LockView } from '../state/lease.ts';
import type { RequestRef } from '../state/outbox.ts';
import { readRevision, type ShardState } from '../state/state.ts';
import type { Turn } from '../state/turn.ts';
import type { ResourceKind } from '../state/wait-queue.ts';
import type { CallFormat, CommandBehaviour, FormatBehaviour, ListBehaviour, SectionBehaviour } from './behaviour.ts';
import * as counters from './counter.ts';
import * as keys from './kv.ts';
import * as locks from './lock.ts';
import { lockMutex, unlockMutex, viewMutex } from './mutex.ts';
import * as sequences from './sequence.ts';

export const sectionBehaviours: { readonly [Name in SectionName]: SectionBehaviour<Name> } = {
  guard: locks.guard,
  unlock: locks.unlock,
  lock: locks.lock,
  check: keys.check,
  counter: counters.counter,
  sequence: sequences.sequence,
  get: keys.get,
  set: keys.set,
};

export const formatBehaviours: { readonly [Format in CallFormat]: FormatBehaviour } = {
  ...keys.formats,
  ...counters.formats,
  ...sequences.formats,
  ...locks.formats,
};

export const listBehaviours: { readonly [Kind in ListCommand['kind']]: ListBehaviour<Kind> } = {
  'kv.list': keys.listKeys,
  'lock.list': locks.listLocks,
};

export const commandBehaviours: { readonly [Kind in CommandKind]: CommandBehaviour<Kind> } = {
  'kv.list': replyPage,
  'lock.list': replyPage,
  'lock.inspect': locks.inspectLock,
  'mutex.lock': lockMutex,
  'mutex.unlock': unlockMutex,
  'watch.key': keys.watchKey,
};

/** What can be waited for, and how it stands. */
export const resources: {
  readonly [Kind in ResourceKind]: {
    view(state: ShardState, account: AccountId, id: string, now: number): LockView;
  };
} = {
  lock: { view: locks.viewDurableLock },
  mutex: { view: viewMutex },
};

function replyPage(turn: Turn, ref: RequestRef, command: ListCommand): void {
  turn.out.reply(ref, pageReply(command, listPage(turn, command), readRevision(turn.state)));
}

export function listPage(turn: Turn, command: ListCommand): ReturnType<ListBehaviour<ListCommand['kind']>> {
  const list = listBehaviours[command.kind] as (turn: Turn, command: ListCommand) => ReturnType<typeof listPage>;
  return list(turn, command);
}
