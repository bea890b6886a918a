/** Batches as over HTTP, commands that are done once, and waiting for changes. */
import { revision } from '../../../protocol/ids.ts';
import { isFailure, type Reply } from '../../../protocol/replies.ts';
import { idempotencyTtlMsDefault, pageLimitDefault, pageLimitMax, waitMsMax } from '../../../shared/limits.ts';
import { cronTasksMax } from '../../../shared/task-limits.ts';
import { openAccess } from '../../access.ts';
import { withTargets } from '../../task-targets.ts';
import { withIdempotency } from '../../fingerprint.ts';
import { batchCommand, parseBatches } from '../../http/parse/batch.ts';
import { checked, integerBetween, keyOf, optionsOf, prefixOf, shownArgument } from '../argument.ts';
import { fitsArity, text, type Plan, type RespClient, type RespCommandSpec, type StepsPlan } from '../command.ts';
import { failedReplyText, refuseCommand } from '../resp-error.ts';
import { textOfArgument } from '../value.ts';
import { writeCommit, type ChangeBody } from '../write-commit.ts';
import { array, bulk, bytesOf, integer, ok, type Writer } from '../writer.ts';

function batch(args: readonly string[], { account, context, access = openAccess }: RespClient): Plan {
  const json = textOfArgument(args[1]!);
  if (json === undefined) return refuseCommand('ERR batch: expected JSON in UTF-8');
  return checked(() => {
    const parsed = parseBatches(json);
    if (Array.isArray(parsed))
      return refuseCommand('ERR batch: expected an object; send several commands instead of an array');
    const given = batchCommand(parsed, {
      account,
      limits: context.limits,
      clock: context.clock,
      cronTasks: { left: cronTasksMax },
      root: '',
    });
    const command = withTargets(given, context.targets, access.scopes.has('task'));
    return { kind: 'command', command, write: (body) => bulk(bytesOf(body)) };
  });
}

function once(args: readonly string[], client: RespClient): Plan {
  const spec = client.context.commands.get(args[2]!.toLowerCase());
  const rest = args.slice(2);
  if (spec === undefined) return refuseCommand(`ERR unknown command '${shownArgument(args[2])}'`);
  if (!fitsArity(spec, rest.length)) return refuseCommand(`ERR wrong number of arguments for '${spec.name}' command`);
  if (spec.scope !== 'write') return refuseCommand(`ERR '${spec.name}' cannot be done once: expected one that writes`);
  const options = { ids: [keyOf(args[1]!)], ttlMs: idempotencyTtlMsDefault, mode: 'replay' } as const;
  const plan = spec.plan(rest, client);
  if (plan.kind === 'command' && plan.command.kind === 'batch')
    return { ...plan, command: withIdempotency(plan.command, options) };
  if (plan.kind !== 'ops') return refuseCommand(`ERR '${spec.name}' cannot be done once: it has several steps`);
  return { ...plan, idempotency: options };
}

/** A key after a change: `[version, json]`; without a value: `[0, nil]`. */
function writeState(body: string, writer: Writer): string {
  const { Version, Value } = JSON.parse(body) as ChangeBody;
  return array([integer(Version), Value === undefined ? writer.nil : bulk(bytesOf(JSON.stringify(Value)))]);
}

function watchKey(args: readonly string[]): Plan {
  const watched = [{ key: keyOf(args[1]!), version: integerBetween(args[2]!, 0) }];
  const waitMs = integerBetween(args[3]!, 0, waitMsMax);
  return {
    kind: 'steps',
    waits: true,
    start: (client, done) =>
      client.context.dispatcher.watchKeys(client.account, watched, waitMs, {
        get disconnected() {
          return client.disconnected;
        },
        deliver(reply: Reply) {
          if (reply.outcome === 'none') return done(client.writer.nil);
          done(isFailure(reply.outcome) ? failedReplyText(reply) : writeState(reply.body, client.writer));
        },
      }),
  };
}

interface EventsBody {
  readonly Events: readonly (ChangeBody & { readonly Rev: number })[];
  readonly Rev: number;
}

function writeEvents(body: string, writer: Writer): string {
  const { Events, Rev } = JSON.parse(body) as EventsBody;
  const commits = Map.groupBy(Events, ({ Rev: rev }) => rev);
  return array([integer(Rev), array([...commits].map(([rev, events]) => writeCommit(rev, events, writer)))]);
}

/** Its pushes come behind the reply. */
function follow(prefix: string, after: number): StepsPlan {
  return {
    kind: 'steps',
    start(client, done) {
      done(ok);
      client.tails.follow(client.account, prefix, after);
      return undefined;
    },
  };
}

function tail(args: readonly string[], { writer }: RespClient): Plan {
  const prefix = prefixOf(args[1]!);
  const after = revision(integerBetween(args[2]!, 0));
  if (args.length === 3 && writer.protocol === 3) return follow(prefix, after);
  const { WAIT, COUNT } = optionsOf(args.slice(3), ['WAIT', 'COUNT']);
  const waitMs = WAIT === undefined ? 0 : integerBetween(WAIT, 0, waitMsMax);
  const limit = COUNT === undefined ? pageLimitDefault : integerBetween(COUNT, 1, pageLimitMax);
  return {
    kind: 'steps',
    waits: true,
    start: (client, done) =>
      client.context.dispatcher.watchPrefix(
        { account: client.account, prefix, waitMs, limit, after },
        {
          get disconnected() {
            return client.disconnected;
          },
          deliver(reply: Reply) {
            done(isFailure(reply.outcome) ? failedReplyText(reply) : writeEvents(reply.body, client.writer));
          },
        },
      ),
  };
}

const group = 'dragonlock';

export const watchCommands: readonly RespCommandSpec[] = [
  {
    name: 'dl.batch',
    arity: 2,
    flags: ['write', 'denyoom', 'blocking'],
    group,
    scope: 'any',
    usage: 'json',
    summary: 'A batch as over HTTP (`POST /db/:acc`): the text of its reply',
    alone: true,
    plan: batch,
  },
  {
    name: 'dl.once',
    arity: -3,
    flags: ['write', 'denyoom'],
    group,
    scope: 'write',
    usage: 'id command [argument …]',
    summary: 'Does a command under an idempotency id: who sends it again gets the first reply',
    alone: true,
    plan: once,
  },
  {
    name: 'dl.watch',
    arity: 4,
    flags: ['readonly', 'blocking'],
    keys: [1, 1, 1],
    group,
    scope: 'read',
    usage: 'key version ms',
    summary:
      'Waits until a key has another version: `[version, json]`, `[0, nil]` when it is gone, nil when the time is over',
    alone: true,
    plan: watchKey,
  },
  {
    name: 'dl.tail',
    arity: -3,
    flags: ['readonly', 'blocking'],
    group,
    scope: 'read',
    usage: 'prefix after [WAIT ms] [COUNT n]',
    summary:
      'What was committed below a prefix after a revision: `[revision, [[revision, [[key, version, json], …]], …]]`; go on after the first. In RESP3 without options: OK, and from then on each commit as a push `dl.tail, prefix, [revision, [[key, version, json], …]]`',
    alone: true,
    plan: tail,
  },
  {
    name: 'dl.untail',
    arity: 2,
    flags: ['readonly', 'fast'],
    group,
    scope: 'any',
    usage: 'prefix',
    summary: 'Ends a DL.TAIL that pushes: 1, or 0 if there was none',
    alone: true,
    plan: (args, { tails }) => text(integer(tails.end(prefixOf(args[1]!)) ? 1 : 0)),
  },
];
