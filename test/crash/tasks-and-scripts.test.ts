/**
 * Money moved among accounts by scripts, each transfer with tasks in its commit, and kill -9 in between.
 *
 *   the sum        is the same in every read
 *   a transfer     that was answered is there, and none twice: calls without an answer are made again under their id
 *   its tasks      into a queue and to a script are done exactly once, to a receiver at least once, under one id
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import type { AnswerBody, CrashClient, CrashServer } from '../support/crash-server.ts';
import { meanwhile, sleep, trial } from '../support/crash-trial.ts';
import { seededRandom, type SeededRandom } from '../support/seeded-random.ts';

const rounds = Number(process.env['DRAGONLOCK_CRASH_ROUNDS'] ?? 2);
const callers = 8;
const opening = 100;
const accounts = Array.from({ length: 12 }, (_, i) => `acct/${i}`);
const db = '/db/bank';

const transfer = `export default (tx, { from, to, amount, mark, url }) => {
  const [a, b] = tx.getAll([from, to]);
  if (a < amount) tx.fail('insufficient', a);
  tx.set(from, a - amount);
  tx.set(to, b + amount);
  tx.set('mark/' + mark, (tx.get('mark/' + mark) ?? 0) + 1);
  tx.task('queue/' + mark, { queue: 'out', data: mark });
  tx.task('script/' + mark, { script: 'ran', args: mark, delay: amount * 50 });
  if (amount % 4 === 0) tx.task('http/' + mark, { url: url + mark, retry: { max: 100, min: 200, maxDelay: 500, factor: 1 } });
  return a - amount;
}`;
const ran = `export default (tx, mark) => tx.set('ran/' + mark, (tx.get('ran/' + mark) ?? 0) + 1)`;

interface Call {
  readonly mark: string;
  readonly amount: number;
  readonly body: object;
}

class Ledger {
  readonly done = new Map<string, Call>();
  readonly refused = new Set<string>();
  /** Without an answer. */
  readonly open = new Map<string, Call>();
  conflicts = 0;
  reads = 0;
  again = 0;
  #made = 0;
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  /** @returns false when the server has died */
  async transfer(client: CrashClient, random: SeededRandom): Promise<boolean> {
    this.#made += 1;
    const mark = `m${this.#made}`;
    const from = random.below(accounts.length);
    const to = (from + 1 + random.below(accounts.length - 1)) % accounts.length;
    const amount = random.below(20);
    const Args = { from: accounts[from], to: accounts[to], amount, mark, url: this.#url };
    const Keys = random.below(2) === 0 ? [accounts[from], accounts[to], `mark/${mark}`] : [];
    const body = { Args, Keys, IdempotencyIDs: [mark], IdempotencyMode: 'replay' };
    return this.#call(client, { mark, amount, body });
  }

  /** Makes the calls again whose answers were lost. */
  async repeat(client: CrashClient): Promise<void> {
    for (const call of this.open.values()) {
      this.again += 1;
      if (!(await this.#call(client, call))) return;
    }
  }

  async read(client: CrashClient): Promise<boolean> {
    const answer = await client.ask('POST', db, { KVGet: accounts });
    if (answer === undefined) return false;
    const sum = answer.body.KV!.reduce((all, { Value }) => all + Number(Value), 0);
    assert.equal(sum, accounts.length * opening, `a read at ${answer.body.Rev} shows a transfer by halves`);
    this.reads += 1;
    return true;
  }

  async #call(client: CrashClient, call: Call): Promise<boolean> {
    const { mark, body } = call;
    this.open.set(mark, call);
    const answer = await client.ask('POST', `${db}/call/transfer`, body);
    if (answer === undefined) return false;
    if (answer.status === 200) this.done.set(mark, call);
    else if (answer.body.Code === 'script_refused') this.refused.add(mark);
    else {
      assert.ok(transient.has(answer.body.Code), answer.text);
      this.conflicts += 1;
      // It has done nothing, but may have been made before.
      return true;
    }
    this.open.delete(mark);
    return true;
  }
}

const transient = new Set(['conflict', 'too_many_waiters', 'rate_limited', 'request_in_progress', 'draining']);

/** Receives requests of tasks; it fails every fourth. */
class Receiver {
  readonly ids = new Map<string, Set<string>>();
  readonly succeeded = new Set<string>();
  requests = 0;
  readonly #server = http.createServer((request, response) => {
    const mark = request.url!.slice(1);
    const ids = this.ids.get(mark) ?? new Set();
    this.ids.set(mark, ids.add(String(request.headers['webhook-id'])));
    this.requests += 1;
    request.resume();
    if (this.requests % 4 === 0) return void response.writeHead(500).end();
    this.succeeded.add(mark);
    return void response.writeHead(204).end();
  });

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

