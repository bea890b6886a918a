/** The CPU time of this thread. */

/** Milliseconds, of which differences count. Where Node does not tell (before 23.9), what a clock says. */
export const cpuMs: () => number =
  typeof process.threadCpuUsage === 'function'
    ? () => {
        const { user, system } = process.threadCpuUsage();
        return (user + system) / 1000;
      }
    : () => Number(process.hrtime.bigint() / 1000n) / 1000;
