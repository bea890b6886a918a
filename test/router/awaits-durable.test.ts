/** Which routers are told what is durable: those that hold something or have watches over a prefix, and no other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FileJournalSource } from '../../src/journal/file/file-journal-source.ts';
import { revision } from '../../src/protocol/ids.ts';
import type { FromShard, ToShard } from '../../src/protocol/wire/shard-messages.ts';
import { SharedRevisions } from '../../src/protocol/wire/revisions.ts';
import type { Reply } from '../../src/protocol/replies.ts';
import { PrefixWatches } from '../../src/router/watch/prefix-watches.ts';
import { Router } from '../../src/router/router.ts';
import { RouterCounts } from '../../src/router/router-counts.ts';
import { systemAfter } from '../../src/shared/clock.ts';
import { defaultLimits } from '../../src/shared/limits.ts';
import { emptyMail } from '../../src/shard-worker/turn-outbox.ts';
import { acme, set } from '../support/commands.ts';
import { FaultDisk } from '../support/fault-disk.ts';

class RouterOfOne {
  readonly revisions = new SharedRevisions(SharedRevisions.allocate(revision(4), 2));
  readonly answered: Reply[] = [];
  /** Runs in the moment in which the router says that it waits. */
  atAwait = (): void => {};
  readonly router: Router;
  #tell: (message: FromShard) => void = () => {};
  #asked: ToShard[] = [];

  constructor() {
    const counts = new RouterCounts(RouterCounts.allocate(1), 1);
    const durable = () => this.revisions.durable();
    const shared = { durable, limits: defaultLimits, counts, defer: setImmediate, after: systemAfter };
    this.router = new Router({
      ...shared,
      index: 1,
      awaitDurable: (awaits) => {
        if (awaits) this.atAwait();
        this.revisions.setAwaits(1, awaits);
      },
      links: [
        {
          send: (messages) => void this.#asked.push(...messages),
          onMessage: (listener) => (this.#tell = listener),
        },
      ],
      prefixWatches: new PrefixWatches({ ...shared, source: new FileJournalSource(new FaultDisk(1), '/journal') }),
      journalStats: () => Promise.reject(new Error('there is none')),
    });
  }

  get awaits(): boolean {
    assert.equal(this.revisions.awaits(0), false, 'it speaks for itself only');
    return this.revisions.awaits(1);
  }

  /** A write whose reply comes before its revision is durable. */
  async write(rev: number): Promise<void> {
    this.router.request(set('k', 1), { disconnected: false, deliver: (reply) => void this.answered.push(reply) });
    await new Promise(setImmediate);
    const request = this.#asked.pop();
    assert(request?.kind === 'request');
    const reply: Reply = { rev: revision(rev), outcome: 'ok', body: '{}' };
    this.#tell({
      durable: this.revisions.durable(),
      ...emptyMail(),
      replies: [{ kind: 'one', id: request.id, reply }],
    });
  }
}

test('a router is told of durable revisions while it holds a reply', async () => {
  const one = new RouterOfOne();
  assert.equal(one.awaits, false);
  await one.write(4);
  assert.deepEqual([one.answered.length, one.awaits], [1, false], 'what is durable is not held');
  await one.write(6);
  await one.write(7);
  assert.deepEqual([one.answered.length, one.awaits], [1, true]);
  one.router.advance(revision(6));
  assert.deepEqual([one.answered.length, one.awaits], [2, true]);
  one.router.advance(revision(7));
  assert.deepEqual([one.answered.length, one.awaits], [3, false]);
});

test('what becomes durable just before a router says that it waits is not missed', async () => {
  const one = new RouterOfOne();
  one.atAwait = () => one.revisions.setDurable(revision(6));
  await one.write(6);
  assert.deepEqual([one.answered.length, one.awaits], [1, false]);
});

test('a router is told of durable revisions while it has a watch over a prefix', () => {
  const one = new RouterOfOne();
  const watch = { account: acme, prefix: 'p', waitMs: 10_000, limit: 1 };
  const watching = one.router.watchPrefix(watch, { disconnected: false, deliver: () => {} });
  one.router.advance(revision(5));
  assert.equal(one.awaits, true);
  watching.cancel();
  one.router.advance(revision(6));
  assert.equal(one.awaits, false);
});
