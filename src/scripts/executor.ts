/**
 * Calls of scripts through one front end. It reads and commits over the dispatcher, and has threads run what is between:
 * shards wait for no script. A call is counted against its account until it is answered; what it holds in memory counts
 * as a slow client's bytes do, and the oldest call of the account that holds the most is given up first.
 */
import { hash } from 'node:crypto';
import { failure, type Failure } from '../protocol/errors.ts';
import type { AccountId, Revision } from '../protocol/ids.ts';
import type { Batch } from '../protocol/operations/operations.ts';
import { failureReply, type Reply } from '../protocol/replies.ts';
import type { AccountCounts } from '../router/account-counts.ts';
import type { Cancelable, Dispatcher, ReplySink } from '../router/dispatcher.ts';
import { scriptRunsMax, scriptWaitingMax } from './script-limits.ts';
import { CallUnderWay, type CallContext } from './call-under-way.ts';
import { ScriptSources } from './script-sources.ts';
import { RunQueue } from './run-queue.ts';
import type { OwnCpuTime, ScriptBudgets } from './script-budgets.ts';
import { sourceRefused, type ScriptCallRequest } from './script-call.ts';
import type { ScriptCounts, ScriptTotals } from './script-counts.ts';
import { ScriptTallies, type ScriptTally } from './script-tallies.ts';
import type { ScriptPool } from './script-run.ts';
import { Turns } from './turns.ts';

/** Memory that calls hold: over its limit it gives calls up. */
export interface CallMemory {
  hold(owner: CallUnderWay, bytes: number, account: string): void;
  release(owner: CallUnderWay): void;
}

export interface ScriptExecutorOptions {
  readonly dispatcher: Dispatcher;
  readonly pool: ScriptPool;
  /** See `CallContext`. */
  readonly toBatch: (operations: Readonly<Record<string, unknown>>, request: ScriptCallRequest) => Batch;
  readonly accounts: AccountCounts;
  readonly budgets: ScriptBudgets;
  readonly counts: ScriptCounts;
  /** @param giveUp ends a call */
  readonly memory: (giveUp: (call: CallUnderWay) => void) => CallMemory;
  readonly serverTime: () => number;
  /** Differs in each start and each front end: seeds come from it. */
  readonly boot: string;
  /** A bug: the error of a call that has no reply. */
  readonly onBug: (error: unknown, sink: ReplySink) => void;
}

const callBytes = 4096;
const mostCalls = scriptRunsMax + scriptWaitingMax;
const none = 0 as Revision;

export class ScriptExecutor {
  readonly #options: ScriptExecutorOptions;
  readonly #context: CallContext;
  readonly #memory: CallMemory;
  readonly #underWay = new Set<CallUnderWay>();
  readonly #tallies = new ScriptTallies();
  #draining = false;
  readonly #boot: Int32Array;
  #calls = 0;

  constructor(options: ScriptExecutorOptions) {
    this.#options = options;
    const { dispatcher, toBatch, budgets, counts } = options;
    this.#boot = new Int32Array(Uint8Array.from(hash('sha256', options.boot, 'buffer')).buffer);
    this.#context = {
      dispatcher,
      toBatch,
      budgets,
      counts,
      known: new ScriptSources(),
      turns: new Turns(),
      runs: new RunQueue(options.pool),
    };
    this.#memory = options.memory((call) => call.end(failureReply(none, tooMuchMemory)));
  }

  /** Compiles a source, at the cost of the account. @returns why it is not to be stored */
  async check(account: AccountId, source: string): Promise<Failure | undefined> {
    const { budgets, counts, pool } = this.#options;
    const refused = budgets.refusal(account);
    if (refused !== undefined) return refused;
    const { fault, cpuMs, killed } = await pool.check(source, account);
    budgets.charge(account, cpuMs, killed);
    counts.compiled(cpuMs, killed);
    return fault && sourceRefused(fault);
  }

  /** Reads before it returns, so that calls and other requests of a connection keep their order. */
  call(request: ScriptCallRequest, sink: ReplySink): Cancelable {
    const { accounts, budgets, counts, serverTime } = this.#options;
    const { account, args, source = '' } = request;
    const use = accounts.use(account);
    const refused = this.#draining
      ? goingDown
      : (budgets.refusal(account) ?? (use.take('scripts', mostCalls) ? undefined : tooMany));
    if (refused !== undefined) {
      accounts.release(use);
      sink.deliver(failureReply(none, refused));
      return { cancel() {} };
    }
    this.#calls += 1;
    const bytes = callBytes + 2 * (args.length + source.length) + (sink.bytes ?? 0);
    const call: CallUnderWay = new CallUnderWay(this.#context, {
      request,
      use,
      bytes,
      now: serverTime(),
      seed: this.#seed(),
      fingerprint: request.idempotency === undefined ? '' : fingerprintOf(request),
      hold: (held) => this.#memory.hold(call, held, account),
    });
    this.#underWay.add(call);
    counts.call(1);
    this.#memory.hold(call, bytes, account);
    void this.#answer(call, request, sink).finally(() => {
      this.#underWay.delete(call);
      counts.call(-1);
      this.#memory.release(call);
      use.give('scripts');
      accounts.release(use);
    });
    return { cancel: () => call.end(failureReply(none, goneClient)) };
  }

  /** What its scripts have come to here. */
  talliesOf(account: AccountId): ScriptTally[] {
    return this.#tallies.of(account);
  }

  /** CPU time of single accounts, from the next run on. */
  replaceBudgets(own: OwnCpuTime): void {
    this.#options.budgets.replace(own);
  }

  /** Of all front ends. */
  totals(): ScriptTotals {
    return this.#options.counts.totals();
  }

  /** Ends all calls: each is answered, and what has not committed does nothing. */
  drain(): void {
    this.#draining = true;
    for (const call of this.#underWay) call.end(failureReply(none, goingDown));
  }

  async close(): Promise<void> {
    await this.#options.pool.close();
  }

  async #answer(call: CallUnderWay, request: ScriptCallRequest, sink: ReplySink): Promise<void> {
    let reply: Reply;
    try {
      reply = await call.answer();
    } catch (error) {
      return this.#options.onBug(error, sink);
    }
    const { account, name } = request;
    if (name !== undefined && call.tries > 0 && reply.outcome !== 'not_found')
      this.#tallies.add(account, name, reply, call.cpuMs, this.#options.serverTime());
    if (!sink.disconnected) sink.deliver(reply);
  }

  /** 32 bits that differ from call to call. */
  #seed(): number {
    const [first = 0, second = 0] = this.#boot;
    return mixed(mixed(this.#calls ^ first) ^ second) >>> 0;
  }
}

/** The end of MurmurHash3: each of 32 bits depends on all, and no two numbers come to the same. */
function mixed(number: number): number {
  let bits = number;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}

/** Digests what a call asks for. `Keys` only help to read. */
function fingerprintOf({ name, source, version, args }: ScriptCallRequest): string {
  return hash('sha256', JSON.stringify([name, source, version, args]), 'base64url').slice(0, 22);
}

const goingDown = failure('draining', 'The server is going down; nothing was done. Try again soon.');
const goneClient = failure('internal', 'The client has disconnected.');
const tooMuchMemory = failure(
  'overloaded',
  'Calls of scripts hold too many bytes (limits.arriving_bytes_max), and this one was the oldest; nothing was done.',
);
const tooMany = failure(
  'too_many_waiters',
  `${mostCalls} calls of this account are under way already; nothing was done, try again when some have ended.`,
  { Quota: 'scripts', Limit: mostCalls },
);
