/** The server: what clients and tools ask before they begin, and commands that have one answer here. */
import { integerBetween, shownArgument, syntaxError } from '../argument.ts';
import { text, type RespCommandSpec, type Plan, type RespClient } from '../command.ts';
import { matches } from '../glob.ts';
import { checkPattern } from '../key-pages.ts';
import { refuseCommand } from '../resp-error.ts';
import { array, bulk, bytesOf, integer, ok } from '../writer.ts';
import { redisVersion } from './connection.ts';
import { commandInfo, docsOf, keysOf } from './table-replies.ts';

function command(args: readonly string[], client: RespClient): Plan {
  const { commands } = client.context;
  const { writer } = client;
  const all = [...commands.values()];
  const wanted = args.slice(2).map((name) => commands.get(name.toLowerCase()));
  switch (args[1]?.toLowerCase()) {
    case undefined:
      return text(array(all.map((spec) => commandInfo(spec, writer))));
    case 'count':
      return text(integer(all.length));
    case 'info': {
      const specs = args.length === 2 ? all : wanted;
      return text(array(specs.map((spec) => (spec === undefined ? writer.nilArray : commandInfo(spec, writer)))));
    }
    case 'docs': {
      const specs = args.length === 2 ? all : wanted.filter((spec) => spec !== undefined);
      return text(writer.map(specs.flatMap((spec) => [bulk(spec.name), docsOf(spec, writer)])));
    }
    case 'list':
      return text(array(namesFor(args.slice(2), all).map(bulk)));
    case 'getkeys':
      return text(array(keysOf(args.slice(2), commands).map(bulk)));
    default:
      return refuseCommand(`ERR unknown subcommand '${shownArgument(args[1])}'. Try COMMAND HELP.`);
  }
}

function namesFor(filter: readonly string[], all: readonly RespCommandSpec[]): string[] {
  const names = all.map(({ name }) => name);
  if (filter.length === 0) return names;
  if (filter.length !== 3 || filter[0]!.toUpperCase() !== 'FILTERBY') return refuseCommand(syntaxError);
  const [, how, value] = filter as readonly [string, string, string];
  switch (how.toUpperCase()) {
    case 'PATTERN':
      checkPattern(value);
      return names.filter((name) => matches(value, name, true));
    case 'ACLCAT':
      return all
        .filter(({ flags }) =>
          flags.includes((value.toLowerCase() === 'read' ? 'readonly' : value.toLowerCase()) as never),
        )
        .map(({ name }) => name);
    case 'MODULE':
      return [];
    default:
      return refuseCommand(syntaxError);
  }
}

type Fields = Readonly<Record<string, string | number>>;

function infoSections({ context }: RespClient): Readonly<Record<string, Fields>> {
  const { version, boot, lifecycle, metrics, clients } = context;
  const seconds = Math.floor(metrics.now() / 1000);
  return {
    Server: {
      redis_version: redisVersion,
      dragonlock_version: version,
      redis_mode: 'standalone',
      os: process.platform,
      arch_bits: 64,
      process_id: process.pid,
      run_id: boot,
      tcp_port: context.port(),
      uptime_in_seconds: seconds,
      server_time_usec: context.serverTime() * 1000,
    },
    Clients: { connected_clients: clients.size, blocked_clients: 0 },
    Memory: { used_memory: process.memoryUsage.rss(), maxmemory: 0, maxmemory_policy: 'noeviction' },
    Persistence: {
      loading: lifecycle.state() === 'starting' ? 1 : 0,
      async_loading: 0,
      rdb_changes_since_last_save: 0,
      rdb_bgsave_in_progress: 0,
      aof_enabled: 1,
      aof_rewrite_in_progress: 0,
    },
    Stats: { total_connections_received: 0, total_commands_processed: 0, expired_keys: 0, evicted_keys: 0 },
    Replication: { role: 'master', connected_slaves: 0, master_repl_offset: 0 },
    Cluster: { cluster_enabled: 0 },
  };
}

const infoAll: ReadonlySet<string> = new Set(['all', 'everything', 'default']);

function info(args: readonly string[], client: RespClient): Plan {
  const wanted = args.slice(1).map((name) => name.toLowerCase());
  const everything = wanted.length === 0 || wanted.some((name) => infoAll.has(name));
  const sections = Object.entries(infoSections(client)).filter(
    ([name]) => everything || wanted.includes(name.toLowerCase()),
  );
  const lines = sections.map(([name, fields]) => {
    const rows = Object.entries(fields).map(([field, value]) => `${field}:${value}\r\n`);
    return `# ${name}\r\n${rows.join('')}`;
  });
  return text(client.writer.verbatim(bytesOf(lines.join('\r\n'))));
}

/** What tools look at before they begin. */
const settings: Readonly<Record<string, (client: RespClient) => string>> = {
  appendonly: () => 'yes',
  appendfsync: () => 'always',
  save: () => '',
  databases: () => '16',
  maxmemory: () => '0',
  'maxmemory-policy': () => 'noeviction',
  'notify-keyspace-events': () => 'KEg$x',
  'proto-max-bulk-len': ({ context }) => String(context.limits.value_bytes_max),
  timeout: () => '0',
  'tcp-keepalive': () => '300',
  'cluster-enabled': () => 'no',
  maxclients: ({ context }) => String(context.limits.connections_max),
};

