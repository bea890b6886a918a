/**
 * Clients that speak RESP to a server that may die at any moment, and the history of what they saw, for the witness
 * checker. A reply of Redis names no revision. So each transaction also sets a key of its client to a value that is
 * there once, and a watch over all keys tells afterwards at which revision that was. What was acknowledged and is not in
 * the watch is lost.
 */
import assert from 'node:assert/strict';
import type { StringOp } from '../../src/protocol/operations/string-op.ts';
import type { Batch } from '../../src/protocol/operations/operations.ts';
import { accountId } from '../../src/protocol/ids.ts';
import { clockDifference, wallMs } from '../../src/shared/clock.ts';
import type { History, Operation, Restart } from './checkers/history.ts';
import type { Body } from './contract/expected.ts';
import type { CrashServer } from './crash-server.ts';
import { RespClient, RespFailure, type RespReply } from './resp-client.ts';
import { seededRandom, type SeededRandom } from './seeded-random.ts';

const account = accountId('acme');
const clients = 12;
const keys = 6;

interface Asked {
  readonly id: string;
  readonly client: number;
  readonly marker: string;
  readonly ops: readonly StringOp[];
  readonly sentAt: number;
  answer?: { readonly at: number; readonly results: readonly string[] };
}

export class RespRecorder {
  readonly restarts: Restart[] = [];
  readonly #server: CrashServer;
  readonly #random: SeededRandom;
  readonly #asked: Asked[] = [];
  #killAt = Infinity;
  #downAt = 0;

  constructor(server: CrashServer, seed: number) {
    this.#server = server;
    this.#random = seededRandom(seed);
  }

  get unanswered(): number {
    return this.#asked.filter(({ answer }) => answer === undefined).length;
  }

  /** Kills the server (SIGKILL) after so many transactions, with all clients at work. */
  async runAndKill(transactions: number): Promise<void> {
    this.#killAt = this.#asked.length + transactions;
    const port = Number(this.#server.log.find((line) => line['respPort'] !== undefined)?.['respPort']);
    await Promise.all(Array.from({ length: clients }, (_, number) => this.#client(port, number)));
    this.#downAt = now();
  }

  /** The process that was launched last serves. */
  serving(): void {
    if (this.#downAt > 0)
      this.restarts.push({ downAt: this.#downAt, startedAt: this.#server.launchedAt, upAt: now(), starts: 1 });
  }

  /** Reads the whole watch. @returns the history; fails if something that was acknowledged is gone */
  async history(): Promise<History> {
    const revisions = await this.#revisions();
    const operations = this.#asked.map(({ id, client, marker, ops, sentAt, answer }): Operation => {
      const call: Batch = { kind: 'batch', account, format: 'batch', ops };
      if (answer === undefined) return { id, client, call, sentAt };
      const rev = revisions.get(marker);
      assert(rev !== undefined, `lost: transaction ${id} (${marker}) was acknowledged, and no commit has it`);
      const body = { Ops: answer.results, Rev: rev } as unknown as Body;
      return { id, client, call, sentAt, answer: { at: answer.at, status: 200, body } };
    });
    return { operations, restarts: this.restarts };
  }

  async #revisions(): Promise<Map<string, number>> {
    const client = this.#server.client();
    const found = new Map<string, number>();
    const { Rev: upTo } = await client.must('POST', `/db/${account}`, { KVSet: [{ Key: 'end', Value: 1 }] });
    for (let position = 0; position < upTo; ) {
      const ask = { Prefix: 'marker', After: position, Wait: 5, Limit: 1000 };
      const page = await client.must('POST', `/watch/${account}`, ask);
      for (const { Value, Rev } of page.Events) {
        assert(!found.has(String(Value)), `${String(Value)} was committed twice`);
        found.set(String(Value), Rev);
      }
      position = page.Rev;
    }
    await client.close();
    return found;
  }

  async #client(port: number, number: number): Promise<void> {
    const client = await RespClient.open(port);
    for (let alive = (await client.call('AUTH', account, 'x')) === 'OK'; alive; ) {
      // Two at a time on one connection: their commands are pipelined.
      const both = [this.#transaction(client, number), this.#transaction(client, number)];
      alive = (await Promise.all(both)).every(Boolean);
    }
    client.close();
  }

  async #transaction(client: RespClient, number: number): Promise<boolean> {
    const id = `${number}-${this.#asked.length}`;
    const marker = `once ${id}`;
    const ops: StringOp[] = [{ kind: 'set', key: `marker${number}`, value: JSON.stringify(marker) }];
    for (let i = this.#random.below(4); i >= 0; i -= 1) ops.push(this.#op(id));
    const asked: Asked = { id, client: number, marker, ops, sentAt: now() };
    this.#asked.push(asked);
    if (this.#asked.length === this.#killAt) void this.#server.kill();
    const replies = [client.call('MULTI'), ...ops.map((op) => client.call(...argumentsOf(op))), client.call('EXEC')];
    const done = (await Promise.all(replies)).at(-1);
    if (done === undefined) return false;
    assert(Array.isArray(done), `EXEC is answered with a list, not ${JSON.stringify(done)}`);
    asked.answer = { at: now(), results: done.map((reply, i) => resultOf(ops[i]!, reply)) };
    return true;
  }

  #op(id: string): StringOp {
    const key = `k${this.#random.below(keys)}`;
    switch (this.#random.below(8)) {
      case 0:
        return { kind: 'set', key, value: JSON.stringify(id) };
      case 1:
        return { kind: 'set', key, value: '"7"', condition: { kind: 'nx' } };
      case 2:
        return { kind: 'append', key, value: '"1"' };
      case 3:
        return { kind: 'delete', key };
      case 4:
        return { kind: 'delete', key, old: true };
      case 5:
        return { kind: 'exists', key };
      case 6:
        return { kind: 'add', key, n: 3 };
      default:
        return { kind: 'get', key };
    }
  }
}

function argumentsOf(op: StringOp): readonly (string | number)[] {
  const text = 'value' in op ? (JSON.parse(op.value) as string) : '';
  switch (op.kind) {
    case 'set':
      return ['SET', op.key, text, ...(op.condition === undefined ? [] : ['NX'])];
    case 'append':
      return ['APPEND', op.key, text];
    case 'delete':
      return [op.old === true ? 'GETDEL' : 'DEL', op.key];
    case 'add':
      return ['INCRBY', op.key, op.n];
    case 'exists':
      return ['EXISTS', op.key];
    case 'get':
      return ['GET', op.key];
    default:
      return assert.fail(`${op.kind} is not sent`);
  }
}

/** Returns the result of the operation that this reply stands for. */
function resultOf({ kind }: StringOp, reply: RespReply): string {
  if (reply === null) return '_';
  if (typeof reply === 'number') return `:${reply}`;
  if (reply instanceof RespFailure) {
    assert.match(reply.message, /not an integer or out of range/);
    return '!not_integer';
  }
  assert(typeof reply === 'string');
  return kind === 'set' ? '' : JSON.stringify(reply);
}

const wallAhead = clockDifference(wallMs, () => performance.now());

function now(): number {
  return wallAhead + performance.now();
}
