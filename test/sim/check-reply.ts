/**
 * Whether one answer can be true, given the timeline: an independent and naive reading of the contract, deliberately
 * weaker than a model (what it cannot know it lets pass; the witness checker, which replays everything, does not).
 *
 * A commit is judged by the entries as of the revision before it and by its record, a refusal or a read by the entries
 * as of the revision that it names (I7, I8, I13, I15). Entries with a deadline are over at some moment between the
 * request and its answer, or not: where the deadline lies in between, either is right.
 */
import { kinds } from '../../src/protocol/record.ts';
import type { Reply } from '../../src/protocol/replies.ts';
import type { ReplyBody } from '../support/reply-body.ts';
import { bankPrefix, type Stored, type Timeline } from './timeline.ts';
import { Violation } from './trace.ts';
import type { Batch, Command } from '../../src/protocol/operations/operations.ts';

export interface Judged {
  readonly command: Command;
  readonly sentAt: number;
  readonly answeredAt: number;
  readonly reply: Reply;
}

export function checkReply(timeline: Timeline, judged: Judged): void {
  const { command, reply } = judged;
  if (reply.body === '') return;
  const body = JSON.parse(reply.body) as ReplyBody;
  const check = new Check(timeline, judged, body);
  if (command.kind === 'batch') {
    if (reply.status !== 200) check.refusal(command);
    else if (reply.replayed) check.replayed(command);
    else check.batch(command);
  }
  if (command.kind === 'kv.list' && reply.status === 200) check.list(command.prefix, command.after);
  if (command.kind === 'lock.inspect' && reply.status === 200) check.inspect(command.id, command.fence);
}

class Check {
  readonly #timeline: Timeline;
  readonly #judged: Judged;
  readonly #body: ReplyBody;
  readonly #account: string;

  constructor(timeline: Timeline, judged: Judged, body: ReplyBody) {
    this.#timeline = timeline;
    this.#judged = judged;
    this.#body = body;
    this.#account = judged.command.account;
  }

