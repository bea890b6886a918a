import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import type { ClientOrder } from './client-process.ts';
import type { LoadClock, LoadResult } from './load-spec.ts';
import { addUp, runProcesses } from './generator.ts';

const processFile = path.resolve(import.meta.dirname, 'client-process.ts');

/** The process full of writers that share one client. */
export async function runClient(
  order: ClientOrder,
  clock: LoadClock,
  onSpawn: (process: ChildProcess) => void,
): Promise<LoadResult> {
  return addUp('client', await runProcesses(processFile, [order], clock, onSpawn));
}
