/** EVAL and its kin. What a script is given, and what it gives, is in `../scripts/`. */
import { errorText, array, bulk, integer, ok } from '../writer.ts';
import { integerOf, keyOf, shownArgument, syntaxError } from '../argument.ts';
import type { Plan, RespClient, RespCommandSpec, StepsPlan } from '../command.ts';
import { refuseCommand } from '../resp-error.ts';
import { knownScript } from '../scripts/known-scripts.ts';
import { shaOf } from '../scripts/script-cache.ts';
import type { ScriptCall } from '../scripts/script-messages.ts';

/** Bytes of the source of one script. */
const sourceBytesMax = 256 * 1024;
export const noScript = errorText('NOSCRIPT No matching script. Please use EVAL.');
const shaPattern = /^[0-9a-f]{40}$/;

type Given = Omit<ScriptCall, 'sha' | 'source'>;

function givenOf(args: readonly string[], readOnly: boolean): Given {
  const count = integerOf(args[2]!);
  if (count < 0) return refuseCommand("ERR Number of keys can't be negative");
  if (count > args.length - 3) return refuseCommand("ERR Number of keys can't be greater than number of args");
  const names = args.slice(3, 3 + count);
  return { kind: 'script', names, keys: names.map(keyOf), args: args.slice(3 + count), readOnly };
}

function evaluate(args: readonly string[], client: RespClient, readOnly: boolean): Plan {
  const source = checkSource(args[1]!);
  const given = givenOf(args, readOnly);
  const sha = shaOf(source);
  client.context.scripts.add(client.account, sha, source);
  return planOf({ ...given, source, sha });
}

function evaluateSha(args: readonly string[], client: RespClient, readOnly: boolean): Plan {
  const sha = args[1]!.toLowerCase();
  const given = givenOf(args, readOnly);
  const known = client.context.scripts.known(client.account, sha);
  if (known !== undefined) return planOf({ ...given, source: known, sha });
  const script = { ...given, sha };
  return {
    script,
    ...steps((client, done) =>
      client.context.scripts.find(client.account, sha, (source) =>
        source === undefined ? done(noScript) : runAlone(client, { ...script, source }, done),
      ),
    ),
  };
}

function planOf(script: ScriptCall): Plan {
  const known = script.readOnly ? undefined : knownScript(script.sha, script.source)?.(script.keys, script.args);
  if (known !== undefined) return { ...known, script };
  return { script, ...steps((client, done) => runAlone(client, script, done)) };
}

function runAlone(client: RespClient, script: ScriptCall, done: (text: string) => void): void {
  client.context.scripts.run(client, { parts: [script], keys: script.keys }, done);
}

function steps(run: (client: RespClient, done: (text: string) => void) => void): StepsPlan {
  return {
    kind: 'steps',
    start(client, done) {
      run(client, done);
      return undefined;
    },
  };
}

function checkSource(source: string): string {
  if (source.length <= sourceBytesMax) return source;
  return refuseCommand(`ERR a script has at most ${sourceBytesMax} bytes, got ${source.length}`);
}

function script(args: readonly string[]): Plan {
  const given = args.slice(2);
  switch (args[1]!.toLowerCase()) {
    case 'load': {
      if (given.length !== 1) return refuseCommand(syntaxError);
      const source = checkSource(given[0]!);
      return steps((client, done) =>
        client.context.scripts.load(client, source, (wrong, sha) => done(wrong ?? bulk(sha))),
      );
    }
    case 'exists': {
      if (given.length === 0) return refuseCommand("ERR wrong number of arguments for 'script|exists' command");
      return steps((client, done) => exists(given, client, done));
    }
    case 'flush': {
      const [how = 'sync', ...more] = given;
      if (more.length > 0 || !['sync', 'async'].includes(how.toLowerCase()))
        return refuseCommand('ERR SCRIPT FLUSH only support SYNC|ASYNC option');
      return steps((client, done) => client.context.scripts.clear(client.account, () => done(ok)));
    }
    default:
      return refuseCommand(`ERR unknown subcommand '${shownArgument(args[1])}'. Try SCRIPT HELP.`);
  }
}

function exists(shas: readonly string[], client: RespClient, done: (text: string) => void): void {
  const found: string[] = [];
  const next = (): void => {
    const sha = shas[found.length]?.toLowerCase();
    if (sha === undefined) return done(array(found));
    const note = (source: string | undefined): void => {
      found.push(integer(source === undefined ? 0 : 1));
      next();
    };
    if (shaPattern.test(sha)) client.context.scripts.find(client.account, sha, note);
    else note(undefined);
  };
  next();
}

const group = 'scripting';
const keysIn = (args: readonly string[]): readonly string[] => args.slice(3, 3 + Math.max(0, Number(args[2])));
const differs =
  'It sees and changes only its KEYS, on a copy that is written if nothing has changed meanwhile; it may so run more ' +
  'than once. At most 1,000,000 steps of Lua.';
const evalFlags = ['noscript', 'stale', 'movablekeys'] as const;
const base = { group, keysIn, differs } as const;

export const scriptCommands: readonly RespCommandSpec[] = [
  {
    ...base,
    name: 'eval',
    arity: -3,
    flags: evalFlags,
    scope: 'write',
    usage: 'script numkeys [key ...] [arg ...]',
    summary: 'Runs a script in Lua',
    plan: (args, client) => evaluate(args, client, false),
  },
  {
    ...base,
    name: 'evalsha',
    arity: -3,
    flags: evalFlags,
    scope: 'write',
    usage: 'sha1 numkeys [key ...] [arg ...]',
    summary: 'Runs a script by its SHA-1',
    plan: (args, client) => evaluateSha(args, client, false),
  },
  {
    ...base,
    name: 'eval_ro',
    arity: -3,
    flags: [...evalFlags, 'readonly'],
    scope: 'read',
    usage: 'script numkeys [key ...] [arg ...]',
    summary: 'Runs a script that only reads',
    plan: (args, client) => evaluate(args, client, true),
  },
  {
    ...base,
    name: 'evalsha_ro',
    arity: -3,
    flags: [...evalFlags, 'readonly'],
    scope: 'read',
    usage: 'sha1 numkeys [key ...] [arg ...]',
    summary: 'Runs a script that only reads, by its SHA-1',
    plan: (args, client) => evaluateSha(args, client, true),
  },
  {
    name: 'script',
    arity: -2,
    flags: ['noscript', 'stale'],
    group,
    scope: 'any',
    alone: true,
    usage: 'LOAD script | EXISTS sha1 [sha1 ...] | FLUSH [ASYNC | SYNC]',
    summary: 'Loads scripts, asks for them, forgets them',
    differs: 'Scripts belong to an account, which keeps at most 1 MiB of them. KILL and DEBUG are not known.',
    subcommands: ['load', 'exists', 'flush'],
    plan: script,
  },
];
