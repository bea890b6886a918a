/**
 * The server: `npm start`. This file composes it, in this order:
 *
 *   config ─► data directory locked ─► listening (503) ─► recovered ─► threads ─► serving ─► SIGTERM ─► drained
 *     ─► exit 0
 *
 * Exit codes: 0 stopped on request; 1 cannot start, the message says why; 70 something broke while running. The process
 * then goes down on purpose, because everything that it has acknowledged is on disk and a restart recovers it.
 */
import { randomBytes } from 'node:crypto';
import os from 'node:os';
import { isDeepStrictEqual } from 'node:util';
import manifest from '../../package.json' with { type: 'json' };
import type { Config } from '../front-end/config-schema.ts';
import { ReloadCell } from '../front-end/reload-cell.ts';
import { allocateSharedCounters } from '../front-end/shared-counters.ts';
import type { JournalLog } from '../journal/file/journal-options.ts';
import { processMs, systemAfter, systemEvery, wallMs } from '../shared/clock.ts';
import { writeText } from '../shared/raw-output.ts';
import { isNewerData } from '../shared/newer-data.ts';
import { SharedCount } from '../shared/shared-count.ts';
import { Backups } from './backups.ts';
import { servable } from './cluster/servable.ts';
import { isReadByOthers } from './config/listen-address.ts';
import { askedFor, ConfigError, loadConfig, usage } from './config/config.ts';
import { readClockFile, readMachineClock, writeClockFile } from './data-directory/clock-file.ts';
import { lockDataDirectory } from './data-directory/data-directory-lock.ts';
import { openDataDirectory, type OpenedDataDirectory } from './data-directory/open-data-directory.ts';
import { exitNow } from './exit-now.ts';
import { FrontEnds } from './front-ends.ts';
import { CurrentLogLevel } from './log-level.ts';
import { openLog } from './log.ts';
import { Reload } from './reload.ts';
import { serverActions } from './server-actions.ts';
import { ServiceManager } from './service-manager.ts';
import { Watchdog } from './watchdog.ts';
import { connectionsFor, openFilesMax } from './open-files.ts';
import { ServerClock } from './server-clock.ts';
import { startErrorLine } from './start-error.ts';
import { startTasks } from './tasks.ts';
import { Threads } from './threads.ts';

const exitCannotStart = 1;
const exitBroken = 70;
const startTellsMs = 10_000;
/** So that whoever asks for a drain has the reply. */
const drainsAfterMs = 100;

const argv = process.argv.slice(2);
const asked = askedFor(argv);
if (asked !== undefined) {
  writeText(1, asked === 'help' ? usage : `${manifest.version}\n`);
  process.exit(0);
}
// Before this process grows, see there.
const manager = new ServiceManager(process.env);
let config: Config;
try {
  config = load();
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  writeText(2, `${error.message}\n`);
  process.exit(exitCannotStart);
}
function load(): Config {
  return servable(loadConfig({ argv, env: process.env, cores: os.availableParallelism() }));
}

const counters = allocateSharedCounters(config);
const lostLogLines = new SharedCount(counters.lostLogLines, 0);
const { log, flushLast, writeLines } = openLog(config.log.level, systemEvery, (lines) => lostLogLines.add(lines));
// Node writes its warnings there. A reader that has gone must not end the server.
process.stderr.on('error', () => undefined);

process.on('uncaughtException', goDown);
process.on('unhandledRejection', goDown);

try {
  await run(config);
} catch (error) {
  refuseToStart(error);
}

