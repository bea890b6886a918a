import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import type { ClientSpec } from './client-process.ts';
import type { LoadClock, LoadResult } from './load-spec.ts';
import { combineResults, runProcesses } from './generator.ts';

const processFile = path.resolve(import.meta.dirname, 'client-process.ts');

/** Runs the process in which many writers share one client. */
export async function runClient(
  spec: ClientSpec,
  clock: LoadClock,
  onSpawn: (process: ChildProcess) => void,
): Promise<LoadResult> {
  return combineResults('client', await runProcesses(processFile, [spec], clock, onSpawn));
}
