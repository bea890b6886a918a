/**
 * `npm run salvage -- --data-dir DIR [--dry-run]`: repairs a data directory with which the server refuses to start. It
 * says what it would do, and does it (journal/file/salvage.ts says how, docs/operations.md when); with `--dry-run` it
 * changes nothing, not even a time of a file. The server must be down: salvage locks the data directory first.
 *
 * Exit codes: 0 the server can start with the directory, or could after a dry run; 1 it cannot, the message says why.
 */
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { UnsupportedFormat } from '../../journal/file/segment.ts';
import { carryOut, planSalvage, type Checkpoints } from '../../journal/file/salvage.ts';
import { revision } from '../../protocol/ids.ts';
import { realDisk } from '../../shared/disk.ts';
import { NewerData } from '../../shared/newer-data.ts';
import { readCheckpointSummary, StoreDamaged } from './checkpoint-summary.ts';
import { DataDirectoryInUse, lockDataDirectory, lockDataDirectoryToRead } from './data-directory-lock.ts';
import { journalDirectoryOf } from './open-data-directory.ts';
import { describePlan } from './salvage-words.ts';

const usage =
  'Usage: npm run salvage -- --data-dir DIR [--dry-run]     (the server that uses DIR must be stopped)\n' +
  '       --dry-run says what would be done and lost, and changes nothing';

process.exitCode = await run(process.argv.slice(2));

async function run(argv: readonly string[]): Promise<number> {
  const options = optionsIn(argv);
  if (options === undefined) return fail(usage);
  const { directory, dryRun } = options;
  const journal = journalDirectoryOf(directory);
  // Checked before the lock, which would create the directory: a mistyped name must not leave one.
  if (!fs.existsSync(journal) && !fs.existsSync(path.join(directory, 'store'))) {
    return fail(`There is no journal in ${directory}; expected the data directory of a server.`);
  }
  try {
    const lock = dryRun ? lockDataDirectoryToRead(directory) : lockDataDirectory(directory);
    try {
      return await salvage(directory, dryRun);
    } finally {
      lock.release();
    }
  } catch (error) {
    const told = [DataDirectoryInUse, UnsupportedFormat, NewerData];
    if (error instanceof Error && told.some((kind) => error instanceof kind)) return fail(error.message);
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === undefined) throw error;
    return fail(`Stopped by an error of the system: ${(error as Error).message}. Run it again when that is mended.`);
  }
}

interface Options {
  readonly directory: string;
  readonly dryRun: boolean;
}

function optionsIn(argv: readonly string[]): Options | undefined {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: { 'data-dir': { type: 'string' }, 'dry-run': { type: 'boolean', default: false } },
    });
    const { 'data-dir': directory, 'dry-run': dryRun } = values;
    return directory === undefined ? undefined : { directory, dryRun };
  } catch {
    return undefined;
  }
}

/** Says what it would do. Unless this is a dry run, it then does it. */
async function salvage(directory: string, dryRun: boolean): Promise<number> {
  const journal = journalDirectoryOf(directory);
  const store = checkpointsIn(directory);
  if (store.reason === undefined && store.checkpoints.lowest === 0 && !fs.existsSync(journal)) {
    process.stdout.write('There is neither a journal nor a checkpoint yet: nothing was changed.\n');
    return 0;
  }
  const disk = realDisk;
  if (!dryRun) disk.mkdir(journal);
  const plan = planSalvage(fs.existsSync(journal) ? disk : diskWithoutFiles, journal, store.checkpoints);
  const aside = freeName(path.join(directory, 'store.damaged'));
  const damaged = store.reason === undefined ? undefined : { reason: store.reason, aside };
  const { text, exitCode } = describePlan({ plan, store: damaged });
  if (exitCode !== 0) return fail(text);
  process.stdout.write(text);
  if (dryRun) {
    process.stdout.write('This was a dry run: nothing was changed.\n');
    return 0;
  }
  if (damaged !== undefined) {
    disk.rename(path.join(directory, 'store'), aside);
    disk.syncDirectory(directory);
  }
  if (plan.kind === 'repair') await carryOut(disk, journal, plan);
  const changed = damaged !== undefined || plan.kind === 'repair';
  process.stdout.write(changed ? 'Done: the server can start with this directory.\n' : '');
  return 0;
}

/** For a dry run without a directory of the journal. */
const diskWithoutFiles = { ...realDisk, list: () => [] };

interface FoundCheckpoints {
  readonly checkpoints: Checkpoints;
  /** Why the store cannot be read. */
  readonly reason?: string;
}

/** A store that is damaged holds nothing. */
function checkpointsIn(directory: string): FoundCheckpoints {
  const none: Checkpoints = { lowest: revision(0), highest: revision(0), epoch: 0 };
  try {
    const summary = readCheckpointSummary(directory);
    if (summary === undefined) return { checkpoints: none };
    const checkpoints = {
      logId: BigInt(`0x${summary.logId}`),
      lowest: revision(Math.min(...summary.watermarks)),
      highest: revision(Math.max(...summary.watermarks)),
      epoch: summary.epoch,
    };
    return { checkpoints };
  } catch (error) {
    if (!(error instanceof StoreDamaged)) throw error;
    return { checkpoints: none, reason: error.message };
  }
}

function freeName(name: string): string {
  let free = name;
  for (let number = 2; fs.existsSync(free); number += 1) free = `${name}-${number}`;
  return free;
}

function fail(message: string): number {
  process.stderr.write(`${message.trimEnd()}\n`);
  return 1;
}