function config(args: readonly string[], client: RespClient): Plan {
  const name = args[1]!.toLowerCase();
  if (name === 'resetstat' && args.length === 2) return text(ok);
  if (name !== 'get')
    return refuseCommand(
      `ERR CONFIG ${shownArgument(args[1]).toUpperCase()} failed - nothing can be set here: edit config.yml`,
    );
  const patterns = args.slice(2);
  if (patterns.length === 0) return refuseCommand("ERR wrong number of arguments for 'config|get' command");
  patterns.forEach(checkPattern);
  const found = Object.entries(settings).filter(([key]) => patterns.some((pattern) => matches(pattern, key, true)));
  return text(client.writer.map(found.flatMap(([key, value]) => [bulk(key), bulk(value(client))])));
}

function functions(args: readonly string[]): Plan {
  const name = args[1]!.toLowerCase();
  if (name === 'flush') return text(ok);
  if (name === 'list') return text(array([]));
  return refuseCommand('ERR functions are not supported: expected FUNCTION FLUSH or FUNCTION LIST');
}

const group = 'server';
const plain = { group, scope: 'any', flags: ['loading', 'stale'] } as const;

/** Commands that are known, so that a client learns why they are refused. */
const refused = { group, scope: 'any', flags: ['admin', 'noscript'], arity: -1, usage: '…', alone: true } as const;

function refusal(name: string, why: string): RespCommandSpec {
  const plan = (): Plan => refuseCommand(`ERR ${name.toUpperCase()} is not possible here: ${why}`);
  return { ...refused, name, summary: 'Refused', differs: `Always refused: ${why}.`, plan };
}

export const serverCommands: readonly RespCommandSpec[] = [
  refusal('save', 'what is answered is on disk'),
  refusal('shutdown', 'the server ends on SIGTERM'),
  refusal('monitor', 'it would show what others send'),
  refusal('debug', 'it is for the servers of Redis'),
  {
    ...plain,
    name: 'command',
    arity: -1,
    usage: '[COUNT | INFO name … | DOCS name … | LIST [FILTERBY …] | GETKEYS command …]',
    summary: 'About the commands',
    subcommands: ['count', 'info', 'docs', 'list', 'getkeys'],
    plan: command,
  },
  {
    ...plain,
    name: 'info',
    arity: -1,
    usage: '[section …]',
    summary: 'About the server',
    differs: 'What clients look at; the figures are in /metrics.',
    plan: info,
  },
  {
    ...plain,
    flags: ['admin', 'noscript', 'loading', 'stale'],
    name: 'config',
    arity: -2,
    usage: 'GET pattern … | RESETSTAT',
    summary: 'Reads settings',
    differs: 'A few settings with fixed values; nothing can be set.',
    subcommands: ['get', 'resetstat'],
    plan: config,
  },
  {
    ...plain,
    flags: ['loading', 'stale', 'fast'],
    name: 'time',
    arity: 1,
    usage: '',
    summary: "The server's time",
    differs: 'In whole milliseconds; it never jumps.',
    plan(_args, { context }) {
      const ms = context.serverTime();
      return text(array([bulk(String(Math.floor(ms / 1000))), bulk(String((ms % 1000) * 1000))]));
    },
  },
  {
    ...plain,
    name: 'role',
    arity: 1,
    usage: '',
    summary: 'Always a master',
    plan: () => text(array([bulk('master'), integer(0), array([])])),
  },
  {
    ...plain,
    flags: ['noscript', 'blocking'],
    name: 'wait',
    arity: 3,
    usage: 'replicas ms',
    summary: 'Waits for replicas',
    differs: 'There are none: answers 0 at once.',
    plan(args) {
      integerBetween(args[1]!, 0);
      integerBetween(args[2]!, 0);
      return text(integer(0));
    },
  },
  {
    ...plain,
    flags: ['noscript', 'blocking'],
    name: 'waitaof',
    arity: 4,
    usage: 'local replicas ms',
    summary: 'Waits for the disk',
    differs: 'Answers `1 0` at once: what has been answered is on disk.',
    plan: () => text(array([integer(1), integer(0)])),
  },
  {
    ...plain,
    flags: ['noscript'],
    name: 'function',
    arity: -2,
    usage: 'FLUSH | LIST',
    summary: 'Functions',
    differs: 'There are none.',
    subcommands: ['flush', 'list'],
    plan: functions,
  },
  {
    ...plain,
    flags: ['stale'],
    name: 'cluster',
    arity: -2,
    usage: '…',
    summary: 'Cluster',
    differs: 'Always refused: cluster support is disabled.',
    plan: () => refuseCommand('ERR This instance has cluster support disabled'),
  },
  {
    ...plain,
    name: 'swapdb',
    arity: 3,
    usage: '…',
    summary: 'Swaps two databases',
    differs: 'Always refused: they are accounts.',
    plan: () => refuseCommand('ERR SWAPDB is not possible: databases are accounts'),
  },
];
