import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import * as fc from 'fast-check';
import { acme, batch, kvList, lockList } from '../support/commands.ts';
import { Comparison, type Said } from '../support/contract/comparison.ts';
import type { ContractServer } from '../support/contract/contract-server.ts';
import { difference } from '../support/contract/expected.ts';
import { nameOf, type KvEntry } from '../support/contract/state.ts';
import { keyEvent } from '../support/contract/watch.ts';
import { startOfTime } from '../support/core-under-test.ts';
import { historyOf, seeded, stepsOf, type History } from '../support/generators/model-histories.ts';
import type { AskedClient } from '../support/router-under-test.ts';
import { ServerInMemory } from '../support/server-in-memory.ts';
import type { Command } from '../../src/protocol/operations/operations.ts';

/** Outcomes that a run must meet. Watches are observed through `watchKeys`, which answers or waits. */
const outcomes = [
  'lock:ok not_locked wait:ran-out owner:took-over extend:ok extend:lock_lost unlock:ok unlock:lock_lost',
  'guard:ok guard:lock_lost check:ok check:version_mismatch check:precondition_failed set:ok set:version_mismatch delete:ok delete:version_mismatch',
  'counter:ok counter:precondition_failed counter:overflow counter:out_of_bounds sequence:ok sequence:overflow get:ok ops:ok',
  'idempotency:ok replay duplicate_request idempotency_mismatch request_in_progress',
  'kv.get:ok kv.get:not_found kv.set:ok kv.delete:ok counter.get:ok counter.get:not_found counter.add:ok counter.add:out_of_bounds counter.reset:ok',
  'sequence.get:ok sequence.get:not_found sequence.next:ok sequence.reset:ok lock.acquire:ok lock.release:ok',
  'mutex.lock:ok mutex.unlock:ok mutex.unlock:lock_lost kv.list:ok lock.list:ok inspect:ok inspect:lock_lost',
  'limit:ok limit:limited limit:held limit:looked limit.take:limited kv.clear:ok counter.list:ok range:ok account.usage:ok',
  'enqueue:ok dequeue:ok ack:ok ack:receipt_expired nack:ok nack:receipt_expired extend:ok extend:receipt_expired',
  'queue.send:ok queue.ack:ok queue.ack:receipt_expired queue.nack:ok queue.nack:receipt_expired queue.extend:ok queue.policy:ok queue.delete:ok',
  'queue.pause:ok queue.resume:ok queue.purge:ok queue.redrive:ok queue.stat:ok queue.list:ok queue.peek:ok',
  'drain:waiter stop crash watch:answered watch:event watch:gone',
].flatMap((line) => line.split(' '));

/** So many meet every outcome. */
const runs = 160;

for (const shards of [1, 3]) {
  test(`a server with ${shards} shards answers every random history as the contract says, over stops and crashes`, async (context) => {
    const covered = new Set<string>();
    await fc.assert(
      fc.asyncProperty(historyOf(200), async (history) => {
        const server = await ServerInMemory.start(context, { shards });
        for (const what of await new Run(server, covered).history(history)) covered.add(what);
      }),
      seeded(runs),
    );
    assert.deepEqual(
      outcomes.filter((what) => !covered.has(what)),
      [],
      'every outcome has been seen',
    );
  });
}

class Run {
  readonly #server: ServerInMemory;
  readonly #model: ContractServer;
  readonly #comparison: Comparison;
  readonly #open = new Map<number, AskedClient>();
  /** The watcher of each key. */
  readonly #watching = new Map<string, AskedClient>();
  readonly #covered: Set<string>;

  constructor(server: ServerInMemory, covered: Set<string>) {
    this.#server = server;
    this.#comparison = new Comparison(startOfTime, server.running.states.length, true);
    this.#model = this.#comparison.model;
    this.#covered = covered;
  }

