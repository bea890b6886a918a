/**
 * MULTI, EXEC (`exec.ts`), WATCH. WATCH reads the versions of its keys at once; EXEC makes them conditions, and answers
 * nil when one does not hold.
 */
import { integerIn, resultsIn, type StringOp } from '../../../protocol/operations/string-op.ts';
import { isFailure } from '../../../protocol/replies.ts';
import { keyOf } from '../argument.ts';
import { text, type RespCommandSpec, type Plan, type RespClient } from '../command.ts';
import { failedReplyText, refuseCommand } from '../resp-error.ts';
import { errorText, ok } from '../writer.ts';
import { exec, takeQueue } from './exec.ts';

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
    differs:
      'With `DL.GUARD key handle` in the queue only while that handle holds the lock: else `-LOCKLOST`. With `DL.LOCK` only if it is free: else nil. With scripts, MSETNX or MSETEX in the queue as scripts are done.',
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
