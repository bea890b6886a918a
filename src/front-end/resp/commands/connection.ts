/** The connection itself: logging in, protocol, names. */
import { isIPv6 } from 'node:net';
import { integerOf, shownArgument, syntaxError } from '../argument.ts';
import { text, type RespCommandSpec, type Plan, type RespClient } from '../command.ts';
import { refuseCommand } from '../resp-error.ts';
import { array, bulk, bytesOf, integer, ok, simple } from '../writer.ts';

const databasesMax = 16;

function hello(args: readonly string[], client: RespClient): Plan {
  let protocol = client.writer.protocol;
  if (args.length > 1) {
    if (!/^\d{1,9}$/.test(args[1]!)) return refuseCommand('ERR Protocol version is not an integer or out of range');
    if (args[1] !== '2' && args[1] !== '3') return refuseCommand('NOPROTO unsupported protocol version');
    protocol = args[1] === '3' ? 3 : 2;
  }
  let name: string | undefined;
  for (let at = 2; at < args.length; at += 1) {
    const option = args[at]!.toUpperCase();
    if (option === 'AUTH' && at + 2 < args.length) {
      client.logIn(args[at + 1], args[at + 2]!);
      at += 2;
    } else if (option === 'SETNAME' && at + 1 < args.length) {
      name = checkedName(args[at + 1]!);
      at += 1;
    } else return refuseCommand(`ERR Syntax error in HELLO option '${shownArgument(args[at])}'`);
  }
  if (client.access === undefined)
    return refuseCommand(
      'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time',
    );
  if (name !== undefined) client.state.name = name;
  client.setProtocol(protocol);
  const { context, id, writer } = client;
  return text(
    writer.fields({
      server: bulk('redis'),
      version: bulk(redisVersion),
      proto: integer(protocol),
      id: integer(id),
      mode: bulk('standalone'),
      role: bulk('master'),
      modules: array([]),
      dragonlock: bulk(context.version),
    }),
  );
}

/** The version whose commands and errors these are: clients look at it to know what they may send. */
export const redisVersion = '7.0.15';

function auth(args: readonly string[], client: RespClient): Plan {
  if (args.length > 3) return refuseCommand(syntaxError);
  if (args.length === 3) client.logIn(args[1], args[2]!);
  else client.logIn(undefined, args[1]!);
  return text(ok);
}

function checkedName(name: string): string {
  if (!/^[!-~]*$/.test(name) || name.length > 256)
    return refuseCommand('ERR Client names cannot contain spaces, newlines or special characters.');
  return name;
}

/** One line about a connection, as CLIENT LIST has it. */
export function clientLine(client: RespClient, nowMs: number): string {
  const { id, address, state, writer, context } = client;
  const host = address.replace(/^::ffff:/, '');
  const queued = state.queue === undefined ? -1 : state.queue.commands.length;
  const fields = {
    id,
    addr: isIPv6(host) ? `[${host}]` : host,
    laddr: `:${context.port()}`,
    name: state.name,
    age: Math.floor((nowMs - state.since) / 1000),
    idle: 0,
    flags: queued >= 0 ? 'x' : 'N',
    db: state.index,
    multi: queued,
    watch: state.watched.size,
    cmd: state.lastCommand === '' ? 'NULL' : state.lastCommand,
    user: client.account,
    'lib-name': state.libraryName,
    'lib-ver': state.libraryVersion,
    resp: writer.protocol,
  };
  return Object.entries(fields)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}

const clientHelp = [
  'CLIENT <subcommand> [<arg> ...]. Subcommands are:',
  'GETNAME, SETNAME name, SETINFO LIB-NAME | LIB-VER value: names of this connection.',
  'ID, INFO: this connection. LIST: those of this account at the same front end.',
  'REPLY ON | OFF | SKIP: whether replies are written.',
  'NO-EVICT, NO-TOUCH: accepted; nothing is evicted.',
];

const clientSubcommands: Readonly<Record<string, (args: readonly string[], client: RespClient) => Plan>> = {
  id: (_args, client) => text(integer(client.id)),
  getname: (_args, { state, writer }) => text(state.name === '' ? writer.nil : bulk(state.name)),
  setname(args, { state }) {
    state.name = checkedName(args[2] ?? '');
    return text(ok);
  },
  setinfo(args, { state }) {
    const option = args[2]?.toLowerCase();
    const value = args[3] ?? '';
    if (!/^[!-~]*$/.test(value) || value.length > 256)
      return refuseCommand(`ERR ${shownArgument(option)} cannot contain spaces, newlines or special characters.`);
    if (option === 'lib-name') state.libraryName = value;
    else if (option === 'lib-ver') state.libraryVersion = value;
    else return refuseCommand(`ERR Unrecognized option '${shownArgument(args[2])}'`);
    return text(ok);
  },
  info: (_args, client) =>
    text(client.writer.verbatim(bytesOf(`${clientLine(client, client.context.metrics.now())}\n`))),
  list(_args, { context, account, writer }) {
    const lines = [...context.clients]
      .filter((other) => other.account === account)
      .map((other) => clientLine(other, context.metrics.now()));
    return text(writer.verbatim(bytesOf(lines.map((line) => `${line}\n`).join(''))));
  },
  reply(args, self) {
    const { state } = self;
    const how = args[2]?.toLowerCase();
    if (how === 'on') {
      // This one has begun as one that is not answered.
      const begunSilent = state.replies !== 'on';
      state.replies = 'on';
      if (begunSilent) self.push(ok);
      return text(ok);
    }
    if (how !== 'off' && how !== 'skip') return refuseCommand(syntaxError);
    if (how === 'off') state.replies = 'off';
    else if (state.replies === 'on') state.replies = 'skip next';
    return text('');
  },
  'no-evict': (args) => onOrOff(args[2]),
  'no-touch': (args) => onOrOff(args[2]),
  help: () => text(array(clientHelp.map(simple))),
};

