import { nameOf } from '../../../protocol/footprint.ts';
import { keyEventBody } from '../../../protocol/key-event-body.ts';
import { kinds, type CommitRecord } from '../../../protocol/record.ts';
import { announceLock } from './lock-watch.ts';
import type { Outbox } from './outbox.ts';
import { applyRecord, type ShardState } from './state.ts';
import type { Turn } from './turn.ts';

/** Carries out a commit of this shard alone: writes the record, changes the entries, tells watchers and wait queues. */
export function commit({ state, out }: Turn, record: CommitRecord): void {
  out.record(record);
  applyRecord(state, record);
  state.lastRev = record.rev;
  announce(state, record, out);
}

/** Tells watchers about the keys that a record has changed, and notes the wait queues that may advance. */
export function announce(state: ShardState, record: CommitRecord, out: Outbox): void {
  const { account, rev } = record;
  for (const effect of record.effects) {
    if (effect.kind === kinds.lock) {
      state.waitQueues.noteGrantable('lock', account, effect.key);
      if (state.watched.size > 0) announceLock(state, record, effect, out);
    }
    if (effect.kind === kinds.queue) {
      const queue = state.queues.note(account, effect.key, effect.value);
      state.waitQueues.noteGrantable('queue', account, queue);
    }
    if (effect.kind === kinds.taskState) state.tasks.note(effect.till);
    if (effect.kind !== kinds.kv || state.watched.size === 0) continue;
    const { key, value, expired } = effect;
    const version = value === undefined ? 0 : rev;
    let body: string | undefined;
    for (const router of state.watched.take(nameOf(account, key))) {
      body ??= keyEventBody(rev, { key, version, value, expired });
      out.event(router, { account, key, rev, version, body });
    }
  }
}
