/** Commands that go over the keys of an account. */
import { randomInt } from 'node:crypto';
import { isFailure } from '../../../protocol/replies.ts';
import { keyBytesMax, pageLimitMax } from '../../../shared/limits.ts';
import { integerBetween, syntaxError } from '../argument.ts';
import { text, type RespCommandSpec, type Plan, type RespClient, type StepsPlan } from '../command.ts';
import { literalPrefix } from '../glob.ts';
import { checkPattern, forEachPage, matching, prefixText, readKeys } from '../key-pages.ts';
import { failedReplyText, refuseCommand } from '../resp-error.ts';
import { array, bulk, bytesOf, errorText, integer, ok } from '../writer.ts';

const countDefault = 10;
const keysMax = 100_000;

interface ScanOptions {
  pattern?: string;
  count: number;
  type?: string;
}

function scanOptions(given: readonly string[]): ScanOptions {
  const options: ScanOptions = { count: countDefault };
  for (let at = 0; at < given.length; at += 2) {
    const value = given[at + 1];
    if (value === undefined) return refuseCommand(syntaxError);
    switch (given[at]!.toUpperCase()) {
      case 'MATCH':
        options.pattern = value;
        break;
      case 'COUNT':
        options.count = integerBetween(value, Number.MIN_SAFE_INTEGER);
        if (options.count < 1) return refuseCommand(syntaxError);
        break;
      case 'TYPE':
        options.type = value.toLowerCase();
        break;
      default:
        return refuseCommand(syntaxError);
    }
  }
  return options;
}

function scan(args: readonly string[], client: RespClient): Plan {
  if (!/^\d{1,16}$/.test(args[1]!)) return refuseCommand('ERR invalid cursor');
  const { pattern = '*', count, type } = scanOptions(args.slice(2));
  checkPattern(pattern);
  const cursor = Number(args[1]);
  const { cursors } = client.context;
  const after = cursor === 0 ? undefined : cursors.find(client.account, cursor);
  if (cursor !== 0 && after === undefined) return refuseCommand('ERR invalid cursor');
  const literal = literalPrefix(pattern);
  if (literal.length > keyBytesMax || (type !== undefined && type !== 'string'))
    return text(array([bulk('0'), array([])]));
  return {
    kind: 'steps',
    start(self, done) {
      readKeys(self, { prefix: prefixText(literal), after, limit: count }, (page) => {
        if (typeof page === 'string') return done(page);
        const next = page.after === undefined ? 0 : cursors.open(self.account, page.after);
        matching(self, pattern, page.keys, (found) => done(array([bulk(String(next)), array(found.map(bulk))])));
      });
      return undefined;
    },
  };
}

function keys(args: readonly string[]): Plan {
  const pattern = args[1]!;
  checkPattern(pattern);
  const literal = literalPrefix(pattern);
  if (literal.length > keyBytesMax) return text(array([]));
  return {
    kind: 'steps',
    start(client, done) {
      const found: string[] = [];
      const take = ({ keys: names }: { readonly keys: readonly string[] }, next: () => void): void => {
        matching(client, pattern, names, (some) => {
          found.push(...some.map(bulk));
          if (client.disconnected) return;
          if (found.length > keysMax)
            return done(errorText(`ERR more than ${keysMax} keys match; expected SCAN for so many`));
          next();
        });
      };
      forEachPage(client, prefixText(literal), take, (failed) => done(failed ?? array(found)));
      return undefined;
    },
  };
}

function dbSize(): StepsPlan {
  return {
    kind: 'steps',
    start(client, done) {
      let count = 0;
      const take = (page: { readonly keys: readonly string[] }, next: () => void): void => {
        count += page.keys.length;
        if (!client.disconnected) next();
      };
      forEachPage(client, '', take, (failed) => done(failed ?? integer(count)));
      return undefined;
    },
  };
}

/** Begins anywhere: keys that begin with the same character are as likely together as any other. */
function randomKey(): StepsPlan {
  return {
    kind: 'steps',
    start(client, done) {
      const pick = (after: string | undefined): void => {
        readKeys(client, { prefix: '', after, limit: pageLimitMax }, (page) => {
          if (typeof page === 'string') return done(page);
          const { keys: found } = page;
          if (found.length > 0) return done(bulk(bytesOf(found[randomInt(found.length)]!)));
          if (after === undefined && page.after === undefined) return done(client.writer.nil);
          pick(page.after);
        });
      };
      pick(randomInt(2) === 0 ? undefined : String.fromCharCode(randomInt(0x20, 0x7f)));
      return undefined;
    },
  };
}

function flush(args: readonly string[]): Plan {
  if (args.length > 2 || (args.length === 2 && !/^(a?sync)$/i.test(args[1]!))) return refuseCommand(syntaxError);
  return {
    kind: 'steps',
    start(client, done) {
      const { account, context } = client;
      const most = context.limits.batch_operations_max;
      const remove = (names: readonly string[], next: () => void): void => {
        if (names.length === 0) return next();
        const ops = names.slice(0, most).map((key) => ({ kind: 'delete', key }) as const);
        client.ask({ kind: 'batch', account, format: 'ops', ops }, (reply) => {
          if (isFailure(reply.outcome)) return done(failedReplyText(reply));
          remove(names.slice(most), next);
        });
      };
      forEachPage(
        client,
        '',
        (page, next) => remove(page.keys, next),
        (failed) => done(failed ?? ok),
      );
      return undefined;
    },
  };
}

const flushDiffers =
  'Needs the scope `force`. The keys of this account only; locks, counters and sequences stay. 1,000 keys a commit: ' +
  'others see it happen.';

export const scanCommands: readonly RespCommandSpec[] = [
  {
    name: 'scan',
    arity: -2,
    flags: ['readonly'],
    group: 'generic',
    scope: 'read',
    usage: 'cursor [MATCH pattern] [COUNT count] [TYPE type]',
    summary: 'Goes over the keys',
    differs:
      'In the order of their bytes: what stays is met exactly once. At most 1,000 a step. A cursor that was not used for ' +
      'long is unknown (`-ERR invalid cursor`). Not within MULTI.',
    alone: true,
    plan: scan,
  },
  {
    name: 'keys',
    arity: 2,
    flags: ['readonly'],
    group: 'generic',
    scope: 'read',
    usage: 'pattern',
    summary: 'All keys that match',
    differs: 'At most 100,000. Page by page: not of one moment. Not within MULTI.',
    alone: true,
    plan: keys,
  },
  {
    name: 'randomkey',
    arity: 1,
    flags: ['readonly'],
    group: 'generic',
    scope: 'read',
    usage: '',
    summary: 'Any key',
    differs: 'Not each is as likely as any other. Not within MULTI.',
    alone: true,
    plan: randomKey,
  },
  {
    name: 'dbsize',
    arity: 1,
    flags: ['readonly'],
    group: 'server',
    scope: 'read',
    usage: '',
    summary: 'The number of keys',
    differs: 'Counts them: takes longer the more there are. Not within MULTI.',
    alone: true,
    plan: dbSize,
  },
  {
    name: 'flushdb',
    arity: -1,
    flags: ['write'],
    group: 'server',
    scope: 'force',
    usage: '[ASYNC | SYNC]',
    summary: 'Deletes all keys',
    differs: flushDiffers,
    alone: true,
    plan: flush,
  },
  {
    name: 'flushall',
    arity: -1,
    flags: ['write'],
    group: 'server',
    scope: 'force',
    usage: '[ASYNC | SYNC]',
    summary: 'As FLUSHDB',
    differs: flushDiffers,
    alone: true,
    plan: flush,
  },
];
