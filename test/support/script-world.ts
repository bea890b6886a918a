/** Calls of scripts on a server in memory, in an order that a seed decides; and the checker of what they have come to. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { scriptBatch } from '../../src/front-end/script-executor.ts';
import { FileJournalSource } from '../../src/journal/file/file-journal-source.ts';
import { revision } from '../../src/protocol/ids.ts';
import { decodeRecord, kinds, type CommitRecord } from '../../src/protocol/record.ts';
import type { Reply } from '../../src/protocol/replies.ts';
import { AccountCounts } from '../../src/router/account-counts.ts';
import type { Cancelable, Dispatcher } from '../../src/router/dispatcher.ts';
import { ScriptExecutor, type ScriptExecutorOptions } from '../../src/scripts/executor.ts';
import { ScriptBudgets } from '../../src/scripts/script-budgets.ts';
import type { ScriptCallRequest } from '../../src/scripts/script-call.ts';
import { ScriptCounts } from '../../src/scripts/script-counts.ts';
import type { ScriptPool, ScriptRun } from '../../src/scripts/script-run.ts';
import { TargetPolicy } from '../../src/shared/target-policy.ts';
import { allocateClock } from '../../src/shared/clock.ts';
import { defaultLimits } from '../../src/shared/limits.ts';
import { acme, batch } from './commands.ts';
import { fakeScriptPool, runNatively, type FakePoolOptions } from './fake-script-pool.ts';
import { ServerInMemory } from './server-in-memory.ts';

export interface CalledScript {
  readonly request: ScriptCallRequest;
  readonly cancelable: Cancelable;
  readonly answered: Promise<void>;
  reply: Reply | undefined;
  disconnected: boolean;
}

export interface AnsweredScript {
  readonly Result: unknown;
  readonly Log: readonly string[];
  readonly Tries: number;
  readonly Rev: number;
  readonly Code?: string;
  readonly Keys?: readonly string[];
}

export interface WorldOptions extends FakePoolOptions {
  readonly shards?: number;
  readonly cpuMsPerSecond?: number;
  /** Stands between the executor and the router. */
  readonly dispatcher?: (router: Dispatcher) => Dispatcher;
}

function executorOptions(dispatcher: Dispatcher, now: () => number, pool: ScriptPool): ScriptExecutorOptions {
  const clock = allocateClock();
  return {
    dispatcher,
    pool,
    toBatch: (operations, { account, sends = false }) =>
      scriptBatch(operations, { account, limits: defaultLimits, clock, targets: new TargetPolicy([]), sends }),
    accounts: new AccountCounts(AccountCounts.allocate()),
    budgets: new ScriptBudgets(ScriptBudgets.allocate(), 0, now),
    counts: new ScriptCounts(ScriptCounts.allocate(1), 0),
    memory: () => ({ hold: () => {}, release: () => {} }),
    serverTime: now,
    boot: 'boot',
    onBug: (error) => {
      throw error;
    },
  };
}

/** An executor that runs scripts in this thread. */
export function executorOf(dispatcher: Dispatcher, now: () => number, options: FakePoolOptions): ScriptExecutor {
  return new ScriptExecutor(executorOptions(dispatcher, now, fakeScriptPool(options)));
}

export class ScriptWorld {
  readonly server: ServerInMemory;
  readonly executor: ScriptExecutor;
  readonly pool: ReturnType<typeof fakeScriptPool>;
  readonly counts = new ScriptCounts(ScriptCounts.allocate(1), 0);
  readonly accounts = new AccountCounts(AccountCounts.allocate());
  readonly calls: CalledScript[] = [];

  constructor(server: ServerInMemory, options: WorldOptions = {}) {
    this.server = server;
    this.pool = fakeScriptPool(options);
    const { router } = server.running;
    this.executor = new ScriptExecutor({
      ...executorOptions(options.dispatcher?.(router) ?? router, () => server.now, this.pool),
      accounts: this.accounts,
      budgets: new ScriptBudgets(ScriptBudgets.allocate(), options.cpuMsPerSecond ?? 0, () => server.now),
      counts: this.counts,
    });
  }

