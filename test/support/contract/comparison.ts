/** Compares what the server said in one step with what the model expects of it. */
import assert from 'node:assert/strict';
import type { Reply } from '../../../src/protocol/replies.ts';
import { commits, ContractServer, type Expected, type ExpectedEvent } from './contract-server.ts';
import { difference, type Body } from './expected.ts';
import type { Outcome } from './moment.ts';
import type { Quota } from './usage.ts';
import { unchanged } from './watch.ts';
import type { Batch, Command } from '../../../src/protocol/operations/operations.ts';
import { replyStatus } from '../reply-status.ts';

export interface Said {
  readonly ref: number;
  readonly reply: Reply;
}

export class Comparison {
  readonly model: ContractServer;
  readonly covered = new Set<string>();
  /** The bodies of this step. */
  #told = new Map<number, Body>();
  /** The highest revision that was seen. */
  #highest = 0;

  constructor(now: number, shards = 1, holds = false, quota?: Quota) {
    this.model = new ContractServer(now, { shards, holds, quota, told: (ref) => this.#told.get(ref) });
  }

  /**
   * `said`: the server's replies of this step. `happens` does to the model what was done to the server.
   *
   * @returns the events that the model expects
   */
  step(said: readonly Said[], happens: () => void): readonly ExpectedEvent[] {
    const { model } = this;
    this.#told = new Map(said.flatMap(({ ref, reply }) => (reply.body === '' ? [] : [[ref, bodyOf(reply)]])));
    happens();
    const { answers, events } = model;
    model.answers = [];
    model.events = [];
    assert.deepEqual(refs(said), refs(answers), 'exactly those are answered who should be');
    const before = this.#highest;
    const taken = new Set<number>();
    for (const expected of answers) {
      const { reply } = said.find(({ ref }) => ref === expected.ref)!;
      const outcome = this.#compare(expected, reply);
      for (const cover of coversOf(expected, outcome)) this.covered.add(cover);
      if (!commits(outcome)) continue;
      // Commits of one step have revisions of their own, above all that was seen before.
      const { Rev } = bodyOf(reply);
      assert.ok(Rev! > before && !taken.has(Rev!), `revision ${Rev} is new: ${reply.body}`);
      taken.add(Rev!);
      this.#highest = Math.max(this.#highest, Rev!);
    }
    return events;
  }

  /** @returns the one of several possible outcomes that was meant */
  #compare({ outcome, or }: Expected, reply: Reply): Outcome {
    if (outcome === unchanged) {
      assert.equal(replyStatus(reply), 0, reply.body);
      return outcome;
    }
    const differs = (expected: Outcome): string | undefined => differenceOf(expected, reply);
    const meant = or.find((other) => differs(other) === undefined) ?? outcome;
    assert.equal(differs(meant), undefined, reply.body);
    assert.ok(replyStatus(reply) !== 200 || bodyOf(reply).Rev! >= 1, 'every success carries Rev');
    assert.ok(
      replyStatus(reply) === 200 || /\w/.test(String(bodyOf(reply)['Message'])),
      'a failure says what is wrong',
    );
    return meant;
  }
}

function differenceOf(outcome: Outcome, reply: Reply): string | undefined {
  if (replyStatus(reply) !== outcome.status) return `status: expected ${outcome.status}, got ${replyStatus(reply)}`;
  if (reply.replayed !== outcome.replayed) return outcome.replayed ? 'expected a replay' : 'is told to be a replay';
  return difference(withSortedIds(outcome.body as Body), withSortedIds(bodyOf(reply)));
}

function withSortedIds(body: Body): Body {
  return body.IDs === undefined ? body : { ...body, IDs: body.IDs.toSorted() };
}

function bodyOf({ body }: Reply): Body {
  return JSON.parse(body) as Body;
}

function refs(list: readonly { readonly ref: number }[]): number[] {
  return list.map(({ ref }) => ref).toSorted((a, b) => a - b);
}

/** What happened, for the coverage. */
function coversOf({ command, waitEnd }: Expected, outcome: Outcome): string[] {
  if (outcome === unchanged) return ['watch:registered'];
  if (outcome.replayed) return ['replay'];
  const { Code, Failed } = outcome.body as Body;
  if (outcome.heldMs !== undefined) return ['limit:held'];
  if (Code === undefined)
    return command.kind === 'batch'
      ? partsOf(command)
      : [command.kind === 'watch.key' ? 'watch:answered' : `${callOf(command)}:ok`];
  const failed = (Failed ?? []).map((item) => `${partOf(command as Batch, String(item['Field']))}:${item.Code}`);
  const covers = [Code, `${callOf(command)}:${Code}`, ...failed];
  if ((outcome.body as Body)['Why'] === 'no_upgrade') covers.push('no_upgrade');
  else if (waitEnd !== undefined) covers.push(waitEnd);
  else if (Code === 'not_locked') covers.push('try:busy');
  return covers;
}

function callOf(command: Command): string {
  const short: Readonly<Record<string, string>> = { 'lock.inspect': 'inspect', 'watch.key': 'watch' };
  return command.kind === 'batch' ? command.format : (short[command.kind] ?? command.kind);
}

function partsOf(batch: Batch): string[] {
  const parts = [
    'guard',
    'check',
    'idempotency',
    'unlock',
    'limit',
    'counter',
    'get',
    'sequence',
    'ops',
    'ack',
    'nack',
    'extend',
    'dequeue',
    'enqueue',
    'tasks',
  ] as const;
  const covers = parts.filter((part) => batch[part] !== undefined).map((part) => `${part}:ok`);
  if (batch.lock !== undefined) {
    const { extend, read, limit } = batch.lock;
    const took = read === true ? 'read:ok' : limit === undefined ? 'lock:ok' : 'permit:ok';
    covers.push(extend === undefined ? took : 'extend:ok');
  }
  for (const { value } of batch.set ?? []) covers.push(value === undefined ? 'delete:ok' : 'set:ok');
  if (batch.range !== undefined) covers.push('range:ok');
  if (batch.limit?.some(({ cost }) => cost === 0)) covers.push('limit:looked');
  if (batch.format !== 'batch') covers.push(`${batch.format}:ok`);
  return covers;
}

/** Which part of a batch a failure is about. */
function partOf({ unlock, set }: Batch, field: string): string {
  const [, name, i] = /^(\w+)(?:\[(\d+)\])?/.exec(field)!;
  switch (name) {
    case 'KVSet':
      return set![Number(i)]!.value === undefined ? 'delete' : 'set';
    case 'Unlock':
      return unlock === undefined ? 'extend' : 'unlock';
    case 'Atomic':
      return 'counter';
    case 'n':
      return 'sequence';
    default:
      return name!.toLowerCase();
  }
}
