/** RENAME and COPY: they read, and then write only if nothing has changed meanwhile. */
import { integerIn, resultNil, resultsIn, type StringOp } from '../../../protocol/operations/string-op.ts';
import { isFailure } from '../../../protocol/replies.ts';
import type { Batch } from '../../../protocol/operations/operations.ts';
import { integerOf, keyOf, syntaxError } from '../argument.ts';
import type { RespCommandSpec, Plan, RespClient } from '../command.ts';
import { failedReplyText, refuseCommand } from '../resp-error.ts';
import { errorText, integer, ok } from '../writer.ts';

const attemptsMax = 16;

interface Transfer {
  readonly from: string;
  readonly to: string;
  /** Whether the first name goes. */
  readonly moves: boolean;
  readonly replaces: boolean;
  readonly written: string;
  /** The reply when there is something under the second name, which may not be replaced. */
  readonly taken: string;
  readonly missing: string;
}

function transfer(how: Transfer): Plan {
  const { from, to, moves, replaces, written, taken, missing } = how;
  return {
    kind: 'steps',
    start(client, done) {
      let attempts = 0;
      const attempt = (): void => {
        attempts += 1;
        if (attempts > attemptsMax) return done(errorText('BUSY the keys change all the time; try again'));
        read(client, from, to, done, ({ value, version, till, target }) => {
          if (value === resultNil) return done(missing);
          if (from === to) return done(replaces || !moves ? written : taken);
          if (target > 0 && !replaces) return done(taken);
          const set = { kind: 'set', key: to, value } as const;
          const ops: StringOp[] = [till < 0 ? set : { ...set, till: { kind: 'at', ms: till } }];
          if (moves) ops.push({ kind: 'delete', key: from });
          const check = [
            { key: from, version },
            { key: to, version: target },
          ];
          client.ask({ kind: 'batch', account: client.account, format: 'ops', check, ops }, (reply) => {
            if (reply.outcome === 'version_mismatch') attempt();
            else done(isFailure(reply.outcome) ? failedReplyText(reply) : written);
          });
        });
      };
      attempt();
      return undefined;
    },
  };
}

interface Found {
  readonly value: string;
  readonly version: number;
  readonly till: number;
  /** The version of what is under the second name. */
  readonly target: number;
}

function read(
  client: RespClient,
  from: string,
  to: string,
  failed: (text: string) => void,
  found: (found: Found) => void,
): void {
  const ops: readonly StringOp[] = [
    { kind: 'get', key: from },
    { kind: 'version', key: from },
    { kind: 'ttl', key: from, at: true },
    { kind: 'version', key: to },
  ];
  const batch: Batch = { kind: 'batch', account: client.account, format: 'ops', ops };
  client.ask(batch, (reply) => {
    if (isFailure(reply.outcome)) return failed(failedReplyText(reply));
    const [value = '', version = '', till = '', target = ''] = resultsIn(reply.body, ops.length);
    found({ value, version: integerIn(version), till: integerIn(till), target: integerIn(target) });
  });
}

const noSuchKey = errorText('ERR no such key');

function copy(args: readonly string[], client: RespClient): Plan {
  let replaces = false;
  for (let at = 3; at < args.length; at += 1) {
    const option = args[at]!.toUpperCase();
    if (option === 'REPLACE') replaces = true;
    else if (option === 'DB' && at + 1 < args.length) {
      at += 1;
      if (integerOf(args[at]!) !== client.state.index)
        return refuseCommand('ERR COPY to another database is not possible: databases are accounts');
    } else return refuseCommand(syntaxError);
  }
  const [from, to] = [keyOf(args[1]!), keyOf(args[2]!)];
  if (from === to) return refuseCommand('ERR source and destination objects are the same');
  return transfer({ from, to, moves: false, replaces, written: integer(1), taken: integer(0), missing: integer(0) });
}

const row = {
  flags: ['write'],
  keys: [1, 2, 1],
  group: 'generic',
  scope: 'write',
  alone: true,
  differs: 'Needs the scope `read` too. Not within MULTI. `-BUSY` when the keys change all the time.',
} as const;

export const manyStepCommands: readonly RespCommandSpec[] = [
  {
    ...row,
    name: 'rename',
    arity: 3,
    usage: 'key newkey',
    summary: 'Gives a key another name',
    plan: (args) =>
      transfer({
        from: keyOf(args[1]!),
        to: keyOf(args[2]!),
        moves: true,
        replaces: true,
        written: ok,
        taken: ok,
        missing: noSuchKey,
      }),
  },
  {
    ...row,
    name: 'renamenx',
    arity: 3,
    usage: 'key newkey',
    summary: 'Gives a key another name that is free',
    plan: (args) =>
      transfer({
        from: keyOf(args[1]!),
        to: keyOf(args[2]!),
        moves: true,
        replaces: false,
        written: integer(1),
        taken: integer(0),
        missing: noSuchKey,
      }),
  },
  {
    ...row,
    name: 'copy',
    arity: -3,
    usage: 'source destination [DB index] [REPLACE]',
    summary: 'Copies a key',
    plan: copy,
  },
];
