/** A PostgreSQL server of a test: in a temporary folder, on a socket there. It does not run as root. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = '/usr/lib/postgresql';

export interface Postgres {
  readonly url: string;
  readonly data: string;
  readonly port: number;
  readonly folder: string;
  /** Runs SQL as the superuser, and gives what psql prints of it. */
  sql(text: string): Promise<string>;
  start(): Promise<void>;
  /** SIGKILL of the postmaster; its children notice and end. */
  kill(): Promise<void>;
  stop(): Promise<void>;
}

/** @returns undefined, or why there is no server for tests on this machine */
export function whyNoPostgres(): string | undefined {
  if (binaries() === undefined) return `no PostgreSQL server in ${root}: apt-get install postgresql`;
  if (process.getuid?.() === 0 && identity() === undefined)
    return 'PostgreSQL does not run as root, and there is no user postgres';
  return undefined;
}

function binaries(): string | undefined {
  if (!existsSync(root)) return undefined;
  const versions = readdirSync(root).toSorted((a, b) => Number(b) - Number(a));
  return versions.map((version) => join(root, version, 'bin')).find((bin) => existsSync(join(bin, 'postgres')));
}

function identity(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const line = readFileSync('/etc/passwd', 'utf8').match(/^(?:postgres|nobody):[^:]*:(\d+):(\d+):/m);
  return line === null ? undefined : { uid: Number(line[1]), gid: Number(line[2]) };
}

function as(): { readonly uid?: number; readonly gid?: number; readonly cwd: string; readonly env: NodeJS.ProcessEnv } {
  return {
    ...identity(),
    cwd: '/',
    env: { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC', PGOPTIONS: '-c statement_timeout=0' },
  };
}

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'dragonlock-postgres-'));
  const owner = identity();
  if (owner !== undefined) chownSync(folder, owner.uid, owner.gid);
  return folder;
}

export async function newPostgres(settings: readonly string[] = []): Promise<Postgres> {
  const folder = newFolder();
  const data = join(folder, 'data');
  await run(
    join(binaries()!, 'initdb'),
    ['-D', data, '-U', 'dragon', '-A', 'trust', '--no-sync', '-E', 'UTF8', '--no-locale'],
    as(),
  );
  const lines = ['shared_buffers = 16MB', 'max_connections = 60', 'wal_receiver_timeout = 5s', ...settings];
  appendFileSync(join(data, 'postgresql.conf'), `${lines.join('\n')}\n`);
  return serve(folder);
}

/** A standby that streams from the primary under `name`. */
export async function newStandby(primary: Postgres, name: string): Promise<Postgres> {
  const folder = newFolder();
  const source = `host=${primary.folder} port=5432 user=dragon application_name=${name}`;
  await run(
    join(binaries()!, 'pg_basebackup'),
    ['-D', join(folder, 'data'), '-d', source, '-R', '-X', 'stream', '--checkpoint=fast', '--no-sync'],
    as(),
  );
  return serve(folder);
}

async function serve(folder: string): Promise<Postgres> {
  const data = join(folder, 'data');
  const bin = binaries()!;
  let child: ChildProcess | undefined;
  const sql = async (text: string): Promise<string> => {
    const options = ['-h', folder, '-U', 'dragon', '-d', 'postgres', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', text];
    return (await run(join(bin, 'psql'), options, as())).stdout.trim();
  };
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    if (child?.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  };
  const postgres: Postgres = {
    url: `postgres://dragon@/postgres?host=${encodeURIComponent(folder)}`,
    data,
    port: 5432,
    folder,
    sql,
    async start() {
      // The children of a postmaster that was killed may hold the folder for a moment.
      for (let tries = 0; ; tries += 1) {
        child = spawn(join(bin, 'postgres'), ['-D', data, '-k', folder, '-c', 'listen_addresses='], {
          ...as(),
          stdio: 'ignore',
        });
        if (await answers(child, sql)) return;
        if (tries === 50) throw new Error('PostgreSQL does not start');
        await sleep(100);
      }
    },
    kill: () => end('SIGKILL'),
    async stop() {
      await end('SIGQUIT');
      rmSync(folder, { recursive: true, force: true });
    },
  };
  await postgres.start();
  return postgres;
}

async function answers(child: ChildProcess, sql: (text: string) => Promise<string>): Promise<boolean> {
  while (child.exitCode === null && child.signalCode === null) {
    try {
      await sql('select 1');
      return true;
    } catch {
      await sleep(20);
    }
  }
  return false;
}

/** Waits until the SQL gives `t`. */
export async function until(postgres: Postgres, sql: string): Promise<void> {
  for (let tries = 0; tries < 3000; tries += 1) {
    if ((await postgres.sql(sql)) === 't') return;
    await sleep(10);
  }
  throw new Error(`It never became true: ${sql}`);
}
