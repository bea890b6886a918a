import os from 'node:os';

/** Describes the machine in the report: name → value, for people to read. */
export function describeMachine(): Readonly<Record<string, string>> {
  const cpus = os.cpus();
  return {
    cpu: cpus[0]?.model.trim() ?? 'unknown',
    cores: String(os.availableParallelism()),
    memory: `${(os.totalmem() / 2 ** 30).toFixed(1)} GiB`,
    kernel: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    'load before': os
      .loadavg()
      .map((load) => load.toFixed(2))
      .join(' '),
  };
}
