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
import { isFailure, type Reply } from '../protocol/replies.ts';
import type { Revision } from '../protocol/ids.ts';
import type { IdempotencyRequest } from '../protocol/operations/idempotency.ts';
import type { Batch, Command } from '../protocol/operations/operations.ts';
import { Refusal } from '../protocol/refusal.ts';
import type { AccountUse } from '../router/account-counts.ts';
import type { Cancelable, Dispatcher, ReplySink } from '../router/dispatcher.ts';
import { scriptCpuMsDefault, scriptKeysMax, scriptRoundsMax, scriptTriesMax } from '../shared/limits.ts';
import { quoted } from '../shared/text.ts';
import { sourceIDOf, type KnownScript, type KnownScripts } from './known-scripts.ts';
import type { RunQueue } from './run-queue.ts';
import type { ScriptBudgets } from './script-budgets.ts';
import { CallFailed, fail, scriptFailed, type ScriptRequest } from './script-call.ts';
import { checksOf, momentOf, readBatches, Wanted, type Moment } from './script-reads.ts';
import type { ScriptCounts } from './script-counts.ts';
import type { ScriptNeeds, ScriptOutcome, ScriptPool } from './script-run.ts';
import type { Turns } from './turns.ts';

/** From this try on a call takes turns with others. */
const turnsFrom = 3;

/** What all calls of a front end share. */
export interface CallContext {
  readonly dispatcher: Dispatcher;
  readonly pool: () => ScriptPool;
  /** Checks the operations of a script as a body of `POST /db/:acc`. @throws Refusal */
  readonly toBatch: (operations: Readonly<Record<string, unknown>>, request: ScriptRequest) => Batch;
  readonly known: KnownScripts;
  readonly turns: Turns;
  readonly runs: RunQueue;
  readonly budgets: ScriptBudgets;
  readonly counts: ScriptCounts;
}

type Done = Extract<ScriptOutcome, { kind: 'done' }>;
/** What a run came to that read all it needed. */
type Ended = Exclude<ScriptOutcome, { kind: 'needs' }>;

export interface BegunCall {
  readonly request: ScriptRequest;
  readonly use: AccountUse;
  readonly now: number;
  readonly seed: number;
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
  #script: KnownScript | undefined;
  #rev = 0 as Revision;
  #tries = 0;
  #cpuMs = 0;
  /** What it has asked for and has no reply to. */
  readonly #asked = new Set<Asked>();
  #over: CallFailed | undefined;

  constructor(context: CallContext, call: BegunCall) {
    this.#context = context;
    this.#call = call;
    const { keys, idempotency } = call.request;
    this.#wanted = new Wanted(keys);
    this.#look = idempotency && { ...idempotency, fingerprint: call.fingerprint, look: true };
  }

  get tries(): number {
    return this.#tries;
  }

