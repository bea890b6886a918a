/**
 * One call of a script:
 *
 *   begun ─► read at one moment ─► run ─── needs more: at most 16 rounds ──► read
 *              ▲                    │ done, with something to write or to check
 *              │                    ▼
 *              └── has changed ── commit: operations and checks in one batch ─► answered
 *                  at most 8 tries
 *
 * All that is read is read again in each round, so a run sees one moment, and so does what it answers. Only further lists
 * are read apart: then even a call that writes nothing has its checks committed. From the third try on a call takes turns
 * with the others that have met it (turns.ts). It does nothing before its commit, and so can end at any step.
 */
import { failure } from '../protocol/errors.ts';
import { failureReply, isFailure, type Reply } from '../protocol/replies.ts';
import type { Revision } from '../protocol/ids.ts';
import type { IdempotencyRequest } from '../protocol/operations/idempotency.ts';
import type { Batch } from '../protocol/operations/operations.ts';
import { Refusal } from '../protocol/refusal.ts';
import type { AccountUse } from '../router/account-counts.ts';
import type { Dispatcher } from '../router/dispatcher.ts';
import { scriptCpuMsDefault } from '../shared/limits.ts';
import { quoted } from '../shared/text.ts';
import { CallRequests, movedIn } from './call-requests.ts';
import type { ScriptSource, ScriptSources } from './script-sources.ts';
import type { RunQueue } from './run-queue.ts';
import type { ScriptBudgets } from './script-budgets.ts';
import { CallFailed, fail, failureOfRun, scriptFailed, type ScriptCallRequest } from './script-call.ts';
import { scriptKeysMax, scriptRoundsMax, scriptTriesMax } from './script-limits.ts';
import { checksOf, momentOf, readBatches, Wanted, type Moment } from './script-reads.ts';
import type { ScriptCounts } from './script-counts.ts';
import type { ScriptNeeds, ScriptOutcome } from './script-run.ts';
import type { Turns } from './turns.ts';

/** From this try on a call takes turns with others. */
const turnsFrom = 3;

/** What all calls of a front end share. */
export interface CallContext {
  readonly dispatcher: Dispatcher;
  /** Checks the operations of a script as a body of `POST /db/:acc`. @throws Refusal */
  readonly toBatch: (operations: Readonly<Record<string, unknown>>, request: ScriptCallRequest) => Batch;
  readonly known: ScriptSources;
  readonly turns: Turns;
  readonly runs: RunQueue;
  readonly budgets: ScriptBudgets;
  readonly counts: ScriptCounts;
}

type Done = Extract<ScriptOutcome, { kind: 'done' }>;
/** What a run came to that read all it needed. */
type Ended = Exclude<ScriptOutcome, { kind: 'needs' }>;

export interface BegunCall {
  readonly request: ScriptCallRequest;
  readonly use: AccountUse;
  readonly now: number;
  readonly seed: number;
  /** Empty without idempotency ids. */
  readonly fingerprint: string;
  /** Memory of the request. */
  readonly bytes: number;
  /** The memory of what was read counts as well. */
  readonly hold: (bytes: number) => void;
}

export class CallUnderWay {
  readonly #context: CallContext;
  readonly #call: BegunCall;
  readonly #wanted: Wanted;
  readonly #look: IdempotencyRequest | undefined;
  #script: ScriptSource | undefined;
  #rev = 0 as Revision;
  #tries = 0;
  #cpuMs = 0;
  readonly #requests: CallRequests;

  constructor(context: CallContext, call: BegunCall) {
    this.#context = context;
    this.#call = call;
    const { keys, idempotency } = call.request;
    this.#requests = new CallRequests(context.dispatcher, call.bytes);
    this.#wanted = new Wanted(keys);
    this.#look = idempotency && { ...idempotency, fingerprint: call.fingerprint, look: true };
  }

  /** Of all its runs. */
  get cpuMs(): number {
    return this.#cpuMs;
  }

  get tries(): number {
    return this.#tries;
  }

