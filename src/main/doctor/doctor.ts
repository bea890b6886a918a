/**
 * `dragonlock doctor`: looks whether this machine is fit for the server of this configuration. Each row says what was found
 * and, unless it is fine, what to do. It changes nothing but a file of its own in the data directory, which it removes.
 */
import os from 'node:os';
import type { Config } from '../../front-end/config-schema.ts';
import { listenText } from '../../front-end/listen.ts';
import { wallMs } from '../../shared/clock.ts';
import { ConfigError, loadConfig, type ConfigSources } from '../config/config.ts';
import { isReadByOthers } from '../config/listen-address.ts';
import { certificateIn } from '../config/tls-files.ts';
import { connectionsFor, openFilesMax, TooFewFiles } from '../open-files.ts';
import * as machine from './machine.ts';
import { probeBackup } from './probe-backup.ts';

export interface DoctorRow {
  readonly name: string;
  readonly verdict: 'ok' | 'warn' | 'fail';
  /** What was found, and what to do. */
  readonly text: string;
}

/** What the checks ask the machine; tests have machines of their own. */
export type Machine = typeof machine & { readonly probeBackup: typeof probeBackup };
const thisMachine: Machine = { ...machine, probeBackup };

const day = 24 * 3_600_000;
const mib = 1024 * 1024;
/** Faster than this no disk syncs. */
const unbelievableMicros = 20;
const slowMicros = 20_000;
const skewSecondsMax = 60;

/** @throws never: what is wrong is a row */
export async function diagnose(sources: ConfigSources, asked: Machine = thisMachine): Promise<DoctorRow[]> {
  const rows = [node(process.versions.node)];
  let config: Config;
  try {
    config = loadConfig(sources);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return [...rows, ...error.problems.map((problem) => row('config', 'fail', problem))];
  }
  rows.push(row('config', 'ok', `${config.shards} shards, ${config.http.threads} front ends`));
  rows.push(...tokens(config), ...certificates(config), ...(await directory(config, asked)));
  rows.push(...(await ports(config, asked)), await backup(config, asked), await unit(asked));
  rows.push(files(config), backlog(asked.backlogMax()), memory(config), await clock(asked));
  return rows;
}

function row(name: string, verdict: DoctorRow['verdict'], text: string): DoctorRow {
  return { name, verdict, text };
}

export function node(version: string): DoctorRow {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const runs = major >= 24 || (major === 22 && minor >= 19);
  return runs
    ? row('node', 'ok', version)
    : row('node', 'fail', `${version}: expected Node 22.19 or later of 22, or Node 24 or later`);
}

function tokens(config: Config): DoctorRow[] {
  const short = config.tokens.filter(({ isShort }) => isShort).map(({ name }) => name);
  const some = `${short.slice(0, 3).join(', ')}${short.length > 3 ? ', …' : ''}`;
  const rows = [
    config.tokens.length === 0
      ? row('tokens', 'warn', 'there are none: whoever can connect may do everything')
      : short.length > 0
        ? row('tokens', 'warn', `${some}: fewer than 20 characters; take what openssl rand -hex 20 says`)
        : row('tokens', 'ok', `${config.tokens.length}`),
  ];
  if (isReadByOthers(config))
    rows.push(row('tls', 'warn', 'other machines send tokens in the clear: set http.tls, or http.behind_proxy'));
  return rows;
}

function certificates(config: Config): DoctorRow[] {
  return (['http', 'resp'] as const).flatMap((section) => {
    const { tls } = config[section];
    const certificate = tls && certificateIn(tls.cert);
    if (certificate === undefined) return [];
    const days = Math.floor((Date.parse(certificate.validTo) - wallMs()) / day);
    const name = `${section}.tls`;
    return days < 14
      ? row(name, 'warn', `expires in ${days} days: renew it, then reload (SIGHUP)`)
      : row(name, 'ok', `valid for ${days} days`);
  });
}

const unfit: Readonly<Record<string, string>> = {
  nfs: 'its fsync and locks are not those of a disk: use a local file system',
  cifs: 'its fsync and locks are not those of a disk: use a local file system',
  fuse: 'nobody knows what its fsync does: use a local file system',
};
const risky: Readonly<Record<string, string>> = {
  tmpfs: 'all of it is lost with the machine: only for tests',
  overlay: 'it goes with the container: mount a volume there',
};

async function directory({ data_dir, journal, shards }: Config, asked: Machine): Promise<DoctorRow[]> {
  const found = asked.look(data_dir);
  if (typeof found === 'string') return [row('data directory', 'fail', `${data_dir}: ${found}`)];
  const { exists, isMine, mode, fileSystem, freeBytes, freeFiles, at } = found;
  const rows: DoctorRow[] = [];
  if (!exists) rows.push(row('data directory', 'ok', `${data_dir} is not there yet; the server makes it`));
  else if (!isMine) rows.push(row('data directory', 'fail', `${data_dir} belongs to another user: chown it`));
  else if ((mode & 0o077) !== 0)
    rows.push(row('data directory', 'warn', `${data_dir} has mode ${mode.toString(8)}: chmod 700 it`));
  else {
    const user = asked.userOf(data_dir);
    const who = user === undefined ? '' : `, in use by ${user}: fine if that is this server`;
    rows.push(row('data directory', 'ok', `${data_dir}${who}`));
  }

  const badly = unfit[fileSystem] ?? risky[fileSystem];
  const verdict = unfit[fileSystem] !== undefined ? 'fail' : badly === undefined ? 'ok' : 'warn';
  rows.push(row('file system', verdict, badly === undefined ? fileSystem : `${fileSystem}: ${badly}`));

  const wanted = journal.keep_bytes + 4 * journal.segment_bytes + shards * 256 * mib;
  const free = `${Math.round(freeBytes / mib)} MiB are free`;
  if (freeFiles < 1000) rows.push(row('disk', 'fail', `only ${freeFiles} more files fit (df -i)`));
  else if (freeBytes < wanted)
    rows.push(row('disk', 'warn', `${free}; the journal alone takes up to ${Math.round(wanted / mib)} MiB`));
  else rows.push(row('disk', 'ok', free));

  const { p50, p99 } = await asked.syncMicros(at);
  const figures = `fdatasync takes ${Math.round(p50)} µs, one of 100 ${Math.round(p99)} µs`;
  if (p50 > slowMicros) rows.push(row('sync', 'warn', `${figures}: each commit waits for it; use a faster disk`));
  else if (p50 < unbelievableMicros && fileSystem !== 'tmpfs')
    rows.push(row('sync', 'warn', `${figures}: no disk is so fast; does it write at all (barriers, cache mode)?`));
  else rows.push(row('sync', 'ok', figures));
  return rows;
}

