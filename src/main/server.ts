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
import { pino, type Logger } from 'pino';
import manifest from '../../package.json' with { type: 'json' };
import { JournalCorruption } from '../journal/file/journal-corruption.ts';
import { UnsupportedFormat } from '../journal/file/segment.ts';
import type { JournalLog } from '../journal/file/journal-options.ts';
import { ConfigError, loadConfig } from './config/config.ts';
import type { Config } from '../front-end/config-schema.ts';
import { DataDirectoryInUse, lockDataDirectory } from './data-directory/data-directory-lock.ts';
import { exitNow } from './exit-now.ts';
import { allocateSharedCounters } from '../front-end/shared-counters.ts';
import { FrontEnds } from './front-ends.ts';
import { openDataDirectory, StoreMismatch } from './data-directory/open-data-directory.ts';
import { Threads } from './threads.ts';

const exitCannotStart = 1;
const exitBroken = 70;

let config: Config;
try {
  config = loadConfig({ argv: process.argv.slice(2), env: process.env, cores: os.availableParallelism() });
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(exitCannotStart);
}
// Synchronous, because writing the fatal line is the last thing that the process does.
const log = pino(
  { level: config.log.level, redact: ['token', 'authorization', '*.token', '*.authorization'] },
  pino.destination({ dest: 1, sync: true }),
);

process.on('uncaughtException', goDown);
process.on('unhandledRejection', goDown);

try {
  await run(config);
} catch (error) {
  refuseToStart(error);
}

async function run(config: Config): Promise<void> {
  const started = performance.now();
  let stop = stopWhileStarting;
  process.on('SIGTERM', () => stop());
  process.on('SIGINT', () => stop());
  const lock = lockDataDirectory(config.data_dir);
  const boot = randomBytes(6).toString('hex');
  const counters = allocateSharedCounters(config);
  const frontEnds = new FrontEnds({ config, boot, version: manifest.version, counters, log }, goDown);
  const url = await frontEnds.listen();
  log.info(
    { url, dataDir: config.data_dir, shards: config.shards, threads: config.http.threads },
    'Listening; recovering',
  );

  const opened = await openDataDirectory(config, threadLog(log));
  const threads = new Threads(config, opened, threadLog(log), goDown);
  const { boot: counted, replayed } = await threads.start();
  await frontEnds.serve(threads, opened.journalDirectory);
  const startMs = Math.round(performance.now() - started);
  log.info({ url, boot, epoch: counted.epoch, revision: counted.rev, replayed, startMs }, `Serving on ${url}`);

  stop = () => {
    stop = stoppingAlready;
    void (async () => {
      log.info('Draining');
      await frontEnds.close();
      await threads.stop();
      lock.release();
      exit(0, 'Stopped');
    })();
  };
}

/** The server has answered nothing yet, and recovery may stop anywhere. */
function stopWhileStarting(): void {
  exit(0, 'Stopped while starting');
}

function stoppingAlready(): void {
  log.info('Still draining');
}

function exit(code: number, message: string): never {
  log.info(message);
  process.exit(code);
}

function refuseToStart(error: unknown): never {
  const known =
    error instanceof JournalCorruption ||
    error instanceof UnsupportedFormat ||
    error instanceof DataDirectoryInUse ||
    error instanceof StoreMismatch;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (known) log.fatal(error.message);
  else if (code === 'EADDRINUSE')
    log.fatal(`Cannot listen on ${config.listen.host}:${config.listen.port}: the address is in use.`);
  else log.fatal({ err: error }, 'Cannot start');
  process.exit(exitCannotStart);
}

function goDown(error: unknown): never {
  log.fatal({ err: error }, 'Going down; what was acknowledged is on disk, and a restart recovers it');
  exitNow(exitBroken);
}

function threadLog(logger: Logger): JournalLog {
  return (level, message, details) => logger[level](details ?? {}, message);
}
