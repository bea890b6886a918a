/** Very many queues, very many groups, and a purge while everybody works. With DRAGONLOCK_LOAD_SCALE=full: as many as are promised. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { CrashClient, CrashServer } from '../support/crash-server.ts';
import { trial } from '../support/crash-trial.ts';
import { sized } from './scale.ts';

const queueCount = sized(1500, 10_000);
const groupCount = sized(6000, 1_000_000);
const perBatch = 1000;
const target = '/db/crowd';

interface Message {
  readonly ID: string;
  readonly Data: number;
  readonly Group?: string;
  readonly Lock: number;
}

interface Said {
  readonly Rev: number;
  readonly Dequeue?: { readonly Messages: readonly Message[] };
  readonly Purged?: number;
  readonly More?: boolean;
  readonly After?: string;
  readonly Queues?: readonly { readonly Queue: string; readonly Ready: number }[];
  readonly Groups?: number;
  readonly Ready?: number;
  readonly InFlight?: number;
  readonly Delayed?: number;
}

async function batch(client: CrashClient, body: object): Promise<Said> {
  return (await client.must('POST', target, body)) as unknown as Said;
}

/** In pieces that fit into a batch. */
function pieces(count: number): number[][] {
  return Array.from({ length: Math.ceil(count / perBatch) }, (_, i) =>
    Array.from({ length: Math.min(perBatch, count - i * perBatch) }, (_, j) => i * perBatch + j),
  );
}

const config = ['limits:', '  memtable_bytes_max: 16777216', '  batch_operations_max: 1000'];

async function started(server: CrashServer): Promise<CrashClient> {
  await server.start({ shards: 2, config });
  return server.client();
}

function told(t: TestContext, began: number, what: object): void {
  t.diagnostic(JSON.stringify({ ...what, seconds: Math.round((performance.now() - began) / 100) / 10 }));
}

trial(
  `${queueCount} queues: each is listed and delivers its own, over a kill`,
  import.meta.url,
  async ({ t, server }) => {
    const began = performance.now();
    let client = await started(server);
    for (const piece of pieces(queueCount)) {
      await batch(client, { Enqueue: piece.map((n) => ({ Queue: `q/${String(n).padStart(6, '0')}`, Data: n })) });
    }
    await client.close();
    await server.kill();
    client = await started(server);
    let listed = 0;
    for (let after = ''; ; ) {
      const query = after === '' ? '' : `&after=${encodeURIComponent(after)}`;
      const page = (await client.must('GET', `${target}/queue?limit=1000${query}`)) as unknown as Said;
      for (const { Queue, Ready } of page.Queues!) {
        assert.equal(Queue, `q/${String(listed).padStart(6, '0')}`);
        assert.equal(Ready, 1);
        listed += 1;
      }
      if (page.More !== true) break;
      after = page.After!;
    }
    assert.equal(listed, queueCount);
    const every = Math.ceil(queueCount / 300);
    for (let n = 0; n < queueCount; n += every) {
      const Queue = `q/${String(n).padStart(6, '0')}`;
      const { Dequeue } = await batch(client, { Dequeue: { Queue, DequeueMax: 5 } });
      assert.deepEqual(
        Dequeue!.Messages.map(({ Data }) => Data),
        [n],
      );
    }
    await client.close();
    told(t, began, { queues: listed });
  },
);