  /** Ends the call at its next step, or where it waits. What it has committed stays. */
  end(reply: Reply): void {
    this.#requests.end(reply);
  }

  /** @returns the reply */
  async answer(): Promise<Reply> {
    const moved = new Set<string>();
    try {
      for (;;) {
        this.#tries += 1;
        const reply = await this.#inTurn(moved);
        if ('outcome' in reply) return reply;
        for (const key of reply) moved.add(key);
        this.#context.counts.conflict();
        if (this.#tries === scriptTriesMax) return this.#conflict([...reply]);
      }
    } catch (error) {
      if (error instanceof CallFailed) return error.reply;
      throw error;
    }
  }

  /** One try. @returns the keys that have changed meanwhile */
  async #inTurn(moved: ReadonlySet<string>): Promise<Reply | ReadonlySet<string>> {
    const { turns } = this.#context;
    const { account } = this.#call.request;
    const keys = new Set(this.#tries < turnsFrom ? [] : moved);
    if (turns.any) for (const key of this.#wanted.keys) if (turns.isTaken(account, key)) keys.add(key);
    if (keys.size === 0) return this.#try();
    const end = await turns.take(account, keys, this.#requests);
    try {
      return await this.#try();
    } finally {
      end();
    }
  }

  async #try(): Promise<Reply | ReadonlySet<string>> {
    for (let round = 1; ; round += 1) {
      const moment = await this.#read();
      if ('outcome' in moment) return moment;
      const outcome = await this.#run(moment);
      if (outcome.kind !== 'needs') return this.#ended(moment, outcome);
      if (!this.#wanted.add(outcome.needs) || round === scriptRoundsMax) {
        const message = `it asked for more in each of ${scriptRoundsMax} rounds; name its Keys, or use getAll`;
        return this.#fail(scriptFailed({ name: 'LimitError', message }));
      }
      const { size } = this.#wanted;
      if (size > scriptKeysMax) {
        const message = `it reads ${size} keys; expected at most ${scriptKeysMax}`;
        return this.#fail(scriptFailed({ name: 'LimitError', message }));
      }
    }
  }

  /** @returns what was read, or what this request was answered before */
  async #read(): Promise<Moment | Reply> {
    const { account } = this.#call.request;
    const batches = readBatches(account, this.#wanted, this.#look);
    const script = this.#findScript();
    const [, ...replies] = await Promise.all([script, ...batches.map((batch) => this.#requests.ask(batch))]);
    for (const reply of replies) {
      if (reply.replayed === true) return reply;
      if (reply.outcome === 'too_large') {
        const message = 'it reads more than 4 MiB';
        return this.#fail(scriptFailed({ name: 'LimitError', message }));
      }
      if (isFailure(reply.outcome)) return reply;
    }
    const moment = momentOf(this.#wanted, replies);
    this.#seen(moment.rev);
    this.#call.hold(this.#call.bytes + moment.bytes);
    return moment;
  }

  /** With the first read: which source it is. */
  async #findScript(): Promise<void> {
    if (this.#script !== undefined) return;
    const { script, rev } = await this.#context.known.find(this.#call.request, this.#requests);
    this.#script = script;
    this.#seen(rev);
  }

  async #run({ reads, bytes }: Moment): Promise<ScriptOutcome> {
    const { runs, budgets, counts } = this.#context;
    const { request, use, now, seed } = this.#call;
    const { account, args, cpuMs = scriptCpuMsDefault } = request;
    const outcome = await runs.run(use, {
      bytes: args.length + bytes,
      begin: () => {
        this.#requests.throwIfOver();
        const refused = budgets.refusal(account);
        if (refused !== undefined) return this.#fail(refused);
        const { source, sourceID } = this.#script!;
        return { sourceID, source, account, args, now, seed, cpuMs, reads };
      },
    });
    this.#cpuMs += outcome.cpuMs;
    budgets.charge(account, outcome.cpuMs, outcome.kind === 'killed');
    counts.ran(outcome.cpuMs, outcome.kind === 'killed');
    this.#requests.throwIfOver();
    return outcome;
  }

  async #ended(moment: Moment, outcome: Ended): Promise<Reply | ReadonlySet<string>> {
    if (outcome.kind === 'done') return this.#commit(moment, outcome);
    const why = failureOfRun(outcome, this.#call.request.cpuMs ?? scriptCpuMsDefault);
    // What took too long says nothing of what it has read.
    if (moment.one || outcome.kind === 'timeout' || outcome.kind === 'killed') return this.#fail(why);
    return this.#unless(moment, outcome.kind === 'refused' ? outcome.reads : undefined, why);
  }

  /** Fails, if what the run has seen is the same still. */
  async #unless(
    moment: Moment,
    looked: ScriptNeeds | undefined,
    why: Parameters<typeof fail>[1],
  ): Promise<ReadonlySet<string>> {
    const { account } = this.#call.request;
    const checked = await this.#requests.ask({
      kind: 'batch',
      account,
      format: 'script.call',
      ...checksOf(moment, looked),
    });
    this.#seen(checked.rev);
    return movedIn(checked) ?? this.#fail(why);
  }

  async #commit(moment: Moment, outcome: Done): Promise<Reply | ReadonlySet<string>> {
    const { request, fingerprint } = this.#call;
    const { account, guard = [], idempotency, taskEnd } = request;
    const { operations, reads } = outcome;
    const writes = Object.keys(operations).length > 0;
    const members = this.#members(outcome);
    if (!writes && guard.length === 0 && idempotency === undefined && taskEnd === undefined && moment.one) {
      const rev = this.#rev === 0 ? (await this.#anyRead()).rev : this.#rev;
      return { rev, outcome: 'ok', body: `{${members}"Rev":${rev}}` };
    }
    const own: Partial<Batch> = writes ? this.#batchOf(operations) : {};
    const guards = [...(own.guard ?? []), ...guard];
    const reply = await this.#requests.ask({
      ...own,
      kind: 'batch',
      account,
      format: 'script.call',
      ...checksOf(moment, reads),
      ...(guards.length > 0 && { guard: guards }),
      ...(taskEnd !== undefined && { taskEnd: [taskEnd()] }),
      ...(idempotency !== undefined && {
        idempotency: { ...idempotency, fingerprint },
        answer: { key: idempotency.ids[0]!, members },
      }),
    });
    const moved = movedIn(reply);
    if (moved !== undefined) return moved;
    if (isFailure(reply.outcome) || reply.replayed === true) return reply;
    return { ...reply, body: `{${members}"Rev":${reply.rev}}` };
  }

  #batchOf(operations: Readonly<Record<string, unknown>>): Batch {
    try {
      return this.#context.toBatch(operations, this.#call.request);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return this.#fail(scriptFailed({ name: 'OperationError', message: error.message }));
    }
  }

  /** The members of the reply but `Rev`. */
  #members({ result, log }: Done): string {
    const { name } = this.#call.request;
    const version = name === undefined ? '' : `"Version":${this.#script!.version},`;
    const cpuMs = Math.round(this.#cpuMs * 1000) / 1000;
    return `"Result":${result},"Log":${JSON.stringify(log)},${version}"Tries":${this.#tries},"CPUMs":${cpuMs},`;
  }

  #conflict(keys: readonly string[]): Reply {
    const message =
      `What the script had read changed in each of ${scriptTriesMax} tries: ${keys.map(quoted).join(', ')}; ` +
      'nothing was done, try again.';
    return failureReply(this.#rev, failure('conflict', message, { Keys: keys }));
  }

  /** A call that has read nothing depends on no revision: it has that of now. */
  #anyRead(): Promise<Reply> {
    const { account } = this.#call.request;
    return this.#requests.ask({ kind: 'batch', account, format: 'script.call', get: ['-'] });
  }

  #seen(rev: Revision): void {
    if (rev > this.#rev) this.#rev = rev;
  }

  #fail(why: Parameters<typeof fail>[1]): never {
    return fail(this.#rev, why);
  }
}
