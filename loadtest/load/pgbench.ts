/** Runs pgbench, PostgreSQL's generator, with a script for each row. */
import { spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { childMicros } from '../process-stats.ts';
import { postgresPrograms, postgresUser, runSql } from '../servers/postgres.ts';
import { LatencyHistogram } from './histogram.ts';
import { LoadFailed, type LoadClock, type LoadResult } from './load-spec.ts';
import { latencyOf } from './generator.ts';

export interface PgScript {
  readonly lines: readonly string[];
  prepare(port: number): Promise<void>;
}

/** The table has all rows before the run, so that each write is an update. */
export function updateScript(rows: number, bytes: number): PgScript {
  return {
    lines: [`\\set k random(1, ${rows})`, `UPDATE kv SET v = '${'v'.repeat(bytes)}' WHERE k = :k;`],
    async prepare(port) {
      const rowsSql = `SELECT k, repeat('v', ${bytes}) FROM generate_series(1, ${rows}) k`;
      const sql = `CREATE TABLE kv (k int PRIMARY KEY, v text NOT NULL); INSERT INTO kv ${rowsSql}`;
      const wrong = runSql(port, sql);
      if (wrong !== undefined) throw new Error(`PostgreSQL: ${wrong}`);
    },
  };
}

/**
 * Advisory locks live in memory and end with their connection, as mutexes do. A pair is one transaction of pgbench.
 */
export function advisoryLockScript(keys: number): PgScript {
  return {
    lines: [`\\set k random(1, ${keys})`, 'SELECT pg_advisory_lock(:k);', 'SELECT pg_advisory_unlock(:k);'],
    async prepare() {
      // Advisory locks need no table.
    },
  };
}

/** The rows are locked in the order of their numbers, so that two transfers never wait for each other in a ring. */
export function transferScript(rows: number): PgScript {
  return {
    lines: [`\\set a random(1, ${rows})`, `\\set b random(1, ${rows})`, 'SELECT transfer(:a, :b, 1);'],
    async prepare(port) {
      const table = `CREATE TABLE acct (k int PRIMARY KEY, balance bigint NOT NULL);
        INSERT INTO acct SELECT k, 1000000 FROM generate_series(1, ${rows}) k;`;
      const transfer = `CREATE FUNCTION transfer(a int, b int, n int) RETURNS bigint LANGUAGE plpgsql AS $$
        DECLARE left_over bigint;
        BEGIN
          PERFORM 1 FROM acct WHERE k IN (a, b) ORDER BY k FOR UPDATE;
          SELECT balance INTO left_over FROM acct WHERE k = a;
          IF left_over < n THEN RAISE EXCEPTION 'insufficient'; END IF;
          UPDATE acct SET balance = balance - n WHERE k = a;
          UPDATE acct SET balance = balance + n WHERE k = b;
          RETURN left_over - n;
        END $$;`;
      const wrong = runSql(port, table + transfer);
      if (wrong !== undefined) throw new Error(`PostgreSQL: ${wrong}`);
    },
  };
}

export interface PgLoad {
  readonly port: number;
  readonly script: PgScript;
  readonly connections: number;
  readonly seconds: number;
  readonly threads: number;
}

/** Share of transactions that pgbench logs. A log of hundreds of thousands would become part of the load. */
const loggedShare = 0.1;

export async function runPgbench(
  { port, script, connections, seconds, threads }: PgLoad,
  clock: LoadClock,
  { directory, onSpawn }: { directory: string; onSpawn: (process: ChildProcess) => void },
): Promise<LoadResult> {
  const file = path.join(directory, 'script.sql');
  fs.writeFileSync(file, `${script.lines.join('\n')}\n`);
  const jobs = Math.min(threads, connections);
  const words: readonly (string | number)[] = [
    '-h',
    '127.0.0.1',
    '-p',
    port,
    '-U',
    postgresUser,
    '-n',
    '-M',
    'prepared',
  ];
  const load: readonly (string | number)[] = ['-c', connections, '-j', jobs, '-T', seconds, '-f', file];
  const log = ['-l', '--log-prefix', path.join(directory, 'log'), '--sampling-rate', String(loggedShare), 'postgres'];
  const cpuBefore = childMicros();
  await clock.started();
  const program = path.join(postgresPrograms()!.bin, 'pgbench');
  const child = spawn(program, [...words.map(String), ...load.map(String), ...log], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onSpawn(child);
  const exited = new Promise((resolve) => child.once('close', resolve));
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
  await clock.ended();
  await exited;
  const cpuSeconds = (childMicros() - cpuBefore) / 1e6;
  const micros = fs
    .readdirSync(directory)
    .filter((name) => name.startsWith('log.'))
    .flatMap((name) => readLog(fs.readFileSync(path.join(directory, name), 'utf8')));
  return readPgbenchResult(`${output}\n${errors}`, micros, jobs, cpuSeconds);
}

/** Each line: client, transaction, microseconds, … */
function readLog(lines: string): number[] {
  return lines
    .split('\n')
    .map((line) => Number(line.split(' ')[2]))
    .filter((micros) => micros > 0);
}

export function readPgbenchResult(
  output: string,
  micros: readonly number[],
  jobs: number,
  cpuSeconds: number,
): LoadResult {
  const requests = Number(/number of transactions actually processed: (\d+)/.exec(output)?.[1]);
  const perSecond = Number(/^tps = ([\d.]+)/m.exec(output)?.[1]);
  const failed = Number(/number of failed transactions: (\d+)/.exec(output)?.[1] ?? 0);
  if (!(requests > 0 && perSecond > 0) || failed > 0) {
    const lines = output
      .trim()
      .split('\n')
      .filter((line) => /error|fatal|transactions/i.test(line));
    throw new LoadFailed(`pgbench failed: ${lines.slice(0, 3).join('; ')}`);
  }
  const latency = new LatencyHistogram();
  for (const one of micros) latency.record(one);
  const seconds = requests / perSecond;
  return {
    seconds,
    requests,
    units: requests,
    ...(micros.length > 0 && { latency: latencyOf(latency) }),
    generator: { name: `pgbench -j${jobs}`, cores: cpuSeconds / seconds, coresMax: jobs },
  };
}
