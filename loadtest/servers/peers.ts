/**
 * The alternatives to Dragon Lock. Each is configured to answer a write when it is on disk, as far as the server can.
 * The load test leaves out the rows of a server that is not installed, and names the Debian package for it.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { unreachable } from '../../src/shared/assert.ts';
import { openNats } from '../load/line-connection.ts';
import { freePort, Peer, type LoadedServer, type OnSpawn } from './loaded-server.ts';
import { startPostgres, postgresPrograms } from './postgres.ts';
import type { Target } from '../load/types.ts';

export type PeerKind = 'redis' | 'etcd' | 'nats' | 'postgres';

export interface Installed {
  readonly kind: PeerKind;
  readonly version: string;
  /** The meaning of "durable" there. */
  readonly durability: string;
}

export interface Missing {
  readonly kind: PeerKind;
  readonly program: string;
  readonly install: string;
}

const titles = { redis: 'Redis', etcd: 'etcd', nats: 'NATS JetStream KV', postgres: 'PostgreSQL' } as const;
const packages = {
  redis: 'redis-server redis-tools',
  etcd: 'etcd-server',
  nats: 'nats-server',
  postgres: 'postgresql',
} as const;

/** etcd keeps every version until it is compacted; its default limit of 2 GiB would end a long run of large values. */
const etcdQuotaBytes = 8 * 1024 ** 3;

export function peerTitle(kind: PeerKind): string {
  return titles[kind];
}

export function findPeer(kind: PeerKind): Installed | Missing {
  const missing = (program: string): Missing => ({ kind, program, install: `apt-get install ${packages[kind]}` });
  switch (kind) {
    case 'redis': {
      const version = versionOf('redis-server', '--version', /v=([\d.]+)/);
      if (version === undefined) return missing('redis-server');
      if (versionOf('redis-benchmark', '--version', /([\d.]+)/) === undefined) return missing('redis-benchmark');
      return { kind, version, durability: 'appendonly, appendfsync always' };
    }
    case 'etcd': {
      const version = versionOf('etcd', '--version', /Version: ([\d.]+)/);
      if (version === undefined) return missing('etcd');
      return { kind, version, durability: 'one member, WAL synced before each answer' };
    }
    case 'nats': {
      const version = versionOf('nats-server', '--version', /v([\d.]+)/);
      if (version === undefined) return missing('nats-server');
      const durability = natsCanSync(version)
        ? 'sync_interval: always'
        : `NOT durable: ${version} answers before fsync (sync_interval came with 2.10)`;
      return { kind, version, durability };
    }
    case 'postgres': {
      const programs = postgresPrograms();
      if (programs === undefined) return missing('postgres, initdb and pgbench');
      return { kind, version: programs.version, durability: 'fsync and synchronous_commit on' };
    }
    default:
      return unreachable(kind);
  }
}

export async function startPeer(kind: PeerKind, directory: string, onSpawn: OnSpawn): Promise<LoadedServer> {
  fs.mkdirSync(directory, { recursive: true });
  const port = await freePort();
  const host = '127.0.0.1';
  switch (kind) {
    case 'redis': {
      const words: readonly (string | number)[] = ['--bind', host, '--port', port, '--dir', directory, '--save', ''];
      const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--maxclients', '11000'];
      const debug = ['--enable-debug-command', 'local', '--daemonize', 'no'];
      const args = [...words.map(String), ...durable, ...debug];
      return Peer.start({ command: 'redis-server', args, directory }, { host, port, dialect: 'redis' }, onSpawn);
    }
    case 'etcd': {
      const [clients, peers] = [`http://${host}:${port}`, `http://${host}:${await freePort()}`];
      const args = ['--data-dir', path.join(directory, 'etcd'), '--listen-client-urls', clients];
      args.push(
        '--advertise-client-urls',
        clients,
        '--listen-peer-urls',
        peers,
        '--initial-advertise-peer-urls',
        peers,
      );
      args.push('--initial-cluster', `default=${peers}`, '--quota-backend-bytes', String(etcdQuotaBytes));
      const peer = await Peer.start({ command: 'etcd', args, directory }, { host, port, dialect: 'etcd' }, onSpawn);
      await untilEtcdWrites(port);
      return peer;
    }
    case 'nats': {
      const found = findPeer('nats');
      const always = 'version' in found && natsCanSync(found.version) ? '\n  sync_interval: always' : '';
      const config = path.join(directory, 'nats.conf');
      const stream = `jetstream {\n  store_dir: ${JSON.stringify(directory)}${always}\n}\n`;
      fs.writeFileSync(config, `listen: ${host}:${port}\n${stream}`);
      return Peer.start(
        { command: 'nats-server', args: ['-c', config], directory },
        { host, port, dialect: 'nats' },
        onSpawn,
      );
    }
    case 'postgres':
      return startPostgres(directory, port, onSpawn);
    default:
      return unreachable(kind);
  }
}

/** Waits for the election, before which etcd listens but refuses writes. */
async function untilEtcdWrites(port: number): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const body = '{"key":"cmVhZHk=","value":"eWVz"}';
    const response = await fetch(`http://127.0.0.1:${port}/v3/kv/put`, { method: 'POST', body }).catch(() => undefined);
    await response?.arrayBuffer();
    if (response?.ok === true) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('etcd listens but refuses writes');
}

/** Makes a KV bucket as NATS' own clients do: a stream that keeps the last message of each subject. */
export async function makeNatsBucket(target: Target): Promise<void> {
  const config = { name: 'KV_loadtest', subjects: ['$KV.loadtest.>'], max_msgs_per_subject: 1, storage: 'file' };
  const bucket = { ...config, discard: 'new', num_replicas: 1, allow_rollup_hdrs: true, deny_delete: true };
  const command = ['$JS.API.STREAM.CREATE.KV_loadtest', JSON.stringify(bucket)];
  await new Promise<void>((resolve, reject) => {
    void openNats(target, reject).then((connection) =>
      connection.send({ command }, ({ status, body }) => {
        connection.close();
        if (status === 200) resolve();
        else reject(new Error(`NATS refused to make a bucket: ${body}`));
      }),
    );
  });
}

function natsCanSync(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 2 || (major === 2 && minor >= 10);
}

function versionOf(program: string, flag: string, pattern: RegExp): string | undefined {
  const { error, stdout, stderr } = spawnSync(program, [flag], { encoding: 'utf8' });
  if (error !== undefined) return undefined;
  return pattern.exec(`${stdout}${stderr}`)?.[1];
}