function onOrOff(argument: string | undefined): Plan {
  return /^(on|off)$/i.test(argument ?? '') ? text(ok) : refuseCommand(syntaxError);
}

function client(args: readonly string[], self: RespClient): Plan {
  const name = args[1]!.toLowerCase();
  const known = Object.hasOwn(clientSubcommands, name) ? clientSubcommands[name] : undefined;
  if (known === undefined) return refuseCommand(`ERR unknown subcommand '${shownArgument(args[1])}'. Try CLIENT HELP.`);
  return known(args, self);
}

const group = 'connection';
const early = ['noscript', 'loading', 'stale', 'fast'] as const;

export const connectionCommands: readonly RespCommandSpec[] = [
  {
    name: 'hello',
    arity: -1,
    flags: [...early, 'no_auth', 'allow_busy'],
    group,
    scope: 'none',
    usage: '[2 | 3 [AUTH account token] [SETNAME name]]',
    summary: 'Chooses the protocol, and logs in',
    differs: '`version` is that of the Redis whose commands these are; `dragonlock` has the version of the server.',
    alone: true,
    subscribed: true,
    plan: hello,
  },
  {
    name: 'auth',
    arity: -2,
    flags: [...early, 'no_auth', 'allow_busy'],
    group,
    scope: 'none',
    usage: '[account] token',
    summary: 'Logs in',
    differs:
      'The user is an account. The token alone will do if it is for just one account. Without tokens in config.yml any ' +
      'token is right, and the account is the one that is named.',
    alone: true,
    plan: auth,
  },
  {
    name: 'select',
    arity: 2,
    flags: ['loading', 'stale', 'fast'],
    group,
    scope: 'any',
    usage: 'index',
    summary: 'Chooses the account',
    differs:
      '`SELECT 0` is the account itself, `SELECT n` (1 to 15) the account `<name>.n`. Not within MULTI or WATCH.',
    alone: true,
    plan(args, self) {
      const index = integerOf(args[1]!, 'ERR invalid DB index');
      if (index < 0 || index >= databasesMax) return refuseCommand('ERR DB index is out of range');
      self.select(index);
      return text(ok);
    },
  },
  {
    name: 'ping',
    arity: -1,
    flags: ['fast'],
    group,
    scope: 'any',
    usage: '[message]',
    summary: 'Answers',
    subscribed: true,
    plan(args, { subscriptions, writer }) {
      if (args.length > 2) return refuseCommand("ERR wrong number of arguments for 'ping' command");
      if (subscriptions.count > 0 && writer.protocol === 2) return text(array([bulk('pong'), bulk(args[1] ?? '')]));
      return text(args.length === 1 ? pong : bulk(args[1]!));
    },
  },
  {
    name: 'echo',
    arity: 2,
    flags: ['fast', 'loading', 'stale'],
    group,
    scope: 'any',
    usage: 'message',
    summary: 'Answers with the message',
    plan: (args) => text(bulk(args[1]!)),
  },
  {
    name: 'quit',
    arity: -1,
    flags: [...early, 'no_auth', 'allow_busy'],
    group,
    scope: 'none',
    usage: '',
    summary: 'Closes the connection after all replies',
    immediate: true,
    subscribed: true,
    plan(_args, self) {
      self.quit();
      return text(ok);
    },
  },
  {
    name: 'reset',
    arity: 1,
    flags: [...early, 'no_auth', 'allow_busy'],
    group,
    scope: 'none',
    usage: '',
    summary: 'Makes the connection as it was when it was opened',
    immediate: true,
    subscribed: true,
    plan(_args, self) {
      self.reset();
      return text(simple('RESET'));
    },
  },
  {
    name: 'client',
    arity: -2,
    flags: ['noscript', 'loading', 'stale'],
    group,
    scope: 'any',
    usage: 'ID | INFO | LIST | GETNAME | SETNAME name | SETINFO option value | REPLY how | NO-EVICT how | NO-TOUCH how',
    summary: 'About this connection',
    differs: 'LIST has the connections of the account at the same front end. No KILL, PAUSE, TRACKING, UNBLOCK.',
    subcommands: Object.keys(clientSubcommands),
    plan: client,
  },
];

const pong = '+PONG\r\n';