  /** Ends the call at its next step, or where it waits. What it has committed stays. */
  end(reply: Reply): void {
    this.#over ??= new CallFailed(reply);
    for (const asked of this.#asked) asked.giveUp(this.#over);
    this.#asked.clear();
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
    const end = await turns.take(
      account,
      keys,
      (command) => this.#ask(command),
      (command) => this.#tell(command),
    );
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
    const [, ...replies] = await Promise.all([script, ...batches.map((batch) => this.#ask(batch))]);
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
    const { known } = this.#context;
    const { account, name, version, source } = this.#call.request;
    if (this.#script !== undefined) return;
    if (name === undefined) {
      this.#script = { version: 0, source: source!, sourceID: sourceIDOf(account, source!) };
      return;
    }
    const before = known.get(account, name, version);
    const asked = before === undefined ? {} : { known: before.version };
    const wanted = version === undefined ? {} : { version };
    const reply = await this.#ask({ kind: 'script.get', account, id: name, ...wanted, ...asked });
    if (isFailure(reply.outcome)) throw new CallFailed(reply);
    this.#seen(reply.rev);
    const found = JSON.parse(reply.body) as { readonly Version: number; readonly Source?: string };
    if (found.Source === undefined) {
      this.#script = before!;
      return;
    }
    this.#script = { version: found.Version, source: found.Source, sourceID: sourceIDOf(account, found.Source) };
    known.add(account, name, version, this.#script);
  }

  async #run({ reads }: Moment): Promise<ScriptOutcome> {
    const { runs, budgets, pool, counts } = this.#context;
    const { request, use, now, seed } = this.#call;
    const { account, args, cpuMs = scriptCpuMsDefault } = request;
    await runs.enter(use);
    try {
      if (this.#over !== undefined) throw this.#over;
      const refused = budgets.refusal(account);
      if (refused !== undefined) return this.#fail(refused);
      const { source, sourceID } = this.#script!;
      const outcome = await pool().run({ sourceID, source, account, args, now, seed, cpuMs, reads });
      this.#cpuMs += outcome.cpuMs;
      budgets.charge(account, outcome.cpuMs, outcome.kind === 'killed');
      counts.ran(outcome.cpuMs, outcome.kind === 'killed');
      if (this.#over !== undefined) throw this.#over;
      return outcome;
    } finally {
      runs.leave(use);
    }
  }

  async #ended(moment: Moment, outcome: Ended): Promise<Reply | ReadonlySet<string>> {
    switch (outcome.kind) {
      case 'done':
        return this.#commit(moment, outcome);
      case 'refused': {
        const { reason, details, log, reads } = outcome;
        const Details: unknown = details === undefined ? undefined : JSON.parse(details);
        const message = `The script refused: ${reason}; nothing was done.`;
        const refused = { Reason: reason, ...(details !== undefined && { Details }), Log: log };
        return this.#unless(moment, reads, failure('script_refused', message, refused));
      }
      case 'failed':
        return this.#unless(moment, undefined, scriptFailed(outcome.error, outcome.log));
      case 'timeout': {
        const most = this.#call.request.cpuMs ?? scriptCpuMsDefault;
        const message = `The script took more than ${most} ms of CPU time; it was ended, and nothing was done.`;
        return this.#fail(failure('script_timeout', message, { CPUMs: outcome.cpuMs, Log: outcome.log }));
      }
      case 'killed': {
        const message = 'The script could not be interrupted; its thread was killed, and nothing was done.';
        return this.#fail(failure('script_timeout', message, { CPUMs: outcome.cpuMs, Killed: true }));
      }
    }
  }

  /** Fails, if what the run has seen was of one moment, or is the same still. */
  async #unless(
    moment: Moment,
    looked: ScriptNeeds | undefined,
    why: Parameters<typeof fail>[1],
  ): Promise<ReadonlySet<string>> {
    if (moment.one) return this.#fail(why);
    const { account } = this.#call.request;
    const checked = await this.#ask({ kind: 'batch', account, format: 'script.call', ...checksOf(moment, looked) });
    this.#seen(checked.rev);
    return movedIn(checked) ?? this.#fail(why);
  }

  async #commit(moment: Moment, outcome: Done): Promise<Reply | ReadonlySet<string>> {
    const { request, fingerprint } = this.#call;
    const { account, guard = [], idempotency } = request;
    const { operations, reads } = outcome;
    const writes = Object.keys(operations).length > 0;
    const members = this.#members(outcome);
    if (!writes && guard.length === 0 && idempotency === undefined && moment.one) {
      const rev = this.#rev === 0 ? (await this.#anyRead()).rev : this.#rev;
      return { rev, outcome: 'ok', body: `{${members}"Rev":${rev}}` };
    }
    const own: Partial<Batch> = writes ? this.#batchOf(operations) : {};
    const guards = [...(own.guard ?? []), ...guard];
    const reply = await this.#ask({
      ...own,
      kind: 'batch',
      account,
      format: 'script.call',
      ...checksOf(moment, reads),
      ...(guards.length > 0 && { guard: guards }),
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
    return this.#replyOf(failure('conflict', message, { Keys: keys }));
  }

  /** A call that has read nothing depends on no revision: it has that of now. */
  #anyRead(): Promise<Reply> {
    const { account } = this.#call.request;
    return this.#ask({ kind: 'batch', account, format: 'script.call', get: ['-'] });
  }

  #seen(rev: Revision): void {
    if (rev > this.#rev) this.#rev = rev;
  }

  #fail(why: Parameters<typeof fail>[1]): never {
    return fail(this.#rev, why);
  }

  #replyOf(why: Parameters<typeof fail>[1]): Reply {
    try {
      return this.#fail(why);
    } catch (error) {
      return (error as CallFailed).reply;
    }
  }

  #ask(command: Command): Promise<Reply> {
    if (this.#over !== undefined) return Promise.reject(this.#over);
    return new Promise((resolve, reject) => {
      const deliver = (reply: Reply): void => {
        this.#asked.delete(asked);
        resolve(reply);
      };
      const asked = new Asked(this.#call.bytes, deliver, reject);
      this.#asked.add(asked);
      asked.cancelable = this.#context.dispatcher.request(command, asked);
    });
  }

  #tell(command: Command): void {
    this.#context.dispatcher.request(command, { disconnected: false, deliver: () => {} });
  }
}

/** A request of the call. Once it is given up, a mutex that it is given goes back. */
class Asked implements ReplySink {
  readonly bytes: number;
  readonly deliver: (reply: Reply) => void;
  readonly #reject: (reason: CallFailed) => void;
  cancelable: Cancelable | undefined;
  disconnected = false;

  constructor(bytes: number, deliver: (reply: Reply) => void, reject: (reason: CallFailed) => void) {
    this.bytes = bytes;
    this.deliver = deliver;
    this.#reject = reject;
  }

  giveUp(reason: CallFailed): void {
    this.disconnected = true;
    this.cancelable?.cancel();
    this.#reject(reason);
  }
}

interface FailedBody {
  readonly Failed?: readonly { readonly Field: string; readonly Key?: string }[];
}

/** Returns what has changed since it was read; undefined: nothing has. */
function movedIn({ outcome, body }: Reply): ReadonlySet<string> | undefined {
  if (!isFailure(outcome)) return undefined;
  const { Failed = [] } = JSON.parse(body) as FailedBody;
  const moved = Failed.filter(({ Field }) => Field.startsWith('Check[') || Field === 'Same');
  return moved.length === 0 ? undefined : new Set(moved.flatMap(({ Key }) => Key ?? []));
}
