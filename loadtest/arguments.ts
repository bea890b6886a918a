/** What the command line says, or what is wrong with it. */
import path from 'node:path';
import { parseArgs } from 'node:util';

export const usage = `npm run loadtest -- …

  --quick              under a minute: a few rows, short runs
  --only NAME,…        these rows or groups only; a name may end in *
  --list               names the rows
  --latency MS,…       simulated network of the original table: 0, 1 or 10 (default 1)
  --seconds N          of one timed run (default 5)
  --repeats N          runs of each side, in turn; 3 or more where there is a peer (default 3)
  --no-peers           our server alone
  --target URL         loads a server that is already running, http://host:port; it gets accounts named loadtest-…
  --token TOKEN        for it
  --data-dir DIR       the disk under test (default: the working directory); a directory is made in it and removed
  --generators N       threads or processes of a generator (default: a third of the cores, at least 1)
  --out DIR            where the results go (default: ./loadtest-results): loadtest.json, .html, .md, .svg
  --from FILE          renders the results of that JSON file again, and measures nothing
  --docs               writes the tables of docs/performance.md and the README's picture too
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
  readonly generators: number;
  readonly out: string;
  readonly from: string | undefined;
  readonly docs: boolean;
}

export class BadArguments extends Error {
  override name = 'BadArguments';
}

const latenciesKnown = new Set([0, 1, 10]);

/** @throws BadArguments that says what was wanted. */
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
    seconds: whole('--seconds', flags.seconds, quick ? 1 : 5, 1, 600),
    repeats: whole('--repeats', flags.repeats, 3, 1, 99),
    peers: !(flags['no-peers'] ?? false) && target === undefined,
    target,
    dataDirectory: path.resolve(flags['data-dir'] ?? '.'),
    generators: whole('--generators', flags.generators, Math.max(1, Math.floor(cores / 3)), 1, 64),
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
    throw new BadArguments('--target: the server speaks plain HTTP; TLS in front of it is another thing to measure');
  }
  if (url?.protocol !== 'http:' || url.pathname !== '/' || url.search !== '' || url.username !== '') {
    throw new BadArguments(`--target: wanted http://host:port, not ${text}`);
  }
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) throw new BadArguments('--token: wanted one word of ASCII');
  const port = url.port === '' ? 80 : Number(url.port);
  return { host: url.hostname.replaceAll(/^\[|\]$/g, ''), port, ...(token !== undefined && { token }) };
}

function parseLatency(text: string): number {
  const ms = Number(text);
  if (text === '' || !latenciesKnown.has(ms)) throw new BadArguments(`--latency: wanted 0, 1 or 10, not ${text}`);
  return ms;
}

function whole(flag: string, text: string | undefined, otherwise: number, min: number, max: number): number {
  const value = text === undefined ? otherwise : Number(text);
  if (text !== '' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw new BadArguments(`${flag}: wanted a whole number from ${min} to ${max}, not ${text}`);
}

/** @throws BadArguments for a name that fits nothing. */
export function choose<Named extends { readonly name: string; readonly group: string }>(
  all: readonly Named[],
  names: readonly string[],
): readonly Named[] {
  if (names.length === 0) return all;
  const fits = ({ name, group }: Named, wanted: string): boolean =>
    wanted.endsWith('*') ? name.startsWith(wanted.slice(0, -1)) : name === wanted || group === wanted;
  for (const wanted of names) {
    if (!all.some((row) => fits(row, wanted))) throw new BadArguments(`There is no row ${wanted}; --list names them`);
  }
  return all.filter((row) => names.some((wanted) => fits(row, wanted)));
}