trial(
  `${groupCount} groups in one queue: each delivers in order, and a start loads none of them`,
  import.meta.url,
  async ({ t, server }) => {
    const began = performance.now();
    let client = await started(server);
    for (const piece of pieces(groupCount)) {
      const Enqueue = piece.map((n) => ({ Queue: 'crowd', Data: n, Group: `g${n}` }));
      await batch(client, { Enqueue });
    }
    await batch(client, { Enqueue: { Queue: 'crowd', Data: -1, Group: 'g0' } });
    const stat = (await client.must('GET', `${target}/queue/crowd`)) as unknown as Said;
    assert.deepEqual([stat.Groups, stat.Ready], [groupCount, groupCount + 1]);
    await client.close();
    await server.kill();
    client = await started(server);
    const seen = new Set<number>();
    for (let wanted = 0; ; ) {
      const { Dequeue } = await batch(client, { Dequeue: { Queue: 'crowd', DequeueMax: perBatch, LockDur: 600 } });
      const { Messages } = Dequeue!;
      if (Messages.length === 0) break;
      for (const { Data, Group } of Messages) {
        assert(!seen.has(Data), `${Data} is delivered once`);
        seen.add(Data);
        // Its group was served, so it stands behind all others.
        if (Data === -1) assert.equal(seen.size, groupCount + 1);
        else assert.deepEqual([Data, Group], [wanted, `g${wanted}`]);
        wanted += 1;
      }
      await batch(client, { Ack: Messages.map(({ ID, Lock }) => ({ Queue: 'crowd', ID, Lock })) });
    }
    assert.equal(seen.size, groupCount + 1);
    const { Groups, InFlight } = (await client.must('GET', `${target}/queue/crowd`)) as unknown as Said;
    assert.deepEqual([Groups, InFlight], [0, 0]);
    await client.close();
    told(t, began, { groups: groupCount });
  },
);

trial(
  'a purge under load: all that was there is gone, nothing that came later, and the numbers add up',
  import.meta.url,
  async ({ t, server, random }) => {
    const began = performance.now();
    const client = await started(server);
    const rounds = sized(4, 60);
    const each = sized(40, 300);
    let [sent, acked, purged, lastPurge, refused] = [0, 0, 0, 0, 0];
    const produce = async (): Promise<void> => {
      const own = server.client();
      for (let i = 0; i < each; i += 1) {
        const Enqueue = Array.from({ length: 5 }, () => ({
          Queue: 'p',
          Data: 1,
          ...(random.below(2) === 0 && { Group: `g${random.below(4)}` }),
          ...(random.below(4) === 0 && { Delay: 0.01 }),
        }));
        await batch(own, { Enqueue });
        sent += Enqueue.length;
      }
      await own.close();
    };
    const take = async (own: CrashClient): Promise<number> => {
      const known = lastPurge;
      const { Dequeue, Rev } = await batch(own, { Dequeue: { Queue: 'p', DequeueMax: 4, LockDur: 60 } });
      const { Messages } = Dequeue!;
      for (const { ID } of Messages) {
        assert(
          Number(ID.slice(0, ID.indexOf('-'))) > known || Rev < known,
          `${ID} was there before the purge ${known}`,
        );
      }
      for (const { ID, Lock } of Messages) {
        const answer = await own.ask('POST', target, { Ack: { Queue: 'p', ID, Lock } });
        if (answer!.status === 200) {
          acked += 1;
          continue;
        }
        assert.equal(answer!.body['Why'], 'purged', answer!.text);
        refused += 1;
      }
      return Messages.length;
    };
    let producing = true;
    const consume = async (): Promise<void> => {
      const own = server.client();
      while (producing) await take(own);
      await own.close();
    };
    const consumers = Array.from({ length: 3 }, consume);
    for (let round = 0; round < rounds; round += 1) {
      const producers = Array.from({ length: 3 }, produce);
      const all = Promise.all(producers);
      for (let n = 0; n < 3; n += 1) {
        const { Purged, Rev } = (await client.must('POST', `${target}/purge/p`)) as unknown as Said;
        purged += Purged!;
        lastPurge = Rev;
      }
      await all;
    }
    producing = false;
    await Promise.all(consumers);
    for (let left = 1; left > 0; ) {
      await take(client);
      const { Ready, InFlight, Delayed } = (await client.must('GET', `${target}/queue/p`)) as unknown as Said;
      left = Ready! + InFlight! + Delayed!;
    }
    assert.deepEqual({ sent }, { sent: acked + purged });
    assert(purged > 0 && acked > 0, 'both happened');
    await client.close();
    told(t, began, { sent, acked, purged, refused });
  },
);
