/**
 * MULTI, EXEC, WATCH. What is queued becomes one batch: one commit, one fdatasync. An operation's own error stands in
 * its place, and the others are done, as in Redis. WATCH reads the versions of its keys at once; EXEC makes them
 * conditions of the batch, and answers nil when one does not hold.
 */
import type { CheckOperation } from '../../../protocol/operations/kv.ts';
import type { GuardOperation } from '../../../protocol/operations/lock.ts';
import { integerIn, resultsIn, type StringOp } from '../../../protocol/operations/string-op.ts';
import { isFailure } from '../../../protocol/replies.ts';
import { keyOf } from '../argument.ts';
import { text, type RespCommandSpec, type OpsPlan, type Plan, type RespClient, type TextPlan } from '../command.ts';
import { failedReplyText, refuseCommand, RespError } from '../resp-error.ts';
import { array, errorText, ok } from '../writer.ts';

type Part = OpsPlan | TextPlan;

function partOf(
  { spec, args }: { readonly spec: RespCommandSpec; readonly args: readonly string[] },
  client: RespClient,
): Part {
  try {
    const plan = spec.plan(args, client);
    if (plan.kind === 'ops' || plan.kind === 'text') return plan;
    return text(errorText(`ERR '${spec.name}' cannot be used within MULTI so`));
  } catch (error) {
    if (!(error instanceof RespError)) throw error;
    return text(errorText(error.message));
  }
}

/** Takes the transaction off the client. */
function takeQueue({ state }: RespClient, name: string) {
  const { queue } = state;
  state.queue = undefined;
  const watched = [...state.watched];
  if (queue === undefined) return refuseCommand(`ERR ${name} without MULTI`);
  state.watched.clear();
  return { queue, watched };
}

function exec(_args: readonly string[], client: RespClient): Plan {
  const { queue, watched } = takeQueue(client, 'EXEC');
  if (queue.refused) return refuseCommand('EXECABORT Transaction discarded because of previous errors.');
  const parts = queue.commands.map((queued) => partOf(queued, client));
  const ops: StringOp[] = [];
  const check: CheckOperation[] = watched.map(([key, version]) => ({ key, version }));
  const guard: GuardOperation[] = [];
  for (const part of parts) {
    if (part.kind === 'text') continue;
    ops.push(...part.ops);
    check.push(...(part.check ?? []));
    guard.push(...(part.guard ?? []));
  }
  if (ops.length + check.length + guard.length === 0) return text(array(parts.map((part) => (part as TextPlan).text)));
  return {
    kind: 'ops',
    ops,
    check,
    guard,
    write(results, writer) {
      let at = 0;
      const replies = parts.map((part) => {
        if (part.kind === 'text') return part.text;
        const own = results.slice(at, at + part.ops.length);
        at += part.ops.length;
        return part.write(own, writer);
      });
      return array(replies);
    },
    failed: (code, writer) => (code === 'version_mismatch' ? writer.nilArray : undefined),
  };
}

function watch(args: readonly string[], { state: { queue } }: RespClient): Plan {
  if (queue !== undefined) return refuseCommand('ERR WATCH inside MULTI is not allowed');
  const keys = args.slice(1).map(keyOf);
  return {
    kind: 'steps',
    start(client, done) {
      const { state, context, account } = client;
      const fresh = [...new Set(keys)].filter((key) => !state.watched.has(key));
      if (fresh.length === 0) {
        done(ok);
        return undefined;
      }
      const most = context.limits.batch_operations_max;
      if (state.watched.size + fresh.length > most) {
        done(errorText(`ERR a client watches at most ${most} keys (limits.batch_operations_max)`));
        return undefined;
      }
      const ops = fresh.map((key): StringOp => ({ kind: 'version', key }));
      client.ask({ kind: 'batch', account, format: 'ops', ops }, (reply) => {
        if (isFailure(reply.outcome)) return done(failedReplyText(reply));
        resultsIn(reply.body, ops.length).forEach((result, i) => state.watched.set(fresh[i]!, integerIn(result)));
        done(ok);
      });
      return undefined;
    },
  };
}

const group = 'transactions';

export const transactionCommands: readonly RespCommandSpec[] = [
  {
    name: 'multi',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    group,
    scope: 'any',
    usage: '',
    summary: 'Begins a transaction: what follows is queued',
    differs: 'At most limits.batch_operations_max operations, and limits.body_bytes_max bytes.',
    immediate: true,
    plan(_args, { state }) {
      if (state.queue !== undefined) return refuseCommand('ERR MULTI calls can not be nested');
      state.queue = { commands: [], bytes: 0, refused: false };
      return text(ok);
    },
  },
  {
    name: 'exec',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'allow_busy'],
    group,
    scope: 'any',
    usage: '',
    summary: 'Does what was queued, in one commit',
    differs: 'With `DL.GUARD key handle` in the queue only while that handle holds the lock: else `-LOCKLOST`.',
    immediate: true,
    plan: exec,
  },
  {
    name: 'discard',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    group,
    scope: 'any',
    usage: '',
    summary: 'Forgets what was queued',
    immediate: true,
    plan(_args, client) {
      takeQueue(client, 'DISCARD');
      return text(ok);
    },
  },
  {
    name: 'watch',
    arity: -2,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    keys: [1, -1, 1],
    group,
    scope: 'read',
    usage: 'key [key …]',
    summary: 'Lets EXEC do nothing if one of the keys changes before',
    differs: 'Goes by versions: a key that has changed and changed back has changed. Ends with the connection.',
    immediate: true,
    plan: watch,
  },
  {
    name: 'unwatch',
    arity: 1,
    flags: ['noscript', 'loading', 'stale', 'fast', 'allow_busy'],
    group,
    scope: 'any',
    usage: '',
    summary: 'Ends WATCH',
    plan(_args, { state }) {
      state.watched.clear();
      return text(ok);
    },
  },
];
