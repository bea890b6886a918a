/** The schema of `scripts:` in config.yml. */
import { Type } from 'typebox';
import { scriptCpuMsDefault } from '../shared/limits.ts';
import { count } from './config-numbers.ts';

const threadsMax = 64;

export interface ScriptSettings {
  /** Threads that run scripts, begun by the first call; 0: scripts are not run. */
  readonly threads: number;
  /** Milliseconds of CPU time that a call may ask for. */
  readonly cpu_ms_max: number;
  /** Milliseconds of CPU time that the scripts of one account have in a second; 0 = no limit. */
  readonly account_cpu_ms_per_second: number;
}

export const scriptsSchema = Type.Optional(
  Type.Object(
    {
      threads: Type.Optional(
        Type.Union([Type.Literal('auto'), Type.Integer({ minimum: 0, maximum: threadsMax })], {
          expected: `"auto", or an integer from 0 to ${threadsMax}`,
        }),
      ),
      cpu_ms_max: count(scriptCpuMsDefault, 'ms', 60_000),
      account_cpu_ms_per_second: count(0, 'ms, 0 = no limit', 1_000_000),
    },
    { additionalProperties: false, expected: 'an object' },
  ),
);

export const scriptsDefaults = { threads: 'auto', cpu_ms_max: 1000, account_cpu_ms_per_second: 500 } as const;

/** `auto` is half of the cores. */
export function scriptThreads(threads: number | 'auto', cores: number): number {
  return threads === 'auto' ? Math.max(1, Math.floor(cores / 2)) : threads;
}
