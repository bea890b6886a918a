/** Runs a script against a Map, without a server: the same machine, the same `tx`, the same limits. For tests. */
import { unreachable } from '../../shared/assert.ts';
import { scriptRoundsMax } from '../script-limits.ts';
import type { ScriptFault, ScriptNeeds, ScriptOutcome, ScriptReads, ScriptRun } from '../script-run.ts';
import { LocalData, type ScriptConflict } from './local-data.ts';

/** What a script runs on. */
export interface ScriptOptions {
  /** JSON for the second parameter. Default: `{}`. */
  readonly args?: unknown;
  /** Counters by name; changed as the Map is. */
  readonly counters?: Map<string, number> | undefined;
  /** `tx.now` and `Date.now()`: milliseconds since the epoch. Default: 0. */
  readonly now?: number | undefined;
  /** Decides `Math.random()` and `tx.uuid()`; 32 bits. Default: 0. */
  readonly seed?: number | undefined;
  /** Milliseconds of CPU time. Default: 50. */
  readonly cpuMs?: number | undefined;
}

/** How a run has ended. Only `done` has changed anything. */
export type ScriptEnd =
  | {
      readonly kind: 'done';
      /** What the script has returned. */
      readonly result: unknown;
      /** What it has done, as a batch of the HTTP API. Of it, the Map and the counters have `KVSet` and `Atomic`. */
      readonly operations: Readonly<Record<string, unknown>>;
      /** What it has written with `console.log`. */
      readonly log: readonly string[];
    }
  | {
      /** By `tx.fail`. */
      readonly kind: 'refused';
      /** Its reason. */
      readonly reason: string;
      /** Its details. */
      readonly details: unknown;
      /** What it has written with `console.log`. */
      readonly log: readonly string[];
    }
  | {
      /** A condition of its operations did not hold: a `version`, a `floor` or a `ceil`. */
      readonly kind: 'conflict';
      /** `version_mismatch` or `out_of_bounds`. */
      readonly code: ScriptConflict['code'];
      /** The key or counter. */
      readonly key: string;
      /** What it has written with `console.log`. */
      readonly log: readonly string[];
    }
  | {
      readonly kind: 'failed';
      /** What was thrown, with line and column from 1 where they are known. */
      readonly error: ScriptFault;
      /** What it has written with `console.log`. */
      readonly log: readonly string[];
    }
  | {
      /** It took more than `cpuMs`. */
      readonly kind: 'timeout';
      /** What it has written with `console.log`. */
      readonly log: readonly string[];
    };

interface Machine {
  run(run: Omit<ScriptRun, 'source'> & { source: string | undefined }): Promise<ScriptOutcome | undefined>;
}

let machine: Promise<Machine> | undefined;
let last: Promise<unknown> = Promise.resolve();

/**
 * Runs a script on `values`, key by key any JSON, as the server would if nothing else happened.
 *
 * @param source JavaScript with a default export `(tx, args) => result`
 */
export function runScript(
  source: string,
  values: Map<string, unknown> = new Map(),
  options: ScriptOptions = {},
): Promise<ScriptEnd> {
  // One machine runs them, one after the other.
  const next = last.then(() => run(source, values, options));
  last = next.catch(() => {});
  return next;
}

async function run(source: string, values: Map<string, unknown>, options: ScriptOptions): Promise<ScriptEnd> {
  const { args = {}, counters = new Map<string, number>(), now = 0, seed = 0, cpuMs = 50 } = options;
  const data = LocalData.of(values, counters);
  const shared = { sourceID: source, source, account: 'local', args: JSON.stringify(args), now, seed, cpuMs };
  let reads: ScriptReads = { entries: {}, counters: {}, lists: [] };
  for (let round = 0; round < scriptRoundsMax; round += 1) {
    const outcome = (await (await loadMachine()).run({ ...shared, reads }))!;
    if (outcome.kind !== 'needs') return endOf(outcome, data);
    reads = withNeeds(reads, data, outcome.needs);
  }
  const message = `The script reads in more than ${scriptRoundsMax} rounds; read keys together, with tx.getAll`;
  return { kind: 'failed', error: { name: 'LimitError', message }, log: [] };
}

function withNeeds(reads: ScriptReads, data: LocalData, needs: ScriptNeeds): ScriptReads {
  return {
    entries: Object.fromEntries([
      ...Object.entries(reads.entries),
      ...needs.keys.map((key) => [key, data.entry(key) ?? null] as const),
    ]),
    counters: Object.fromEntries([
      ...Object.entries(reads.counters),
      ...needs.counters.map((key) => [key, data.counter(key)] as const),
    ]),
    lists: [...reads.lists, ...needs.lists.map((range) => data.list(range))],
  };
}

function endOf(outcome: Exclude<ScriptOutcome, { kind: 'needs' }>, data: LocalData): ScriptEnd {
  switch (outcome.kind) {
    case 'done': {
      const { result, operations, log } = outcome;
      const conflict = data.commit(operations);
      if (conflict !== undefined) return { kind: 'conflict', ...conflict, log };
      return { kind: 'done', result: JSON.parse(result) as unknown, operations, log };
    }
    case 'refused': {
      const { reason, details, log } = outcome;
      return { kind: 'refused', reason, details: details === undefined ? undefined : JSON.parse(details), log };
    }
    case 'failed':
      return { kind: 'failed', error: outcome.error, log: outcome.log };
    case 'timeout':
      return { kind: 'timeout', log: outcome.log };
    case 'killed':
      return { kind: 'timeout', log: [] };
    default:
      return unreachable(outcome);
  }
}

function loadMachine(): Promise<Machine> {
  return (machine ??= import('../machine/script-machine.ts').then(
    ({ ScriptMachine }) => new ScriptMachine(),
    (error: unknown) => {
      machine = undefined;
      if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
      throw new Error('dragonlock/script needs the package quickjs-wasi: npm install --save-dev quickjs-wasi@3.6.2', {
        cause: error,
      });
    },
  ));
}
