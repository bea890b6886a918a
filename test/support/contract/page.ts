/** A page of a list. */
import { done, type Moment, type Outcome } from './moment.ts';
import { compareUtf8 } from './state.ts';
import type { CounterList } from '../../../src/protocol/operations/counter.ts';
import type { KvList } from '../../../src/protocol/operations/kv-pages.ts';
import type { LockList } from '../../../src/protocol/operations/lock.ts';
import type { TaskList } from '../../../src/protocol/operations/task-calls.ts';
import type { ScriptsList } from '../../../src/protocol/operations/script.ts';
import type { QueueList } from '../../../src/protocol/operations/queue-calls.ts';

const kinds = {
  'kv.list': ['kv', 'KV'],
  'counter.list': ['counter', 'Counters'],
  'lock.list': ['lock', 'Locks'],
  'queue.list': ['queue', 'Queues'],
  'task.list': ['task', 'Tasks'],
  'script.list': ['script', 'Scripts'],
} as const;

/** `row` shows one key; undefined: there is nothing to list under it; null: there is, but nobody asked for it. */
export function page(
  at: Moment,
  call: KvList | CounterList | LockList | QueueList | TaskList | ScriptsList,
  row: (key: string) => object | null | undefined,
): Outcome {
  const { account, prefix, after, limit } = call;
  const [kind, member] = kinds[call.kind];
  const rows: object[] = [];
  // A page may be shorter than was asked for: where it ended is taken from the reply.
  const last = at.said?.More === true ? at.said.After : undefined;
  let more = last;
  let before = '';
  for (const key of at.state.keys(kind, account, prefix, after)) {
    if (last !== undefined && compareUtf8(key, last) > 0) break;
    const shown = row(key);
    if (shown === undefined) continue;
    if (rows.length === limit) {
      more = before;
      break;
    }
    before = key;
    if (shown !== null) rows.push(shown);
  }
  return done(at, { [member]: rows, ...(more === undefined ? {} : { More: true, After: more }) });
}
