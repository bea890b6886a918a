/** Queues that hold much: a million groups, one long group, ten million messages; and a consumer that waits for one. */
import { HttpConnection } from '../load/http-connection.ts';
import type { HttpReply, Target } from '../load/types.ts';
import { accountPath, valueOf } from '../load/workloads.ts';
import type { Sample } from '../results.ts';
import { call } from '../servers/requests.ts';
import { median } from '../statistics.ts';
import { ours, oursTitle } from './contestants.ts';
import { inBatches, memoryOfFilled, perBatch, tellRedis } from './memory.ts';
import type { Row, Run, ServerContestant, ServerSpec } from './row.ts';

const bytes = 64;
const connections = 64;
const path = accountPath(0);
const groups = 1_000_000;
const inOneGroup = 100_000;
/** Messages that are ready; of each ten there is one that is delayed. */
const ready = 10_000_000;
const fewReady = 1_000_000;
const quickShare = 100;
const delaySeconds = 86_400;

const server: ServerSpec = { kind: 'dragonlock', settings: {} };
const livesTitle = 'lives without groups';
const writeTitle = 'a KV write';

/** Fills a queue. @param message the one with this number */
async function fill(run: Run, target: Target, count: number, message: (number: number) => object): Promise<void> {
  await inBatches(run, count, async (batch) => {
    const Enqueue = Array.from({ length: perBatch }, (_, i) => message(batch * perBatch + i));
    await call(target, path, { Enqueue });
  });
}

function sizeOf(run: Run, size: number): number {
  return run.quick ? size / quickShare : size;
}

const Data = valueOf(bytes);

type Sizes = readonly [now: number, later: number];

async function fillOurs(run: Run, target: Target, [now, later]: Sizes): Promise<number> {
  await fill(run, target, now, () => ({ Queue: 'jobs', Data }));
  await fill(run, target, later, (number) => ({ Queue: 'jobs', Data, Delay: delaySeconds + number / 100 }));
  return now + later;
}

/** Messages in a stream, and the delayed ones in a sorted set, as those do it who have no delays. */
async function fillRedis(target: Target, [now, later]: Sizes): Promise<number> {
  const add = "for i=1,ARGV[2] do redis.call('XADD',KEYS[1],'*','d',ARGV[1]) end";
  const delay = "for i=1,ARGV[2] do redis.call('ZADD',KEYS[1],ARGV[3]+i,ARGV[3]+i..ARGV[1]) end";
  const value = 'v'.repeat(bytes);
  const commands = function* (): Generator<readonly string[]> {
    yield ['XGROUP', 'CREATE', 'jobs', 'workers', '0', 'MKSTREAM'];
    for (let n = 0; n < now; n += perBatch) yield ['EVAL', add, '1', 'jobs', value, String(perBatch)];
    for (let n = 0; n < later; n += perBatch) yield ['EVAL', delay, '1', 'later', value, String(perBatch), String(n)];
  };
  await tellRedis(target, commands());
  return now + later;
}

/** Measures on one connection at a time; `ask` does one round and returns the milliseconds that count. */
function rounds(title: string, open: (target: Target, run: Run) => Promise<Rounds>): ServerContestant {
  return {
    title,
    server,
    async measure(run, { target }): Promise<Sample> {
      const { round, close } = await open(target, run);
      const end = performance.now() + run.seconds * 1000;
      const took: number[] = [];
      while (performance.now() < end) took.push(await round());
      close();
      return { value: median(took), seconds: run.seconds, requests: took.length, units: took.length };
    },
  };
}

interface Rounds {
  readonly round: () => Promise<number>;
  readonly close: () => void;
}

function connect(target: Target): Promise<HttpConnection> {
  return HttpConnection.open(target, (error) => {
    throw error;
  });
}

function ask(connection: HttpConnection, body: string): Promise<HttpReply> {
  return new Promise((resolve) => connection.send({ path, body }, resolve));
}

