/**
 * The process of lease-watchdog.ts. The first line of its stdin is the leader of the group; each further one is a moment:
 * until then the group may live.
 */
import { createInterface } from 'node:readline';
import { machineMs, systemAfter } from '../shared/clock.ts';
import { signalGroup } from './signals.ts';

/** How often it looks whether the group is still there, when nobody is left to tell. */
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
    // Whoever holds the lock is gone, and will renew it no more.
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