async function run(config: Config): Promise<void> {
  const started = performance.now();
  let isStopping = false;
  let stop = stopWhileStarting;
  process.on('SIGTERM', () => stop());
  process.on('SIGINT', () => stop());
  let reload = reloadWhileStarting;
  process.on('SIGHUP', () => reload());
  const endStart = tellOfStart();
  const lock = lockDataDirectory(config.data_dir);
  const boot = randomBytes(6).toString('hex');
  const { connectionsMax, warning } = connectionsFor(openFilesMax(), config);
  if (warning !== undefined) log.warn(warning);
  const limits = { ...config.limits, connections_max: connectionsMax };
  const frontEnds = new FrontEnds(
    {
      config: { ...config, limits },
      boot,
      version: manifest.version,
      counters,
      log,
      writeLines: (text, lines) => (writeLines(text, lines), true),
    },
    goDown,
  );
  const { urls, respPort } = await frontEnds.listen();
  log.info(
    {
      url: urls[0],
      ...(urls.length > 1 && { urls }),
      respPort,
      dataDir: config.data_dir,
      shards: config.shards,
      threads: config.http.threads,
    },
    'Listening; recovering',
  );

  const opened = await openDataDirectory(config, journalLog);
  const clock = startClock(config.data_dir, opened.recovered.at);
  const hold = Backups.allocateHold(config.backup.url !== '');
  const threads = new Threads({ config, opened, clock: counters.clock, hold, log: journalLog, onFatal: goDown });
  const backups = startBackups({ opened, threads, hold, boot });
  // Before the first commit of this start: what the backup has must not be given out again.
  await backups.look();
  const { boot: counted, replayed } = await threads.start();
  await frontEnds.serve(threads, opened.journalDirectory, counted.restored);
  const passed = await frontEnds.open();
  const tasks = startTasks({
    config: { ...config, limits },
    opened,
    threads,
    counters,
    epoch: counted.epoch,
    boot,
    scripts: frontEnds.connectScripts(),
    onFatal: goDown,
    onBug: (error) => log.error(error as object, 'the call of a script failed'),
  });
  if (!tasks.areRun) log.warn('This is a restored backup that was not adopted: it runs no tasks');
  const url = urls[0] ?? passed.urls[0] ?? 'no address';
  const startMs = Math.round(performance.now() - started);
  log.info(
    { url, respPort, boot, epoch: counted.epoch, revision: counted.rev, replayed, startMs },
    `Serving on ${url}`,
  );

  if (isReadByOthers(config))
    log.warn('Other machines reach the server without TLS: set http.tls, or http.behind_proxy if a proxy has it');
  endStart();
  manager.ready(`Serving on ${url}`);
  const logLevel = new CurrentLogLevel({ log, configured: config.log.level, after: systemAfter });
  const reloading = new Reload({
    config,
    load,
    apply(settings, before) {
      frontEnds.reload(settings);
      threads.replaceQuotas(settings.limits, settings.accounts);
      if (!isDeepStrictEqual(settings.backup, before.backup)) void backups.replace(settings.backup);
    },
    log,
    logLevel,
    cell: new ReloadCell(counters.reload),
  });
  const actions = serverActions({
    reloading,
    logLevel,
    manager,
    log,
    url,
    audit: (entry) => frontEnds.audit(entry),
    isStopping: () => isStopping,
    stopSoon: () => systemAfter(drainsAfterMs, () => stop()),
  });
  frontEnds.takeActions(actions);
  reload = () => void actions.reload({ who: '', from: 'SIGHUP' });
  const watchdog = watchThreads(() => Promise.all([threads.ping(), frontEnds.ping(), tasks.ping()]));

  stop = () => {
    isStopping = true;
    stop = stoppingAlready;
    reload = stoppingAlready;
    watchdog?.stop();
    manager.stopping();
    void (async () => {
      log.info('Draining');
      await tasks.stop();
      await frontEnds.close();
      await backups.stop();
      await threads.stop();
      clock.stop();
      lock.release();
      sayLast('Stopped');
      process.exit(0);
    })();
  };
}

interface BackupParts {
  readonly opened: OpenedDataDirectory;
  readonly threads: Threads;
  readonly hold: SharedArrayBuffer;
  readonly boot: string;
}

function startBackups({ opened, threads, hold, boot }: BackupParts): Backups {
  const { revisions, space } = threads;
  const { journalDirectory, recovered } = opened;
  const data = {
    settings: config.backup,
    dataDirectory: config.data_dir,
    journalDirectory,
    revisions,
    cells: counters.backup,
    hold,
    space,
    logId: recovered.logId.toString(16).padStart(16, '0'),
    boot,
  };
  return new Backups(data, journalLog);
}

/** @param floor the time of the journal's last frame */
function startClock(dataDirectory: string, floor: number): ServerClock {
  const kept = readClockFile(dataDirectory);
  if (kept === 'damaged')
    log.warn(`${dataDirectory}/clock is damaged, and ignored: the server takes the machine's time`);
  const options = {
    memory: counters.clock,
    sources: { wall: wallMs, monotonic: processMs, machine: readMachineClock },
    every: systemEvery,
    keep: writeClockFile.bind(undefined, dataDirectory),
    log: journalLog,
  };
  return new ServerClock(options, typeof kept === 'string' ? undefined : kept, floor);
}

/** Tells the service manager that recovery goes on. @returns what ends that */
function tellOfStart(): () => void {
  if (!manager.isThere) return () => undefined;
  const started = performance.now();
  return systemEvery(startTellsMs, () => {
    manager.starting(`Recovering for ${Math.round((performance.now() - started) / 1000)} s`, 3 * startTellsMs);
  });
}

function watchThreads(ask: () => Promise<unknown>): Watchdog | undefined {
  const withinMs = manager.watchdogMs;
  if (withinMs === undefined) return undefined;
  return new Watchdog({
    ask,
    alive: () => manager.alive(),
    withinMs,
    after: systemAfter,
    onSilence: (ms) => log.error(`A thread has not answered for ${ms} ms`),
  });
}

function reloadWhileStarting(): void {
  log.warn('The server starts with the configuration that it has read; reload it once it serves');
}

/** The server has answered nothing yet, and recovery may stop anywhere. */
function stopWhileStarting(): void {
  sayLast('Stopped while starting');
  exitNow(0);
}

function stoppingAlready(): void {
  log.info('Still draining');
}

function sayLast(message: string): void {
  log.info(message);
  flushLast();
}

function refuseToStart(error: unknown): never {
  const line = startErrorLine(error, config);
  if (line === undefined) log.fatal({ err: error }, 'Cannot start');
  flushLast();
  writeText(2, `${line ?? `Cannot start: ${String(error)}`}\n`);
  exitNow(exitCannotStart);
}

function goDown(error: unknown): never {
  // A shard that replays has met what only a newer server knows.
  if (isNewerData(error)) refuseToStart(error);
  const message = 'Going down; what was acknowledged is on disk, and a restart recovers it';
  log.fatal({ err: error }, message);
  if (!flushLast()) writeText(2, `${message}: ${error instanceof Error ? error.stack : String(error)}\n`);
  exitNow(exitBroken);
}

function journalLog(...[level, message, details]: Parameters<JournalLog>): void {
  log[level](details ?? {}, message);
}