/** From the enqueue until the consumer that waited for it has its message. */
async function waitingConsumer(target: Target, run: Run): Promise<Rounds> {
  const [producer, consumer] = [await connect(target), await connect(target)];
  const queue = `waited-${run.id}`;
  let ack = '';
  return {
    async round() {
      if (ack !== '') await ask(consumer, ack);
      const taken = ask(consumer, `{"Dequeue":{"Queue":"${queue}","LockDur":60,"LockWait":10}}`);
      // The consumer is in line before the producer asks.
      await ask(producer, `{"KVGet":["nothing"]}`);
      const start = performance.now();
      const enqueued = ask(producer, `{"Enqueue":[{"Queue":"${queue}","Data":"${Data}"}]}`);
      const { body } = await taken;
      const ms = performance.now() - start;
      await enqueued;
      const [, id, lock] = /"ID":"([^"]+)"[^}]*?"Lock":(\d+)/.exec(body) ?? [];
      if (id === undefined) throw new Error(`expected a message, got ${body}`);
      ack = `{"Ack":[{"Queue":"${queue}","ID":"${id}","Lock":${lock}}]}`;
      return ms;
    },
    close() {
      producer.close();
      consumer.close();
    },
  };
}

async function oneWrite(target: Target): Promise<Rounds> {
  const connection = await connect(target);
  let count = 0;
  return {
    async round() {
      const start = performance.now();
      await ask(connection, `{"KVSet":[{"Key":"key-${count++}","Value":"${Data}"}]}`);
      return performance.now() - start;
    },
    close: () => connection.close(),
  };
}

const oneGroup = ours(({ id }) => ({
  connections: 1,
  workload: { kind: 'queue.handover', accounts: 1, keys: 1, queue: `one-${id}` },
}));

export const queueSizeRows: readonly Row[] = [
  {
    name: 'queue-wait',
    title: 'from an enqueue to the consumer that waits for it: p50',
    group: 'goals',
    unit: 'ms',
    better: 'less',
    goals: [{ bound: 'at most', value: 1.3, against: writeTitle }],
    contestants: [rounds(oursTitle, waitingConsumer), rounds(writeTitle, oneWrite)],
  },
  {
    name: 'queue-groups',
    title: `a message's life in a group of its own, among a million groups, ${connections} connections`,
    group: 'goals',
    unit: 'lives/s',
    better: 'more',
    goals: [{ bound: 'at least', value: 0.6, against: livesTitle }],
    contestants: [
      {
        ...ours({
          connections,
          workload: {
            kind: 'queue.life',
            accounts: 1,
            keys: 1,
            bytes,
            messages: 1,
            run: '',
            queue: 'many',
            groups: true,
          },
        }),
        prepare: (run, { target }) =>
          fill(run, target, sizeOf(run, groups), (number) => ({ Queue: 'many', Data, Group: `filled-${number}` })),
      },
      ours(
        ({ id }) => ({
          connections,
          workload: { kind: 'queue.life', accounts: 1, keys: 1, bytes, messages: 1, run: id },
        }),
        {
          title: livesTitle,
        },
      ),
    ],
  },
  {
    name: 'queue-one-group',
    title: 'messages of one group, one after the other, of 100,000 that wait',
    group: 'goals',
    unit: 'messages/s',
    better: 'more',
    note: 'ack and dequeue in one batch, on one connection; each is a commit',
    goals: [{ bound: 'at least', value: 1500 }],
    contestants: [
      {
        ...oneGroup,
        // What a run leaves in flight holds its group back: each has a queue of its own.
        async measure(run, running) {
          const count = sizeOf(run, inOneGroup);
          await fill(run, running.target, count, () => ({ Queue: `one-${run.id}`, Data, Group: 'g' }));
          return oneGroup.measure(run, running);
        },
      },
    ],
  },
  memoryOfMessages(ready, {
    name: 'queue-memory-10M',
    title: 'anonymous memory with 10 million messages ready and a million delayed',
    goals: [{ bound: 'at most', value: 0.3, against: 'Redis' }],
  }),
  // Minutes instead of half an hour; what a server has without messages is most of it.
  memoryOfMessages(fewReady, {
    name: 'queue-memory-1M',
    title: 'anonymous memory with a million messages ready and 100,000 delayed',
    goals: [],
  }),
];

function memoryOfMessages(count: number, head: Parameters<typeof memoryOfFilled>[0]): Row {
  const sizes = (run: Run): Sizes => [sizeOf(run, count), sizeOf(run, count / 10)];
  return memoryOfFilled(
    head,
    (run, target) => fillOurs(run, target, sizes(run)),
    (run, target) => fillRedis(target, sizes(run)),
  );
}