  static async start(t: TestContext, options: WorldOptions = {}): Promise<ScriptWorld> {
    const { shards = 1 } = options;
    return new ScriptWorld(await ServerInMemory.start(t, { shards, keepBytes: 64 * 1024 * 1024 }), options);
  }

  /** Begins the call of a source. */
  eval(source: string, args: unknown = null, more: Partial<ScriptCallRequest> = {}): CalledScript {
    const request = { account: acme, source, args: JSON.stringify(args), keys: [], ...more };
    const { promise: answered, resolve } = Promise.withResolvers<void>();
    const call: { -readonly [Name in keyof CalledScript]: CalledScript[Name] } = {
      request,
      cancelable: { cancel: () => {} },
      answered,
      reply: undefined,
      disconnected: false,
    };
    const deliver = (reply: Reply): void => {
      assert.equal(call.reply, undefined, 'a call is answered once');
      call.reply = reply;
      resolve();
    };
    const sink = {
      get disconnected() {
        return call.disconnected;
      },
      deliver,
    };
    this.calls.push(call);
    call.cancelable = this.executor.call(request, sink);
    return call;
  }

  async run(source: string, args: unknown = null, more: Partial<ScriptCallRequest> = {}): Promise<AnsweredScript> {
    const call = this.eval(source, args, more);
    await this.server.until(call.answered);
    return answerOf(call);
  }

  async put(values: Readonly<Record<string, unknown>>): Promise<void> {
    const set = Object.entries(values).map(([key, value]) => ({ key, value: JSON.stringify(value) }));
    await this.server.ok(batch({ set }));
  }

  async value(key: string): Promise<unknown> {
    const reply = (await this.server.ok(batch({ get: [key] }))) as unknown as { KV: { Value?: unknown }[] };
    return reply.KV[0]!.Value;
  }

  /** Of those whose clients are there. */
  async allAnswered(): Promise<void> {
    const waited = this.calls.filter(({ disconnected }) => !disconnected).map(({ answered }) => answered);
    await this.server.until(Promise.all(waited));
    await this.server.settle();
  }

  /** All commits, in order. */
  commits(): CommitRecord[] {
    const source = new FileJournalSource(this.server.disk, '/data/journal');
    const last = revision(this.server.running.states.reduce((rev, { lastRev }) => Math.max(rev, lastRev), 0));
    const commits: CommitRecord[] = [];
    for (const { buffer, at } of source.replay(revision(0), last)) commits.push(decodeRecord(buffer, at));
    return commits;
  }
}

export function answerOf(call: CalledScript): AnsweredScript {
  assert.ok(call.reply !== undefined, 'it is answered');
  return JSON.parse(call.reply.body) as AnsweredScript;
}

/** What stands in the store, as a script reads it. */
class Model {
  readonly kv = new Map<string, { value: string; version: number }>();
  readonly counters = new Map<string, number>();

  apply({ rev, effects }: CommitRecord): void {
    for (const { kind, key, value } of effects) {
      if (kind === kinds.kv) {
        if (value === undefined) this.kv.delete(key);
        else this.kv.set(key, { value, version: rev });
      } else if (kind === kinds.counter) {
        if (value === undefined) this.counters.delete(key);
        else this.counters.set(key, Number(value));
      }
    }
  }

  /** Runs a script alone on this state. */
  run({ source = '', args }: ScriptCallRequest, now: number): ReturnType<typeof runNatively> {
    const entries: Record<string, { value: string; version: number } | null> = {};
    const counters: Record<string, number> = {};
    let lists: ScriptRun['reads']['lists'] = [];
    for (;;) {
      const reads = { entries, counters, lists };
      const outcome = runNatively({ sourceID: '', source, account: acme, args, now, seed: 0, cpuMs: 50, reads });
      if (outcome.kind !== 'needs') return outcome;
      for (const key of outcome.needs.keys) entries[key] = this.kv.get(key) ?? null;
      for (const key of outcome.needs.counters) counters[key] = this.counters.get(key) ?? 0;
      lists = outcome.needs.lists.map((list) => {
        const below = [...this.kv.keys()].filter((key) => key.startsWith(list.prefix) && key > list.after).toSorted();
        const page = below.slice(0, list.limit).map((key) => ({ key, ...this.kv.get(key)! }));
        return { ...list, entries: page, more: below.length > list.limit };
      });
    }
  }
}