trial(
  `kill -9 under script calls with tasks, ${rounds} times: the sum stays, and all happens as often as it must`,
  import.meta.url,
  async ({ t, server, seed, random }) => {
    const receiver = new Receiver();
    t.after(() => receiver.close());
    const port = await receiver.listen();
    const config = [
      'http: {threads: 1}',
      'limits: {memtable_bytes_max: 1048576}',
      `scripts: {threads: 1, account_cpu_ms_per_second: 100000}`,
      `tasks: {allow: ["127.0.0.1:${port}"]}`,
    ];
    const ledger = new Ledger(`http://127.0.0.1:${port}/`);
    await server.start({ shards: 2, config });
    await setUp(server);
    let effective = 0;
    for (let round = 0; round < rounds; round += 1) {
      const before = ledger.done.size;
      const running = meanwhile(load(server, ledger, seed + round * 100));
      while (ledger.done.size < before + 20) await sleep(20);
      await sleep(random.below(400));
      await server.kill();
      await running;
      effective += 1;
      await server.start({ shards: round % 2 === 0 ? 3 : 2, config });
      const client = server.client();
      await ledger.repeat(client);
      await client.close();
    }
    const client = server.client();
    while (ledger.open.size > 0) await ledger.repeat(client);
    await allEnded(client);
    await checkEnd(client, ledger, receiver);
    await client.close();
    await server.stop();
    const { done, refused, conflicts, reads, again } = ledger;
    const figures = {
      transfers: done.size,
      refused: refused.size,
      conflicts,
      reads,
      again,
      requests: receiver.requests,
    };
    t.diagnostic(JSON.stringify({ effective, ...figures }));
    assert.ok(again > 0 && receiver.requests > 0, 'the kills had something to lose');
  },
);

async function setUp(server: CrashServer): Promise<void> {
  for (const [name, source] of Object.entries({ transfer, ran })) {
    const response = await fetch(`${server.url}${db}/script/${name}`, {
      method: 'PUT',
      headers: { 'content-type': 'text/javascript' },
      body: source,
    });
    assert.equal(response.status, 200, await response.text());
  }
  const client = server.client();
  await client.must('POST', db, { KVSet: accounts.map((Key) => ({ Key, Value: opening, Version: 0 })) });
  await client.close();
}

async function load(server: CrashServer, ledger: Ledger, seed: number): Promise<void> {
  await Promise.all(
    Array.from({ length: callers + 1 }, async (_, i) => {
      const client = server.client();
      const own = seededRandom(seed + i);
      while (i < callers ? await ledger.transfer(client, own) : await ledger.read(client));
      await client.close();
    }),
  );
}

/** Waits until no task is to come. */
async function allEnded(client: CrashClient): Promise<void> {
  for (;;) {
    const { Tasks } = (await client.must('GET', `${db}/task?state=scheduled&limit=1`)) as AnswerBody & {
      readonly Tasks: readonly unknown[];
    };
    if (Tasks.length === 0) return;
    await sleep(50);
  }
}

async function checkEnd(client: CrashClient, ledger: Ledger, receiver: Receiver): Promise<void> {
  await ledger.read(client);
  const [marks, runs] = [await counted(client, 'mark/'), await counted(client, 'ran/')];
  const messages = await drained(client);
  for (const [mark, { amount }] of ledger.done) {
    assert.equal(marks.get(mark), 1, `the transfer ${mark} was answered, and is there once`);
    assert.equal(runs.get(mark), 1, `the script of the transfer ${mark} ran once`);
    assert.equal(messages.get(mark), 1, `the message of the transfer ${mark} is there once`);
    if (amount % 4 !== 0) continue;
    assert.ok(receiver.succeeded.has(mark), `the receiver was told of the transfer ${mark}`);
    assert.equal(receiver.ids.get(mark)!.size, 1, `all requests of the transfer ${mark} have one id`);
  }
  for (const found of [marks, runs, messages, receiver.ids])
    for (const mark of found.keys()) assert.ok(ledger.done.has(mark), `${mark} was refused, and has happened`);
}

/** Numbers under a prefix, by the rest of the key. */
async function counted(client: CrashClient, prefix: string): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (let after = ''; ; ) {
    const page = await client.must('GET', `${db}/kv?prefix=${encodeURIComponent(prefix)}&limit=1000${after}`);
    for (const { Key, Value } of page.KV!) found.set(Key.slice(prefix.length), Number(Value));
    if (page.More !== true) return found;
    after = `&after=${encodeURIComponent(page.After)}`;
  }
}

async function drained(client: CrashClient): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (;;) {
    const reply = await client.must('POST', db, { Dequeue: { Queue: 'out', DequeueMax: 1000, LockDur: 3600 } });
    const { Messages } = (reply as unknown as Taken).Dequeue;
    for (const { Data } of Messages) found.set(Data, (found.get(Data) ?? 0) + 1);
    if (Messages.length === 0) return found;
  }
}

interface Taken {
  readonly Dequeue: { readonly Messages: readonly { readonly Data: string }[] };
}
