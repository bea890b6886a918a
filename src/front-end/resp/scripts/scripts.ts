/**
 * EVAL of one front end, and EXEC with scripts in it: an optimistic transaction.
 *
 *   read all keys with their versions ─► run on that copy ─► write what it comes to, if the versions are the same still
 *     ▲                                                        │ another has changed a key
 *     └────────────── at most `attemptsMax` times ─────────────┘
 *
 * Scripts of this front end that share a key run one after the other, so that they do not undo each other's work. One that
 * has lost `lossesMax` times claims its keys: then those of other front ends let it pass, and only other commands come in
 * between. The memory of a run, with what it has read, counts as arriving.
 */
import type { AccountId } from '../../../protocol/ids.ts';
import { FootprintQueue, type WaitingCommand } from '../../../protocol/footprint-queue.ts';
import { FootprintSet, nameOf } from '../../../protocol/footprint.ts';
import { integerIn, resultNil, resultsIn, type StringOp } from '../../../protocol/operations/string-op.ts';
import type { Batch } from '../../../protocol/operations/operations.ts';
import { isFailure, type Reply } from '../../../protocol/replies.ts';
import type { RespClient, ScriptRunner, ScriptTransaction } from '../command.ts';
import { failedReplyText } from '../resp-error.ts';
import { errorText } from '../writer.ts';
import { ScriptCache, shaOf } from './script-cache.ts';
import { ScriptExchange, type ScriptExchangeOptions } from './script-exchange.ts';
import type { ScriptKey, ScriptPart } from './script-messages.ts';
import { ScriptQueue, type ScriptQueueOptions } from './script-queue.ts';

const attemptsMax = 16;
const lossesMax = 2;
const opsOfKey = 3;
/** Bytes of the values that one script reads. */
const readBytesMax = 4 * 1024 * 1024;
const emptyRunBytes = 4096;

export type ScriptsOptions = ScriptQueueOptions & Omit<ScriptExchangeOptions, 'cache' | 'withhold'>;

interface Run extends WaitingCommand {
  readonly client: RespClient;
  readonly of: ScriptTransaction;
  /** Of the first script. */
  readonly sha: string;
  readonly keys: readonly string[];
  readonly done: (text: string) => void;
  attempts: number;
  /** It is among those under way. */
  begun: boolean;
  /** Ends its claim. */
  unclaim: (() => void) | undefined;
  ended: boolean;
  giveUp(): void;
}

export class Scripts implements ScriptRunner {
  readonly #queue: ScriptQueue;
  readonly #cache = new ScriptCache();
  readonly #exchange: ScriptExchange;
  readonly #underWay = new FootprintSet();
  readonly #waiting = new FootprintQueue<Run>();

