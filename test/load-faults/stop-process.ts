/** SIGSTOP: stops a process, while its sockets and timers go on. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { machineMs } from '../../src/shared/clock.ts';
import { sleep } from '../support/crash-trial.ts';

/** Stops a process for a time, then continues it. @returns when it was certainly stopped, on the machine's clock */
export async function standStill(
  pid: number,
  ms: number,
  meanwhile: () => Promise<void> | void = () => {},
): Promise<{ from: number; to: number }> {
  process.kill(pid, 'SIGSTOP');
  await stopped(pid);
  const from = machineMs();
  try {
    await meanwhile();
    await sleep(Math.max(0, from + ms - machineMs()));
    assert(isStopped(pid), 'it has stood still until now');
    return { from, to: machineMs() };
  } finally {
    process.kill(pid, 'SIGCONT');
  }
}

async function stopped(pid: number): Promise<void> {
  while (!isStopped(pid)) await sleep(1);
}

function isStopped(pid: number): boolean {
  const status = `/proc/${pid}/status`;
  return !fs.existsSync(status) || /^State:\tT/m.test(fs.readFileSync(status, 'utf8'));
}