  async history(history: History): Promise<Set<string>> {
    let ref = 0;
    for (const step of stepsOf(history, this.#model.state, true)) {
      ref += 1;
      switch (step.kind) {
        case 'command':
          if (step.command.kind === 'watch.key') {
            await this.#watch(step.command.key, step.command.version);
            break;
          }
          this.#open.set(ref, await this.#server.ask(step.command));
          this.#compare(() => this.#model.submit(ref, step.command));
          break;
        case 'advance':
          await this.#advance(step.ms);
          break;
        case 'cancel':
          await this.#cancel(step.pick);
          break;
        case 'restart':
          this.#covered.add(step.how);
          await this.#restart(step.how, step.downMs, history.seed + ref);
          break;
      }
    }
    await this.#compareAll();
    return this.#comparison.covered;
  }

  #compare(happens: () => void): void {
    const said: Said[] = [];
    for (const [ref, client] of this.#open) {
      if (client.reply === undefined) continue;
      this.#open.delete(ref);
      said.push({ ref, reply: client.reply });
    }
    for (const expected of this.#comparison.step(said, happens)) {
      const watcher = this.#watching.get(expected.key);
      if (watcher === undefined) continue;
      this.#watching.delete(expected.key);
      const { Rev, ...body } = watcher.body;
      assert.equal(difference(expected.body, body), undefined);
      if (expected.rev !== undefined) assert.equal(Rev, expected.rev);
      this.#covered.add('watch:event');
    }
    for (const [key, watcher] of this.#watching) assert.ok(watcher.waits, `nothing has happened to ${key}`);
  }

  /** One watcher for each key at a time, because the model knows keys, not watchers. */
  async #watch(key: string, version: number): Promise<void> {
    if (this.#watching.has(key)) return;
    const client = this.#server.client();
    this.#server.running.router.watchKeys(acme, [{ key, version }], 24 * 60 * 60 * 1000, client);
    await this.#server.settle();
    const item = this.#model.state.get(nameOf('kv', acme, key)) as KvEntry | undefined;
    if ((item?.version ?? 0) === version) {
      assert.ok(client.waits);
      this.#model.watched.add(nameOf('kv', acme, key));
      this.#watching.set(key, client);
      return;
    }
    const { Rev: _, ...body } = client.body;
    assert.equal(difference(keyEvent(key, item, false), body), undefined);
    this.#covered.add('watch:answered');
  }

  async #advance(ms: number): Promise<void> {
    const end = this.#server.now + ms;
    for (let at = this.#model.nextEnd(); at <= end; at = this.#model.nextEnd()) {
      await this.#server.advance(at - this.#server.now);
      this.#compare(() => this.#model.passTo(at));
    }
    await this.#server.advance(end - this.#server.now);
    this.#compare(() => this.#model.passTo(end));
  }

  async #cancel(pick: number): Promise<void> {
    const waiting = this.#model.waiting();
    const gone = waiting[pick % waiting.length];
    if (gone === undefined) return;
    this.#open.get(gone)!.hangUp();
    this.#open.delete(gone);
    await this.#server.settle();
    this.#compare(() => this.#model.cancel(gone));
  }

  async #restart(how: 'stop' | 'crash', downMs: number, seed: number): Promise<void> {
    if (how === 'stop') await this.#server.stop();
    this.#server.now += downMs;
    if (how === 'stop') await this.#server.start();
    else {
      this.#open.clear();
      await this.#server.crash(seed);
    }
    for (const watcher of this.#watching.values()) {
      if (how === 'stop') assert.equal(watcher.code, 'draining');
      this.#covered.add('watch:gone');
    }
    this.#watching.clear();
    this.#compare(() => this.#model.restart(this.#server.now, how));
    await this.#compareAll();
  }

  /** Everything that can be read. */
  async #compareAll(): Promise<void> {
    const counters = this.#model.state.keys('counter', acme, '', undefined);
    const counter = Array.from(counters, (key) => ({ key, op: 'get' as const, n: 0 }));
    const commands: Command[] = [kvList('', { limit: 1000 }), lockList('', { limit: 1000 })];
    if (counter.length > 0) commands.push(batch({ counter }));
    for (const [i, command] of commands.entries()) {
      const ref = -1 - i;
      this.#open.set(ref, await this.#server.ask(command));
      this.#compare(() => this.#model.submit(ref, command));
    }
  }
}

test('the model can fail: a server that loses a write now and then is found out', async (context: TestContext) => {
  let found = 0;
  for (let seed = 1; seed <= 10; seed++) {
    const server = await ServerInMemory.start(context, { shards: 1 });
    const { entries } = server.running.states[0]!;
    const put = entries.put.bind(entries);
    let writes = 0;
    entries.put = (kind, account, key, entry) => {
      writes += 1;
      if (writes % 5 !== 0) put(kind, account, key, entry);
    };
    await new Run(server, new Set()).history({ seed, steps: 200 }).catch(() => (found += 1));
  }
  assert.ok(found >= 5, `${found} of 10`);
});