  batch(batch: Batch): void {
    const body = this.#body;
    const rev = body.Rev;
    if (rev !== this.#judged.reply.rev) this.#fail(`names revision ${rev}, and waited for ${this.#judged.reply.rev}`);
    const commits = surelyCommits(batch);
    const record = this.#timeline.record(rev);
    if (commits && record?.account !== this.#account)
      this.#fail(`I1: there is no such commit of its account at ${rev}`);
    if (commits) return this.#batchAt(batch, rev - 1, rev, true);
    // What may be a commit or not (a deletion of nothing) is right if it is so as of either.
    const touched = record?.account === this.#account && record.effects.some(({ key }) => batchNames(batch).has(key));
    if (touched && mayCommit(batch)) {
      try {
        return this.#batchAt(batch, rev - 1, rev, false);
      } catch (error) {
        if (!(error instanceof Violation)) throw error;
      }
    }
    this.#batchAt(batch, rev, rev, false);
  }

  #batchAt(batch: Batch, before: number, rev: number, commits: boolean): void {
    const body = this.#body;
    const record = this.#timeline.record(rev);
    for (const { key, version } of [...(batch.check ?? []), ...(batch.set ?? [])]) {
      if (version !== undefined) this.#version(key, version, before);
    }
    for (const { id, handle } of batch.guard ?? []) {
      const lease = this.#timeline.lock(this.#account, id, before)?.record.lease;
      if (lease?.handle !== handle) this.#fail(`I8: is guarded by ${handle} of ${id}, held is ${lease?.handle}`);
    }
    for (const [i, key] of (batch.get ?? []).entries()) this.#row(key, body.KV[i]!.Version, body.KV[i]!.Value, before);
    this.#atomics(batch, before);
    if (batch.sequence?.op === 'next') this.#sequence(batch.sequence, before);
    if (batch.unlock?.handle !== undefined) this.#unlock(batch.unlock.id, batch.unlock.handle, rev);
    if (batch.lock) this.#lock(batch.lock, before, rev);
    if (!commits) return;
    for (const id of batch.idempotency?.ids ?? []) {
      const entry = this.#at(kinds.idempotency, id, before);
      if (entry.surely !== undefined) this.#fail(`I15: the id ${id} was used at revision ${entry.surely.rev}`);
      if (this.#timeline.at(kinds.idempotency, this.#account, id, rev)?.rev !== rev)
        this.#fail(`I15: the id ${id} is not kept`);
    }
    for (const { key, value } of lastOfEach(batch)) {
      const put = record!.effects.find((effect) => effect.kind === kinds.kv && effect.key === key);
      if (value !== undefined && put?.value !== value) this.#fail(`I2: the value of ${key} is not in the commit`);
    }
  }

  replayed(batch: Batch): void {
    const { Rev } = this.#body;
    const stored = batch.idempotency!.ids.map((id) => this.#timeline.at(kinds.idempotency, this.#account, id, Rev));
    const same = stored.some((entry) => entry !== undefined && storedBody(entry) === this.#judged.reply.body);
    if (!same) this.#fail('I15: the replayed reply was never stored');
  }

  refusal(batch: Batch): void {
    const { Code, IDs, Rev, Response } = this.#body;
    const at = this.#judged.reply.rev;
    if (Code === 'duplicate_request') {
      const [id] = IDs;
      const entry = this.#timeline.at(kinds.idempotency, this.#account, id!, at);
      if (entry === undefined || entry.rev !== Rev) this.#fail(`I15: ${id} was not used at revision ${Rev}`);
      else if (JSON.stringify(JSON.parse(storedBody(entry))) !== JSON.stringify(Response))
        this.#fail(`I15: ${id} was answered otherwise`);
    }
    for (const { Field, Code: code, Key, Version, Value } of this.#body.Failed ?? []) {
      if (code === 'version_mismatch') {
        const { surely, maybe } = this.#at(kinds.kv, Key, at);
        const versions = [surely?.rev ?? 0, maybe?.rev ?? 0];
        if (!versions.includes(Version))
          this.#fail(`I7: ${Field}: ${Key} is said to have version ${Version}, and had ${versions.join(' or ')}`);
        const expected = [...(batch.check ?? []), ...(batch.set ?? [])]
          .filter(({ key }) => key === Key)
          .map(({ version }) => version);
        if (expected.every((version) => version === Version))
          this.#fail(`I7: ${Field}: version ${Version} is the one that was expected`);
      }
      if (code === 'precondition_failed') {
        const was = Number(this.#timeline.at(kinds.counter, this.#account, Key, at)?.value ?? 0);
        if (was !== Value && batch.counter?.length === 1)
          this.#fail(`I7: ${Field}: ${Key} is said to be ${String(Value)}, and was ${was}`);
      }
    }
  }

  list(prefix: string, after: string | undefined): void {
    const { KV, More, After, Rev } = this.#body;
    const rows = new Map(KV.map((row) => [row.Key, row]));
    const behind = (key: string): boolean =>
      key.startsWith(prefix) && (after === undefined || key > after) && (!More || key <= After);
    const keys = new Set(rows.keys());
    for (const [key] of this.#timeline.entries(kinds.kv, this.#account, Rev)) if (behind(key)) keys.add(key);
    for (const key of keys) this.#row(key, rows.get(key)?.Version ?? 0, rows.get(key)?.Value, Rev);
    if (KV.some(({ Key }, i) => i > 0 && KV[i - 1]!.Key >= Key)) this.#fail('the list is not in order');
  }

  inspect(id: string, fence: number | undefined): void {
    const lease = this.#timeline.lock(this.#account, id, this.#judged.reply.rev)?.record.lease;
    if (this.#body.Locked && lease === undefined) this.#fail(`I8: ${id} is said to be locked`);
    if (fence !== undefined && lease?.handle !== fence)
      this.#fail(`I8: ${id} is fenced by ${fence}, held is ${lease?.handle}`);
  }

  #atomics(batch: Batch, before: number): void {
    const now = new Map<string, number>();
    let sum = 0;
    for (const [i, { key, op, n, ifEq }] of (batch.counter ?? []).entries()) {
      const was = now.get(key) ?? Number(this.#timeline.at(kinds.counter, this.#account, key, before)?.value ?? 0);
      const result = { add: was + n, set: n, max: Math.max(was, n), min: Math.min(was, n), get: was, reset: 0 }[op];
      const said = this.#body.Atomic[i]!;
      if (said.Value !== result) this.#fail(`I1: the counter ${key} is said to be ${said.Value}, and is ${result}`);
      if (ifEq !== undefined && ifEq !== was) this.#fail(`I7: IfEq ${ifEq} went through on ${was}`);
      now.set(key, result);
      if (op === 'get' && key.startsWith(bankPrefix)) sum += said.Value;
    }
    if (sum !== 0) this.#fail(`I6: the sum over the bank is ${sum}`);
  }

  #sequence({ key, n }: NonNullable<Batch['sequence']>, before: number): void {
    const was = Number(this.#timeline.at(kinds.sequence, this.#account, key, before)?.value ?? 0);
    const { From, To } = this.#body;
    if (From !== was + 1 || To !== was + n) this.#fail(`the sequence ${key} gave ${From} to ${To} behind ${was}`);
  }

  #lock({ id, extend, owner }: NonNullable<Batch['lock']>, before: number, rev: number): void {
    const { Lock } = this.#body;
    const was = this.#timeline.lock(this.#account, id, before)?.record.lease;
    // One that ran out may end in the very commit that grants the lock anew; the timeline checks that it was over.
    const ended = this.#timeline
      .lock(this.#account, id, rev)
      ?.record.ended.some(({ handle }) => handle === was?.handle);
    const held = ended ? undefined : was;
    const own = extend === undefined ? owner !== undefined && held?.owner === owner : held?.handle === extend;
    if (held !== undefined && !own) this.#fail(`I8: ${id} is granted with ${Lock} while ${held.handle} holds it`);
    if (extend !== undefined && held === undefined) this.#fail(`I8: ${id} is extended, and was not held`);
    if (Lock !== (held?.handle ?? rev)) this.#fail(`I8: ${id} is granted with ${Lock} at revision ${rev}`);
  }

  /** It was released by this very commit, or by one before. */
  #unlock(id: string, handle: number, rev: number): void {
    const ended = this.#timeline.lock(this.#account, id, rev)?.record.ended ?? [];
    const how = ended.find((lease) => lease.handle === handle)?.why ?? 'unknown';
    if (how !== 'released') this.#fail(`I8: ${id} is unlocked with ${handle}, which is ${how}`);
  }

  #version(key: string, expected: number, rev: number): void {
    const { surely, maybe } = this.#at(kinds.kv, key, rev);
    if (expected !== (surely?.rev ?? 0) && expected !== (maybe?.rev ?? 0)) {
      this.#fail(`I7: went through with version ${expected} of ${key}, which had ${maybe?.rev ?? 0}`);
    }
  }

  #row(key: string, version: number, value: unknown, rev: number): void {
    const { surely, maybe } = this.#at(kinds.kv, key, rev);
    const right = [surely, maybe].some(
      (entry) =>
        version === (entry?.rev ?? 0) &&
        (entry === undefined || JSON.stringify(JSON.parse(entry.value!)) === JSON.stringify(value)),
    );
    if (!right) this.#fail(`I1: says that ${key} has version ${version} at ${rev}; it has ${maybe?.rev ?? 0}`);
  }

  /** `maybe`: not surely over before the request was sent; `surely`: not over before it was answered either. */
  #at(
    kind: typeof kinds.kv | typeof kinds.idempotency,
    key: string,
    rev: number,
  ): { surely: Stored | undefined; maybe: Stored | undefined } {
    const entry = this.#timeline.at(kind, this.#account, key, rev);
    const { sentAt, answeredAt } = this.#judged;
    const until = (time: number): Stored | undefined =>
      entry !== undefined && entry.till !== 0 && entry.till <= time ? undefined : entry;
    return { surely: until(answeredAt), maybe: until(sentAt) };
  }

  #fail(what: string): never {
    const { command, reply } = this.#judged;
    throw new Violation(`${what}\n  asked:    ${JSON.stringify(command)}\n  answered: ${reply.status} ${reply.body}`);
  }
}

function surelyCommits(batch: Batch): boolean {
  if (batch.lock ?? batch.idempotency) return true;
  if (batch.sequence?.op === 'next' || batch.counter?.some(({ op }) => op !== 'get' && op !== 'reset')) return true;
  return lastOfEach(batch).some(({ value }) => value !== undefined);
}

function mayCommit(batch: Batch): boolean {
  return (
    surelyCommits(batch) ||
    batch.unlock !== undefined ||
    batch.set !== undefined ||
    (batch.counter ?? []).some(({ op }) => op === 'reset')
  );
}

function lastOfEach(batch: Batch): NonNullable<Batch['set']>[number][] {
  return [...new Map((batch.set ?? []).map((ask) => [ask.key, ask])).values()];
}

function batchNames(batch: Batch): Set<string> {
  const { unlock, set = [], counter = [] } = batch;
  return new Set([
    ...(unlock === undefined ? [] : [unlock.id]),
    ...set.map(({ key }) => key),
    ...counter.map(({ key }) => key),
  ]);
}

function storedBody(entry: Stored): string {
  return (JSON.parse(entry.value!) as { body: string }).body;
}
