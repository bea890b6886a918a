/**
 * The process of lease-watchdog.ts. The first line of its stdin is the leader of the group. Each further line is the
 * time until which the group may live.
 */
import { createInterface } from 'node:readline';
import { machineMs, systemAfter } from '../shared/clock.ts';
import { signalGroup } from './signals.ts';

/** How often to check whether the group still exists, after the parent has gone. */
const pollMs = 1000;

let leader = 0;
let killAt = 0;
let abandoned = false;
let clearTimer = (): void => undefined;

createInterface({ input: process.stdin })
  .on('line', (line) => {
    if (leader === 0) leader = Number(line);
    else killAt = Number(line);
    schedule();
  })
  .on('close', () => {
    // The holder of the lock is gone, and renews it no more.
    abandoned = true;
    if (leader === 0 || !signalGroup(leader, 'SIGTERM')) process.exit();
    signalGroup(leader, 'SIGCONT');
    schedule();
  });

function schedule(): void {
  clearTimer();
  if (killAt === 0 && !abandoned) return;
  const leftMs = Math.max(0, killAt - machineMs());
  clearTimer = systemAfter(abandoned ? Math.min(leftMs, pollMs) : leftMs, () => {
    if (machineMs() < killAt) {
      if (abandoned && !signalGroup(leader, 0)) process.exit();
      return schedule();
    }
    signalGroup(leader, 'SIGKILL');
    process.exit();
  });
}
