/** Prints what the checkpoints of a data directory hold, as JSON: see `checkpoint-summary.ts`. */
import { NewerData } from '../../shared/newer-data.ts';
import { exitDamaged, exitNewer, summarizeCheckpoints } from './checkpoint-summary.ts';

try {
  const summary = await summarizeCheckpoints(process.argv[2] ?? '');
  process.stdout.write(JSON.stringify({ summary }));
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`${message}\n`);
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  // LMDB's own errors have numbers; those of the operating system have names.
  if (error instanceof NewerData) process.exitCode = exitNewer;
  else process.exitCode = typeof code === 'string' && /^E[A-Z]+$/.test(code) ? 1 : exitDamaged;
}
