/** The process of lease-watchdog.ts. Each line of stdin is a moment: until then the group may live. */
import { createInterface } from 'node:readline';
import { machineMs, systemAfter } from '../shared/clock.ts';
import { signalGroup } from './signals.ts';

const leader = Number(process.argv[2]);
let killAt = machineMs();
let clearTimer = (): void => undefined;

createInterface({ input: process.stdin })
  .on('line', (line) => {
    killAt = Number(line);
    schedule();
  })
  .on('close', () => {
    // Whoever holds the lock is gone, and will renew it no more.
    if (!signalGroup(leader, 'SIGTERM')) process.exit();
    signalGroup(leader, 'SIGCONT');
    schedule();
  });

function schedule(): void {
  clearTimer();
  clearTimer = systemAfter(Math.max(0, killAt - machineMs()), () => {
    if (machineMs() < killAt) return schedule();
    signalGroup(leader, 'SIGKILL');
    process.exit();
  });
}
