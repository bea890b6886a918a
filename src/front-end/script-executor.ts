/** Puts the executor of scripts together for one front end. */
import { failure } from '../protocol/errors.ts';
import type { Revision } from '../protocol/ids.ts';
import type { Batch } from '../protocol/operations/operations.ts';
import { refuseField } from '../protocol/refusal.ts';
import { failureReply } from '../protocol/replies.ts';
import type { AccountCounts } from '../router/account-counts.ts';
import type { Dispatcher } from '../router/dispatcher.ts';
import type { CallUnderWay } from '../scripts/call-under-way.ts';
import { ScriptExecutor } from '../scripts/executor.ts';
import { ScriptBudgets } from '../scripts/script-budgets.ts';
import { ScriptCounts } from '../scripts/script-counts.ts';
import { processMs, readClock } from '../shared/clock.ts';
import type { ScriptPool } from '../scripts/script-run.ts';
import { scriptOperationsMax } from '../scripts/script-limits.ts';
import { TargetPolicy } from '../shared/target-policy.ts';
import { cronTasksMax } from '../shared/task-limits.ts';
import { ByteBudget } from './byte-budget.ts';
import type { Config } from './config-schema.ts';
import { batchCommand, type BatchContext } from './http/parse/batch.ts';
import { scriptCpuOf, type SharedCounters } from './shared-counters.ts';
import { withTargets } from './task-targets.ts';

export interface FrontEndScripts {
  readonly config: Pick<Config, 'limits' | 'scripts' | 'http' | 'tasks' | 'accounts'>;
  readonly dispatcher: Dispatcher;
  /** Of the front end; the dispatcher comes after them. */
  readonly index: number;
  readonly boot: string;
  readonly counters: Pick<SharedCounters, 'clock' | 'scriptBudgets' | 'scriptCounts'>;
  readonly accounts: AccountCounts;
  readonly scriptPool?: ScriptPool | undefined;
  readonly log: { error(details: object, message: string): void };
}

/** @returns undefined: scripts are not run */
export function scriptExecutor(options: FrontEndScripts): ScriptExecutor | undefined {
  const { config, dispatcher, index, boot, counters, accounts, scriptPool, log } = options;
  const { limits, scripts, http } = config;
  if (scriptPool === undefined) return undefined;
  const targets = new TargetPolicy(config.tasks.allow);
  const bytesMax = limits.arriving_bytes_max / http.threads;
  return new ScriptExecutor({
    dispatcher,
    pool: scriptPool,
    toBatch: (operations, { account, sends = false }) =>
      scriptBatch(operations, { account, limits, clock: counters.clock, targets, sends }),
    accounts,
    budgets: new ScriptBudgets(
      counters.scriptBudgets,
      scripts.account_cpu_ms_per_second,
      processMs,
      scriptCpuOf(config.accounts),
    ),
    counts: new ScriptCounts(counters.scriptCounts, index),
    memory: (giveUp) => new ByteBudget<CallUnderWay>(bytesMax, giveUp),
    serverTime: () => readClock(counters.clock),
    boot: `${boot} ${index}`,
    onBug(err, sink) {
      log.error({ err }, 'the call of a script failed');
      if (!sink.disconnected) sink.deliver(failureReply(0 as Revision, bug));
    },
  });
}

/** What scripts may do: nothing that needs another scope than `script`, reads, or waits. */
const allowed: ReadonlySet<string> = new Set([
  'KVSet',
  'Atomic',
  'Enqueue',
  'Ack',
  'Nack',
  'Tasks',
  'TaskCancel',
  'Limit',
  'Guard',
]);

export interface ScriptBatchContext extends Pick<BatchContext, 'account' | 'limits' | 'clock'> {
  readonly targets: TargetPolicy;
  /** Whoever has called it has the scope `task`. */
  readonly sends: boolean;
}

/** Reads what a script does as a body of `POST /db/:acc`. @throws Refusal */
export function scriptBatch(
  operations: Readonly<Record<string, unknown>>,
  { account, limits, clock, targets, sends }: ScriptBatchContext,
): Batch {
  const other = Object.keys(operations).find((name) => !allowed.has(name));
  if (other !== undefined) return refuseField(other, 'no operation of a script');
  const batch = batchCommand(operations, {
    account,
    limits: { ...limits, batch_operations_max: scriptOperationsMax },
    clock,
    cronTasks: { left: cronTasksMax },
    root: '',
  });
  if (batch.limit?.some(({ waitMs }) => waitMs > 0) === true) return refuseField('Limit', 'a script waits for nothing');
  if (!sends && batch.tasks?.some(({ definition }) => definition.target.kind === 'http') === true)
    return refuseField('Tasks', 'a task with a URL needs a caller with the scope "task"; expected Queue or Script');
  return withTargets(batch, targets, sends);
}

const bug = failure('internal', 'A bug in the server; its log says more');
