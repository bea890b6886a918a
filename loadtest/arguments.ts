/** Parses the command line of the load test. */
import path from 'node:path';
import { parseArgs } from 'node:util';
import { queuePeersDefault } from './servers/queue-packages.ts';

export const usage = `npm run loadtest -- …

  --quick              under a minute: a few rows, short runs
  --only NAME,…        these rows or groups only; a name may end in *
  --list               names the rows
  --latency MS,…       simulated network latency of the original table: 0, 1 or 10 (default 1)
  --seconds N          length of a timed run (default 5)
  --repeats N          timed runs of each contestant, in turn; take 3 or more to compare with peers (default 3)
  --no-peers           only Dragon Lock
  --target URL         loads a running server, http://host:port; leaves accounts named loadtest-… there
  --token TOKEN        bearer token for --target
  --data-dir DIR       the disk under test (default: the working directory); makes a directory in it and removes it
  --queue-peers DIR    where bullmq, graphile-worker and pg-boss are installed (default: loadtest/peers)
  --generators N       threads or processes of the load generator (default: a third of the cores, at least 1)
  --out DIR            directory for loadtest.json, .html, .md and .svg (default: ./loadtest-results)
  --from FILE          renders the results in a JSON file again, without measuring
  --docs               also writes the tables of docs/performance.md and the README's picture
`;

export interface Arguments {
  readonly quick: boolean;
  readonly only: readonly string[];
  readonly list: boolean;
  readonly help: boolean;
  readonly latencies: readonly number[];
  readonly seconds: number;
  readonly repeats: number;
  readonly peers: boolean;
  readonly target: { readonly host: string; readonly port: number; readonly token?: string } | undefined;
  readonly dataDirectory: string;
  readonly queuePeers: string;
  readonly generators: number;
  readonly out: string;
  readonly from: string | undefined;
  readonly docs: boolean;
}

export class BadArguments extends Error {
  override name = 'BadArguments';
}

const latenciesKnown = new Set([0, 1, 10]);

/** @throws BadArguments that says what was expected. */
export function parseArguments(argv: readonly string[], cores: number): Arguments {
  const flags = readFlags(argv);
  const quick = flags.quick ?? false;
  const target = flags.target === undefined ? undefined : parseTarget(flags.target, flags.token);
  if (target === undefined && flags.token !== undefined) throw new BadArguments('--token goes with --target');
  return {
    quick,
    only: (flags.only ?? []).flatMap((names) => names.split(',')).filter((name) => name !== ''),
    list: flags.list ?? false,
    help: flags.help ?? false,
    latencies: (flags.latency ?? '1').split(',').map(parseLatency),
    seconds: integer('--seconds', flags.seconds, { fallback: quick ? 1 : 5, min: 1, max: 600 }),
    repeats: integer('--repeats', flags.repeats, { fallback: 3, min: 1, max: 99 }),
    peers: !(flags['no-peers'] ?? false) && target === undefined,
    target,
    dataDirectory: path.resolve(flags['data-dir'] ?? '.'),
    queuePeers: path.resolve(flags['queue-peers'] ?? queuePeersDefault),
    generators: integer('--generators', flags.generators, {
      fallback: Math.max(1, Math.floor(cores / 3)),
      min: 1,
      max: 64,
    }),
    out: path.resolve(flags.out ?? 'loadtest-results'),
    from: flags.from,
    docs: flags.docs ?? false,
  };
}

function readFlags(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        quick: { type: 'boolean' },
        only: { type: 'string', multiple: true },
        list: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
        latency: { type: 'string' },
        seconds: { type: 'string' },
        repeats: { type: 'string' },
        'no-peers': { type: 'boolean' },
        target: { type: 'string' },
        token: { type: 'string' },
        'data-dir': { type: 'string' },
        'queue-peers': { type: 'string' },
        generators: { type: 'string' },
        out: { type: 'string' },
        from: { type: 'string' },
        docs: { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    throw new BadArguments(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function parseTarget(text: string, token: string | undefined): NonNullable<Arguments['target']> {
  const url = URL.parse(text);
  if (url?.protocol === 'https:') {
    throw new BadArguments('--target: the server speaks plain HTTP; the load test does not measure TLS');
  }
  if (url?.protocol !== 'http:' || url.pathname !== '/' || url.search !== '' || url.username !== '') {
    throw new BadArguments(`--target: expected http://host:port, got ${text}`);
  }
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
    throw new BadArguments('--token: expected one word of ASCII');
  const port = url.port === '' ? 80 : Number(url.port);
  return { host: url.hostname.replaceAll(/^\[|\]$/g, ''), port, ...(token !== undefined && { token }) };
}

function parseLatency(text: string): number {
  const ms = Number(text);
  if (text === '' || !latenciesKnown.has(ms)) throw new BadArguments(`--latency: expected 0, 1 or 10, got ${text}`);
  return ms;
}

interface Range {
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
}

function integer(flag: string, text: string | undefined, { fallback, min, max }: Range): number {
  const value = text === undefined ? fallback : Number(text);
  if (text !== '' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw new BadArguments(`${flag}: expected a whole number from ${min} to ${max}, got ${text}`);
}

/** Selects by name, by group, or by a prefix that ends in `*`. @throws BadArguments for a name that matches nothing. */
export function choose<Named extends { readonly name: string; readonly group: string }>(
  all: readonly Named[],
  names: readonly string[],
): readonly Named[] {
  if (names.length === 0) return all;
  const matches = ({ name, group }: Named, pattern: string): boolean =>
    pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern || group === pattern;
  for (const pattern of names) {
    if (!all.some((row) => matches(row, pattern)))
      throw new BadArguments(`There is no row ${pattern}; --list names them`);
  }
  return all.filter((row) => names.some((pattern) => matches(row, pattern)));
}