/** As many wait in the kernel while a server restarts. */
const backlogWanted = 4096;

function backlog(most: number | undefined): DoctorRow {
  return most === undefined || most >= backlogWanted
    ? row('backlog', 'ok', `${most ?? 'any number of'} connections may wait to be accepted`)
    : row('backlog', 'warn', `only ${most} connections may wait: sysctl -w net.core.somaxconn=${backlogWanted}`);
}

export function files(config: Config, most = openFilesMax()): DoctorRow {
  try {
    const { connectionsMax, warning } = connectionsFor(most, config);
    return warning === undefined
      ? row('open files', 'ok', `${most ?? 'any number'}: ${connectionsMax} connections`)
      : row('open files', 'warn', warning);
  } catch (error) {
    if (error instanceof TooFewFiles) return row('open files', 'fail', error.message);
    throw error;
  }
}

/** Compares with what floods may fill, see docs/operations.md. */
export function memory({ limits, shards, http }: Config, bytes = os.totalmem()): DoctorRow {
  const { arriving_bytes_max, inflight_bytes_max, waiting_bytes_max, watching_bytes_max } = limits;
  const { history_bytes_max, unread_bytes_max, memtable_bytes_max } = limits;
  const atRest = (130 + 45 * (http.threads + shards - 2)) * mib + shards * memtable_bytes_max;
  const budgets =
    arriving_bytes_max +
    inflight_bytes_max +
    waiting_bytes_max +
    watching_bytes_max +
    history_bytes_max +
    unread_bytes_max;
  const most = Math.round((1.2 * (atRest + budgets)) / mib);
  const has = `${Math.round(bytes / mib)} MiB`;
  return bytes / mib < most
    ? row('memory', 'warn', `${has}; floods may fill ${most} MiB: lower limits.…_bytes_max (docs/operations.md)`)
    : row('memory', 'ok', `${has}; at most ${most} MiB are used`);
}

/** The server itself may be the one who has it. */
async function ports({ listen, resp }: Config, asked: Machine): Promise<DoctorRow[]> {
  const places = [...listen, ...(resp.listen === undefined ? [] : [resp.listen])];
  const rows = places.map(async (place): Promise<DoctorRow[]> => {
    if (place.kind !== 'tcp' || place.port === 0) return [];
    const why = await asked.whyNotFree(place);
    const name = `port ${place.port}`;
    if (why === undefined) return [row(name, 'ok', 'free')];
    if (why !== 'EADDRINUSE') return [row(name, 'fail', `${listenText(place)} cannot be listened at: ${why}`)];
    return [row(name, 'warn', `${listenText(place)} is in use: fine if that is this server (ss -ltnp tells)`)];
  });
  return (await Promise.all(rows)).flat();
}

async function backup({ backup: settings }: Config, asked: Machine): Promise<DoctorRow> {
  if (settings.url === '') return row('backup', 'warn', 'none is made: set backup.url, or lose all with this machine');
  const probe = await asked.probeBackup(settings);
  if (probe.problem !== undefined) return row('backup', 'fail', `${settings.url}: ${probe.problem}`);
  if (!probe.conditional)
    return row('backup', 'warn', `${probe.name} ignores If-None-Match: two servers are told apart by lists only`);
  const skew = Math.round(Math.abs(probe.aheadMs ?? 0) / 1000);
  if (skew > skewSecondsMax)
    return row('backup', 'warn', `the clock of ${probe.name} differs by ${skew} s: set this machine's clock`);
  const { copyAt } = probe;
  if (copyAt === undefined) return row('backup', 'ok', `${probe.name}: no copy yet, the server makes the first`);
  const hours = Math.round((wallMs() - copyAt) / 3_600_000);
  return hours > 2 + settings.copy_hours
    ? row('backup', 'warn', `the last copy is ${hours} h old: look at dragonlock backups`)
    : row('backup', 'ok', `${probe.name}: the last copy is ${hours} h old`);
}

async function unit(asked: Machine): Promise<DoctorRow> {
  const state = await asked.unitState();
  if (state === undefined) return row('unit', 'ok', 'no systemd here: something else has to start the server again');
  return state === 'enabled'
    ? row('unit', 'ok', 'dragonlock.service is enabled')
    : row('unit', 'warn', `dragonlock.service is ${state}: install deploy/dragonlock.service (docs/install.md)`);
}

async function clock(asked: Machine): Promise<DoctorRow> {
  const synced = await asked.clockIsSynced();
  if (synced === undefined) return row('clock', 'warn', 'nobody tells whether it is in step (timedatectl)');
  return synced
    ? row('clock', 'ok', 'in step')
    : row('clock', 'warn', 'not in step with others: enable systemd-timesyncd or chrony');
}