  constructor(options: ScriptsOptions) {
    this.#queue = new ScriptQueue(options);
    this.#exchange = new ScriptExchange({
      ...options,
      cache: this.#cache,
      withhold: (account, footprint) => {
        this.#underWay.add(footprint);
        return () => {
          this.#underWay.remove(footprint);
          this.#release(account);
        };
      },
    });
  }

  known(account: string, sha: string): string | undefined {
    return this.#cache.get(account, sha);
  }

  add(account: string, sha: string, source: string): void {
    this.#cache.add(account, sha, source);
  }

  find(account: string, sha: string, done: (source: string | undefined) => void): void {
    const source = this.#cache.get(account, sha);
    if (source !== undefined) return done(source);
    this.#exchange.find(account, sha, (found) => {
      if (found !== undefined) this.#cache.add(account, sha, found);
      done(found);
    });
  }

  load(client: RespClient, source: string, done: (text: string | undefined, sha: string) => void): void {
    const { account, writer } = client;
    const sha = shaOf(source);
    const part = { kind: 'script', sha, source, keys: [], names: [], args: [], readOnly: true } as const;
    const nothing = { transaction: false, read: [], now: 0, protocol: writer.protocol };
    this.#queue.run({ account, sha, parts: [part], ...nothing, compileOnly: true }, ({ reply }) => {
      if (reply === '') this.#cache.add(account, sha, source);
      done(reply === '' ? undefined : reply, sha);
    });
  }

  clear(account: string, done: () => void): void {
    this.#cache.clear(account);
    this.#exchange.clear(account, done);
  }

  run(client: RespClient, of: ScriptTransaction, done: (text: string) => void): void {
    const { account, context } = client;
    const { watched = [], guard = [] } = of.transaction ?? {};
    const names = [...new Set([...of.keys, ...watched.map(([key]) => key)])];
    const most = Math.floor(context.limits.batch_operations_max / opsOfKey);
    if (names.length + guard.length > most)
      return done(errorText(`ERR scripts have at most ${most} keys in all (limits.batch_operations_max)`));
    const run: Run = {
      account,
      footprint: { names: names.map((key) => nameOf(account, key)) },
      client,
      of,
      sha: of.parts.find((part) => part.kind === 'script')?.sha ?? '',
      keys: names,
      done,
      attempts: 0,
      begun: false,
      unclaim: undefined,
      ended: false,
      giveUp: () => this.#end(run, errorText('TRYAGAIN scripts hold too many bytes (limits.arriving_bytes_max)')),
    };
    this.#hold(run, 0);
    if (this.#underWay.conflicts(run.footprint) || this.#waiting.conflicts(run.footprint)) this.#waiting.add(run);
    else this.#begin(run);
  }

  async close(): Promise<void> {
    this.#exchange.close();
    await this.#queue.close();
  }

  #hold(run: Run, readBytes: number): void {
    let bytes = emptyRunBytes + readBytes;
    for (const part of run.of.parts) bytes += bytesOfPart(part);
    run.client.context.arriving.hold(run, bytes, run.account);
  }

  #begin(run: Run): void {
    run.begun = true;
    this.#underWay.add(run.footprint);
    this.#attempt(run);
  }

  #attempt(run: Run): void {
    if (run.ended || run.client.disconnected) return this.#end(run, '');
    run.attempts += 1;
    if (run.attempts > attemptsMax)
      return this.#end(run, errorText('BUSY the keys of the script change all the time; try again'));
    if (run.attempts > lossesMax) run.unclaim ??= this.#exchange.claim(run.account, run.footprint);
    const guard = run.of.transaction?.guard ?? [];
    if (run.keys.length + guard.length === 0) return this.#perform(run, []);
    const ops = run.keys.flatMap((key): StringOp[] => [
      { kind: 'get', key },
      { kind: 'ttl', key, at: true },
      { kind: 'version', key },
    ]);
    this.#ask(
      run,
      {
        kind: 'batch',
        account: run.account,
        format: ops.length === 0 ? 'batch' : 'ops',
        ...(ops.length > 0 && { ops }),
        ...(guard.length > 0 && { guard }),
        replyBytesMax: readBytesMax,
      },
      (reply) => {
        if (isFailure(reply.outcome)) return this.#end(run, failedReplyText(reply));
        this.#hold(run, reply.body.length);
        this.#perform(run, readOf(run.keys, reply));
      },
    );
  }

  #perform(run: Run, read: readonly ScriptKey[]): void {
    const { client, account, sha, of } = run;
    const { context, writer } = client;
    const { watched = [], guard = [] } = of.transaction ?? {};
    const versions = new Map(read.map(({ key, version }) => [key, version]));
    if (watched.some(([key, version]) => versions.get(key) !== version)) return this.#end(run, writer.nilArray);
    const given = { parts: of.parts, transaction: of.transaction !== undefined, read };
    const request = { account, sha, ...given, now: context.serverTime(), protocol: writer.protocol };
    this.#queue.run({ ...request, compileOnly: false }, ({ reply, effects }) => {
      if (effects.length === 0 || run.ended) return this.#end(run, reply);
      // From here on it cannot be given up: it may happen.
      client.context.arriving.release(run);
      const check = read.map(({ key, version }) => ({ key, version }));
      const conditions = guard.length > 0 ? { check, guard } : { check };
      this.#ask(run, { kind: 'batch', account, format: 'ops', ...conditions, ops: effects }, (committed) => {
        if (committed.outcome === 'version_mismatch') return this.#attempt(run);
        this.#end(run, isFailure(committed.outcome) ? failedReplyText(committed) : reply);
      });
    });
  }

  #ask(run: Run, batch: Batch, done: (reply: Reply) => void): void {
    if (run.client.disconnected) return this.#end(run, '');
    // A reply that finds nobody does not come, and what waits must go on.
    const gone = run.client.onClose(() => this.#end(run, ''));
    run.client.ask(batch, (reply) => {
      gone();
      if (!run.ended) done(reply);
    });
  }

  #end(run: Run, text: string): void {
    if (run.ended) return;
    run.ended = true;
    run.client.context.arriving.release(run);
    if (run.begun) this.#underWay.remove(run.footprint);
    run.unclaim?.();
    run.done(text);
    this.#release(run.account);
  }

  #release(account: AccountId): void {
    const more = this.#waiting.release(
      account,
      (footprint) => this.#underWay.conflicts(footprint),
      (run) => (run.ended ? undefined : this.#begin(run)),
    );
    if (more) setImmediate(() => this.#release(account));
  }
}

function bytesOfPart(part: ScriptPart): number {
  let bytes = part.kind === 'text' ? part.text.length : 0;
  if (part.kind === 'script') bytes += part.source.length;
  if (part.kind !== 'text') for (const text of part.args) bytes += text.length;
  if (part.kind === 'script') for (const text of part.names) bytes += text.length;
  return bytes;
}

function readOf(keys: readonly string[], { body }: Reply): ScriptKey[] {
  const results = resultsIn(body, keys.length * opsOfKey);
  return keys.map((key, i) => {
    const [value, till, version] = [results[i * opsOfKey]!, results[i * opsOfKey + 1]!, results[i * opsOfKey + 2]!];
    const found = { key, till: Math.max(0, integerIn(till)), version: integerIn(version) };
    return value === resultNil ? found : { ...found, value };
  });
}
