/** Import: puts things as an export has them, in the commit of their page. What has ended meanwhile is left out. */
import { unreachable } from '../../../shared/assert.ts';
import type { LoadedMessage, LoadOperation } from '../../../protocol/operations/account-lines.ts';
import { kinds } from '../../../protocol/record.ts';
import { encodeDead, placeText } from '../state/queue-records.ts';
import { loadMemory } from './account-load-memories.ts';
import { loadTask } from './account-load-tasks.ts';
import type { BatchEvaluation } from './batch-evaluation.ts';
import type { SectionBehaviour } from './behaviour.ts';
import { putQueue } from './queue-changes.ts';
import { enqueue, seenBefore, viewOf } from './queue.ts';
import { storedScript } from './script.ts';

type Result = 'loaded' | 'ended' | 'unmatched';

export const loadBehaviour: SectionBehaviour<'load'> = { evaluate: load };

function load(evaluation: BatchEvaluation, operation: LoadOperation): Result {
  const { kind, key } = operation;
  switch (kind) {
    case 'kv':
    case 'counter':
      return loadEntry(evaluation, operation);
    case 'sequence': {
      // No number is given out twice: neither those of here nor those of there.
      const last = Number(evaluation.entry(kinds.sequence, key)?.value ?? 0);
      if (operation.value > last)
        evaluation.writeSet.put({ kind: kinds.sequence, key, till: 0, value: String(operation.value) });
      return 'loaded';
    }
    case 'script':
      loadScript(evaluation, operation);
      return 'loaded';
    case 'queue': {
      const view = viewOf(evaluation, key);
      putQueue(view, { ...view.record, policy: operation.policy, paused: operation.paused, forgotten: false });
      return 'loaded';
    }
    case 'message':
      return loadMessage(evaluation, operation);
    case 'limit':
    case 'id':
    case 'lock':
    case 'dedup':
    case 'forgotten':
      return loadMemory(evaluation, operation) ? 'loaded' : 'ended';
    case 'task':
    case 'run':
    case 'flow':
    case 'secret':
      return loadTask(evaluation, operation);
    case 'gone':
      return 'unmatched';
    default:
      return unreachable(kind);
  }
}

/** It gets a version of its own; older ones keep their numbers, unless those are still to come here. */
function loadScript(
  { writeSet, state, batch }: BatchEvaluation,
  { key, script }: Extract<LoadOperation, { kind: 'script' }>,
): void {
  if (script === undefined) {
    if (state.entries.get(kinds.script, batch.account, key) !== undefined)
      writeSet.put({ kind: kinds.script, key, till: 0 });
    return;
  }
  const past = script.Older.filter(({ Version }) => Version <= state.lastRev);
  writeSet.put({ kind: kinds.script, key, till: 0, value: storedScript({ ...script, Older: past }) });
}

function loadEntry(
  { writeSet, state, batch, now }: BatchEvaluation,
  { kind, key, value, till }: Extract<LoadOperation, { kind: 'kv' | 'counter' }>,
): Result {
  const of = kinds[kind];
  if (value === undefined) {
    if (state.entries.get(of, batch.account, key) !== undefined) writeSet.put({ kind: of, key, till: 0 });
    return 'loaded';
  }
  if (till !== 0 && till <= now) return 'ended';
  writeSet.put({ kind: of, key, till, value });
  return 'loaded';
}

function loadMessage(evaluation: BatchEvaluation, message: LoadedMessage & { readonly key: string }): Result {
  const { now, index } = evaluation;
  const { data, group, priority, at, due, until, dedup, dead } = message;
  if (until !== 0 && until <= now) return 'ended';
  const view = viewOf(evaluation, message.key);
  const id = { rev: 0, index, priority, ...(group === undefined ? {} : { group }) };
  if (dead === undefined) {
    const times = { delayMs: Math.max(0, due - now), ttlMs: until === 0 ? 0 : until - now };
    // Where another message has taken its DedupID, it is there without one.
    const once = dedup === undefined || seenBefore(view, dedup) !== undefined ? {} : { dedup, pending: true };
    enqueue(view, { data, ...times, ...once }, id, at);
    return 'loaded';
  }
  // Nobody has a receipt of it here.
  const record = { at, attempts: dead.attempts, lock: -1, nacked: false, diedAt: dead.at, priority, data };
  const more = {
    ...(group === undefined ? {} : { group }),
    ...(dead.error === undefined ? {} : { error: dead.error }),
  };
  view.put('z', placeText(0, index), encodeDead({ ...record, ...more }), until);
  return 'loaded';
}