/**
 * I28: each call that was committed equals a run alone on the state before its commit; one that only read, on the state
 * at its revision. I29: there is no commit of anything else.
 *
 * @param others revisions of commits that no script has made
 */
export function checkCalls(world: ScriptWorld, others: ReadonlySet<number>): { committed: number; read: number } {
  const byRev = new Map<number, CalledScript[]>();
  for (const call of world.calls) {
    if (call.reply?.outcome !== 'ok') continue;
    const { Rev } = answerOf(call);
    byRev.set(Rev, [...(byRev.get(Rev) ?? []), call]);
  }
  const model = new Model();
  const counts = { committed: 0, read: 0 };
  const check = (call: CalledScript, commit: CommitRecord | undefined): boolean => {
    const outcome = model.run(call.request, world.server.now);
    const { Result, Log } = answerOf(call);
    const what = `${call.request.source} ${call.request.args} at ${answerOf(call).Rev}`;
    if (outcome.kind !== 'done') return false;
    // To delete what is not there changes nothing.
    const writes = effectsOf(outcome.operations).filter(
      ([kind, key, value]) => kind === 'counter' || value !== undefined || model.kv.has(key),
    );
    if (writes.length > 0 !== (commit !== undefined)) return false;
    assert.deepEqual([Result, Log], [JSON.parse(outcome.result), outcome.log], what);
    if (commit !== undefined) assert.deepEqual(writtenIn(commit), writes, what);
    return true;
  };
  for (const commit of world.commits()) {
    const calls = byRev.get(commit.rev) ?? [];
    const writers = calls.filter((call) => check(call, commit));
    if (commit.account === acme && !others.has(commit.rev))
      assert.equal(writers.length, 1, `the commit ${commit.rev} is that of one call`);
    model.apply(commit);
    counts.committed += writers.length;
    for (const call of calls) {
      if (writers.includes(call)) continue;
      assert.ok(check(call, undefined), `${call.request.source} read what there is at ${commit.rev}`);
      counts.read += 1;
    }
    byRev.delete(commit.rev);
  }
  assert.equal(byRev.size, 0, 'each call has a revision that was committed');
  return counts;
}

type Written = readonly [kind: 'kv' | 'counter', key: string, value: string | undefined];

/** The last change of each key, and which counters are changed. */
function effectsOf(operations: Readonly<Record<string, unknown>>): Written[] {
  const sets = (operations['KVSet'] ?? []) as { Key: string; Value?: unknown; Delete?: true }[];
  const adds = (operations['Atomic'] ?? []) as { Key: string }[];
  const kv = new Map(sets.map(({ Key, Value, Delete }) => [Key, Delete ? undefined : JSON.stringify(Value)]));
  return [
    ...[...kv].map(([key, value]): Written => ['kv', key, value]),
    ...new Set(adds.map(({ Key }) => Key)).values().map((key): Written => ['counter', key, undefined]),
  ].toSorted((a, b) => (`${a[0]} ${a[1]}` < `${b[0]} ${b[1]}` ? -1 : 1));
}

function writtenIn({ effects }: CommitRecord): Written[] {
  return effects
    .flatMap(({ kind, key, value }): Written[] =>
      kind === kinds.kv ? [['kv', key, value]] : kind === kinds.counter ? [['counter', key, undefined]] : [],
    )
    .toSorted((a, b) => (`${a[0]} ${a[1]}` < `${b[0]} ${b[1]}` ? -1 : 1));
}
