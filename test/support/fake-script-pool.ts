/** Runs scripts in this thread, as they are: for tests of what stands around them. No script of a stranger may get here. */
import {
  noDefaultExport,
  type ScriptFault,
  type ScriptNeeds,
  type ScriptOutcome,
  type ScriptPool,
  type ScriptRun,
} from '../../src/scripts/script-run.ts';

type Tx = ReturnType<typeof txOf>;
type Main = (tx: Tx, args: unknown) => unknown;

class Needs extends Error {}
class Refused extends Error {
  readonly reason: string;
  readonly details: unknown;

  constructor(reason: string, details: unknown) {
    super(reason);
    this.reason = reason;
    this.details = details;
  }
}

export interface FakePoolOptions {
  /** Called before each run. */
  readonly before?: (run: ScriptRun) => Promise<void> | void;
  /** CPU time of a compilation. */
  readonly checkCpuMs?: number;
  /** Instead of a run. */
  readonly outcome?: (run: ScriptRun) => ScriptOutcome | undefined;
}

export function fakeScriptPool({
  before,
  outcome,
  checkCpuMs = 0,
}: FakePoolOptions = {}): ScriptPool & { readonly runs: ScriptRun[]; readonly bundles: number[] } {
  const runs: ScriptRun[] = [];
  const bundles: number[] = [];
  const one = async (run: ScriptRun): Promise<ScriptOutcome> => {
    runs.push(run);
    await before?.(run);
    return outcome?.(run) ?? runNatively(run);
  };
  return {
    runs,
    /** How many runs each had. */
    bundles,
    check: (source) => Promise.resolve({ fault: compile(source).fault, cpuMs: checkCpuMs, killed: false }),
    run(bundle) {
      bundles.push(bundle.length);
      return Promise.all(bundle.map(one));
    },
    close: () => Promise.resolve(),
  };
}

function compile(source: string): { main?: Main; fault?: ScriptFault } {
  try {
    // oxlint-disable-next-line typescript/no-implied-eval -- that is what it is for
    const main = new Function(`return (${source.replace(/export default/, '').replace(/;\s*$/, '')}\n)`)() as Main;
    return typeof main === 'function' ? { main } : { fault: { name: 'SyntaxError', message: noDefaultExport } };
  } catch (error) {
    return { fault: { name: 'SyntaxError', message: (error as Error).message, line: 1, column: 1 } };
  }
}

/** What the run of a script comes to, without any thread. */
export function runNatively(run: ScriptRun): ScriptOutcome {
  const cpuMs = 0.05;
  const state = {
    looked: { keys: new Set<string>(), counters: new Set<string>(), lists: [] as ScriptNeeds['lists'][number][] },
  };
  const operations: Record<string, unknown[]> = {};
  const log: string[] = [];
  const reads = (): ScriptNeeds => ({
    keys: [...state.looked.keys],
    counters: [...state.looked.counters],
    lists: state.looked.lists,
  });
  const { main, fault } = compile(run.source);
  if (main === undefined) return { kind: 'failed', error: fault!, log, cpuMs };
  try {
    const result = main(txOf(run, state.looked, operations, log), JSON.parse(run.args)) ?? null;
    return { kind: 'done', result: JSON.stringify(result), operations, reads: reads(), log, cpuMs };
  } catch (error) {
    if (error instanceof Needs) return { kind: 'needs', needs: reads(), cpuMs };
    if (error instanceof Refused) {
      const details = error.details === undefined ? undefined : JSON.stringify(error.details);
      return { kind: 'refused', reason: error.reason, details, reads: reads(), log, cpuMs };
    }
    const { name, message } = error as Error;
    return { kind: 'failed', error: { name, message }, log, cpuMs };
  }
}

interface Looked {
  readonly keys: Set<string>;
  readonly counters: Set<string>;
  readonly lists: ScriptNeeds['lists'][number][];
}

// oxlint-disable-next-line max-params -- a test's
function txOf(run: ScriptRun, looked: Looked, operations: Record<string, unknown[]>, log: string[]) {
  const { entries, counters, lists } = run.reads;
  const put = (name: string, operation: object): void => void (operations[name] ??= []).push(operation);
  const own = new Map<string, unknown>();
  const entry = (key: string): { value: unknown; version: number } | undefined => {
    looked.keys.add(key);
    if (!(key in entries)) throw new Needs();
    const found = entries[key];
    return found === null || found === undefined
      ? undefined
      : { value: JSON.parse(found.value), version: found.version };
  };
  const get = (key: string): unknown => (own.has(key) ? own.get(key) : entry(key)?.value);
  return {
    now: run.now,
    entry,
    get,
    getAll(keys: readonly string[]): unknown[] {
      for (const key of keys) looked.keys.add(key);
      if (keys.some((key) => !(key in entries))) throw new Needs();
      return keys.map(get);
    },
    list(prefix: string, { after = '', limit = 100 }: { after?: string; limit?: number } = {}) {
      looked.lists.push({ prefix, after, limit });
      const found = lists.find((list) => list.prefix === prefix && list.after === after && list.limit === limit);
      if (found === undefined) throw new Needs();
      return found.entries.map(({ key, value, version }) => ({ key, value: JSON.parse(value) as unknown, version }));
    },
    counter(key: string): number {
      looked.counters.add(key);
      if (!(key in counters)) throw new Needs();
      return counters[key]!;
    },
    set(key: string, value: unknown, { ttl, version }: { ttl?: number; version?: number } = {}): void {
      own.set(key, value);
      put('KVSet', {
        Key: key,
        Value: value,
        ...(ttl !== undefined && { TTL: ttl / 1000 }),
        ...(version !== undefined && { Version: version }),
      });
    },
    delete(key: string): void {
      own.set(key, undefined);
      put('KVSet', { Key: key, Delete: true });
    },
    add: (key: string, n: number): void => put('Atomic', { Key: key, Add: n }),
    enqueue: (queue: string, data: unknown): void => put('Enqueue', { Queue: queue, Data: data }),
    raw: (name: string, value: unknown): void => void Object.assign(operations, { [name]: value }),
    log: (line: string): void => void log.push(line),
    fail(reason: string, details?: unknown): never {
      throw new Refused(reason, details);
    },
  };
}
