import fs from 'node:fs';
import os from 'node:os';

const niceness = 5;

/** Lets the other threads go first, where that can be said: Linux has a priority for each thread. */
export function lowerThreadPriority(): void {
  try {
    const thread = Number(fs.readlinkSync('/proc/thread-self').split('/').at(-1));
    os.setPriority(thread, niceness);
  } catch {
    // Elsewhere it competes with the others.
  }
}
