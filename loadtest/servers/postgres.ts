/**
 * Runs PostgreSQL with a private data directory, on its own Unix socket and TCP on 127.0.0.1. PostgreSQL refuses to
 * run as root; then it runs as the user `postgres`, which the Debian package makes.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Peer, sleep, type LoadedServer, type OnSpawn } from './loaded-server.ts';

export interface PostgresPrograms {
  readonly bin: string;
  readonly version: string;
}

/** Finds the newest version. Debian keeps the programs outside of the PATH, by version. */
export function postgresPrograms(): PostgresPrograms | undefined {
  const base = '/usr/lib/postgresql';
  const versions = fs.existsSync(base) ? fs.readdirSync(base) : [];
  const candidates = versions
    .toSorted((a, b) => Number(b) - Number(a))
    .map((version) => path.join(base, version, 'bin'));
  for (const bin of candidates) {
    if (!['postgres', 'initdb', 'pgbench'].every((program) => fs.existsSync(path.join(bin, program)))) continue;
    const { stdout } = spawnSync(path.join(bin, 'postgres'), ['--version'], { encoding: 'utf8' });
    const version = /([\d.]+)/.exec(stdout)?.[1];
    if (version !== undefined) return { bin, version };
  }
  return undefined;
}

export const postgresUser = 'postgres';

export async function startPostgres(directory: string, port: number, onSpawn: OnSpawn): Promise<LoadedServer> {
  const programs = postgresPrograms();
  if (programs === undefined) throw new Error('PostgreSQL is not installed');
  const identity: { uid?: number; gid?: number } = process.getuid?.() === 0 ? ordinaryUser() : {};
  if (identity.uid !== undefined) {
    fs.chownSync(directory, identity.uid, identity.gid ?? identity.uid);
    allowTraversal(directory);
  }
  const data = path.join(directory, 'data');
  const made = spawnSync(
    path.join(programs.bin, 'initdb'),
    ['-D', data, '-U', postgresUser, '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
    { cwd: directory, encoding: 'utf8', ...identity },
  );
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr.trim()}`);
  const settings = [
    'fsync=on',
    'synchronous_commit=on',
    'max_connections=500',
    'shared_buffers=256MB',
    'max_wal_size=4GB',
  ];
  const args = ['-D', data, '-h', '127.0.0.1', '-p', String(port), '-k', directory];
  for (const setting of settings) args.push('-c', setting);
  const command = path.join(programs.bin, 'postgres');
  const target = { host: '127.0.0.1', port, dialect: 'sql' } as const;
  // SIGINT is a fast shutdown, which ends open connections.
  const peer = await Peer.start({ command, args, directory, ...identity }, target, onSpawn, 'SIGINT');
  for (let tries = 0; tries < 100; tries++) {
    if (runSql(port, 'SELECT 1') === undefined) return peer;
    await sleep(50);
  }
  throw new Error(`PostgreSQL refuses statements: ${runSql(port, 'SELECT 1')}`);
}

/** Runs a statement. Returns the error message, if any. */
export function runSql(port: number, sql: string): string | undefined {
  const args = ['-h', '127.0.0.1', '-p', String(port), '-U', postgresUser, '-d', 'postgres', '-qAt', '-c', sql];
  const { status, stderr, error } = spawnSync('psql', args, { encoding: 'utf8' });
  return status === 0 ? undefined : (error?.message ?? stderr.trim());
}

function ordinaryUser(): { uid: number; gid: number } {
  const line = /^postgres:[^:]*:(\d+):(\d+):/m.exec(fs.readFileSync('/etc/passwd', 'utf8'));
  if (line === null) throw new Error('PostgreSQL refuses to run as root, and there is no user postgres');
  return { uid: Number(line[1]), gid: Number(line[2]) };
}

/** Lets another user pass through the load test's directory, which mkdtemp made for this user only. */
function allowTraversal(directory: string): void {
  const parent = path.dirname(directory);
  fs.chmodSync(parent, fs.statSync(parent).mode | 0o011);
}
