/**
 * `npm run salvage -- --data-dir DIR`: repairs a journal that the server refuses to start with. It keeps what stands
 * before the first damage and sets the rest aside (journal/file/salvage.ts says how, and docs/operations.md when). The
 * server must be down: salvage takes the lock of the data directory first.
 *
 * Exit codes: 0 the server can start with the journal; 1 it cannot, the message says why.
 */
import fs from 'node:fs';
import { parseArgs } from 'node:util';
import { UnsupportedFormat } from '../../journal/file/segment.ts';
import { salvageJournal, type SalvageReport } from '../../journal/file/salvage.ts';
import { realDisk } from '../../shared/disk.ts';
import { DataDirectoryInUse, lockDataDirectory } from './data-directory-lock.ts';
import { journalDirectoryOf } from './open-data-directory.ts';

const usage = 'Usage: npm run salvage -- --data-dir DIR     (the server that uses DIR must be stopped)';

process.exitCode = await run(process.argv.slice(2));

async function run(argv: readonly string[]): Promise<number> {
  const directory = dataDirectoryIn(argv);
  if (directory === undefined) return fail(usage);
  // Checked before the lock, which would create the directory: a mistyped name must not leave one.
  const journal = journalDirectoryOf(directory);
  if (!fs.existsSync(journal))
    return fail(`There is no journal in ${directory}; expected the data directory of a server.`);
  try {
    const lock = lockDataDirectory(directory);
    const report = await salvageJournal(realDisk, journal);
    lock.release();
    return tell(report);
  } catch (error) {
    if (error instanceof DataDirectoryInUse || error instanceof UnsupportedFormat) return fail(error.message);
    throw error;
  }
}

function dataDirectoryIn(argv: readonly string[]): string | undefined {
  try {
    return parseArgs({ args: [...argv], options: { 'data-dir': { type: 'string' } } }).values['data-dir'];
  } catch {
    return undefined;
  }
}

function tell({ kept, lost }: SalvageReport): number {
  if (lost === undefined) {
    const state = kept === undefined ? 'There is no journal yet' : `The journal is whole, up to revision ${kept}`;
    process.stdout.write(`${state}: nothing was changed.\n`);
    return 0;
  }
  const { file, offset, reason, atLeastTo, next, aside } = lost;
  const lines = [`Damage in ${file} at byte ${offset}: ${reason}.`];
  if (aside.length > 0) lines.push(`Set aside, and never read again: ${aside.join(', ')}.`);
  if (kept === undefined) {
    lines.push(
      'Nothing of the journal could be kept. The server will not start with this directory: restore a backup.',
    );
    return fail(lines.join('\n'));
  }
  const gone = atLeastTo > kept ? `${kept + 1} to at least ${atLeastTo}` : `from ${kept + 1} on`;
  lines.push(
    `Kept: everything up to revision ${kept}. Lost: revisions ${gone}, except for what the checkpoints hold.`,
    `The journal goes on with revision ${next}, so that no version or fencing token is ever given out twice.`,
  );
  process.stdout.write(`${lines.join('\n')}\n`);
  return 0;
}

function fail(message: string): number {
  process.stderr.write(`${message}\n`);
  return 1;
}
