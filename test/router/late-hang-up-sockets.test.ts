/**
 * A router on the real event loop, which polls connections once in each turn. A message that arrives after the poll,
 * because the thread was busy or had no CPU, must not grant a lock to a client that has disconnected meanwhile.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { test } from 'node:test';
import { FileJournalSource } from '../../src/journal/file/file-journal-source.ts';
import { Disconnects } from '../../src/front-end/http/sockets/disconnects.ts';
import { revision } from '../../src/protocol/ids.ts';
import type { FromShard, ToShard } from '../../src/protocol/wire/shard-messages.ts';
import type { Grant, Reply } from '../../src/protocol/replies.ts';
import { PrefixWatches } from '../../src/router/watch/prefix-watches.ts';
import { Router } from '../../src/router/router.ts';
import { RouterCounts } from '../../src/router/router-counts.ts';
import { systemAfter } from '../../src/shared/clock.ts';
import { defaultLimits } from '../../src/shared/limits.ts';
import { acme, lock } from '../support/commands.ts';
import { FaultDisk } from '../support/fault-disk.ts';

const rev = revision(1);
const grant: Grant = { account: acme, id: 'l', fence: 2, mutex: false, version: 2, waited: true };

test('a client that disconnected before its grant gets none, even without a poll in between', async (t) => {
  const shard = new FakeShard();
  const router = routerOver(shard);
  const { client, served } = await connected(t);
  const delivered: Reply[] = [];
  const disconnects = Disconnects.of(served);
  const waiting = {
    get disconnected() {
      return disconnects.disconnected;
    },
    deliver: (reply: Reply) => void delivered.push(reply),
  };
  const closed = new Promise((resolve) =>
    served
      .on('close', resolve)
      .on('error', () => {})
      .resume(),
  );
  router.request(lock('l', { waitMs: 1000 }), waiting);
  await turns(2);
  const [request] = shard.got;
  assert(request?.kind === 'request');

  // The callback runs in the poll phase, after the poll: the loop polls again in its next turn.
  await new Promise<void>((resolve) =>
    fs.stat('.', () => {
      client.resetAndDestroy();
      shard.tell({ replies: [{ kind: 'one', id: request.id, reply: { rev, outcome: 'ok', body: '{}', grant } }] });
      resolve();
    }),
  );
  await closed;
  await turns(3);
  assert.deepEqual(delivered, []);
  assert.deepEqual(shard.got.slice(1), [{ kind: 'grant.return', grant }]);
});

test('a grant that nobody stood in line for is answered at once, also if the client would have waited', async () => {
  const shard = new FakeShard();
  const router = routerOver(shard);
  const delivered: Reply[] = [];
  router.request(lock('l', { waitMs: 1000 }), { disconnected: false, deliver: (reply) => void delivered.push(reply) });
  await turns(2);
  const [request] = shard.got;
  assert(request?.kind === 'request');
  const reply: Reply = { rev, outcome: 'ok', body: '{}', grant: { ...grant, waited: false } };
  shard.tell({ replies: [{ kind: 'one', id: request.id, reply }] });
  assert.deepEqual(delivered, [reply]);
});

class FakeShard {
  readonly got: ToShard[] = [];
  #listener: (message: FromShard) => void = () => {};

  send(messages: readonly ToShard[]): void {
    this.got.push(...messages);
  }

  onMessage(listener: (message: FromShard) => void): void {
    this.#listener = listener;
  }

  tell(message: Partial<FromShard>): void {
    this.#listener({ durable: rev, replies: [], events: [], transactions: [], stats: [], closed: [], ...message });
  }
}

function routerOver(shard: FakeShard): Router {
  const counts = new RouterCounts(RouterCounts.allocate(1), 1);
  const shared = { durable: () => rev, limits: defaultLimits, counts, defer: setImmediate, after: systemAfter };
  return new Router({
    ...shared,
    index: 0,
    awaitDurable: () => {},
    links: [shard],
    prefixWatches: new PrefixWatches({ ...shared, source: new FileJournalSource(new FaultDisk(1), '/journal') }),
    journalStats: () => Promise.reject(new Error('there is none')),
  });
}

async function connected(t: { after(run: () => void): void }): Promise<{ client: net.Socket; served: net.Socket }> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const accepted = once(server, 'connection') as Promise<[net.Socket]>;
  const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  const [served] = await accepted;
  if (client.connecting) await once(client, 'connect');
  return { client, served };
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) await new Promise(setImmediate);
}
