/**
 * Clients and watchers of a real server that may die at any moment, and the history of what they saw, in the form that
 * all checkers read. A test may kill and restart the server any number of times; the history goes on.
 *
 *   client    makes one request at a time, some of them an array of batches; now and then it disconnects early
 *   watcher   has a long poll or an event stream under a prefix, and resumes at its position after a restart
 *
 * Times are wall time with the resolution of the performance clock: it tells operations in sequence apart from those
 * that overlap.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer, History, Operation, Restart } from './checkers/history.ts';
import type { Body } from './contract/expected.ts';
import type { WatchEvent, WatchResponse, WatchStream } from './checkers/watch-validators.ts';
import type { CrashClient, CrashServer } from './crash-server.ts';
import { meanwhile } from './crash-trial.ts';
import { accountId } from '../../src/protocol/ids.ts';
import { drainQueues } from './drain-queues.ts';
import type { ReplyBody } from './reply-body.ts';
import { batchBody, httpCall } from './http-calls.ts';
import { HttpCommands } from './http-commands.ts';
import { seededRandom, type SeededRandom } from './seeded-random.ts';
import { StreamReader } from './stream-reader.ts';
import { clockDifference, wallMs } from '../../src/shared/clock.ts';
import type { Command } from '../../src/protocol/operations/operations.ts';

export interface HttpRecorderOptions {
  readonly seed: number;
  readonly clients?: number;
  readonly things?: number;
}

interface Stream extends WatchStream {
  readonly responses: WatchResponse[];
}

const account = 'acme';
/** Codes for "nothing was done" and "a condition does not hold". Any other code is an error of the server. */
const statuses = new Set([200, 204, 404, 409, 422, 429, 503]);
/** What a policy of a queue refuses. */
const refusedByPolicy = new Set(['quota_exceeded', 'invalid']);
const watchers = [
  { prefix: '', how: 'poll' },
  { prefix: 'k1', how: 'poll' },
  { prefix: '', how: 'stream' },
  { prefix: 'k', how: 'stream' },
] as const;

export class HttpRecorder {
  readonly operations: Operation[] = [];
  readonly restarts: Restart[] = [];
  readonly streams: Stream[] = [];
  /** Counts by event. */
  readonly counts = { answered: 0, unanswered: 0, hungUp: 0, pages: 0, resumed: 0, compacted: 0 };
  readonly commands: HttpCommands;
  readonly #server: CrashServer;
  readonly #clients: number;
  readonly #random: SeededRandom;
  /** The position of each watcher. */
  readonly #cursors: number[] = watchers.map(() => 0);
  #ids = 0;
  #downAt = 0;
  #stopAt = Infinity;
  #killAt = Infinity;
  #stopped = false;
  #launches = 0;

  constructor(server: CrashServer, { seed, clients = 16, things = 8 }: HttpRecorderOptions) {
    this.#server = server;
    this.#clients = clients;
    this.#random = seededRandom(seed);
    this.commands = new HttpCommands(this.#random, { things });
  }

  get history(): History {
    return { operations: this.operations, restarts: this.restarts };
  }

  /** Runs until this many further operations were sent, or the server has died. Then nothing is in flight. */
  async run(operations: number): Promise<void> {
    this.#stopAt = this.operations.length + operations;
    this.#killAt = Infinity;
    await this.#run();
  }

  /** Kills the server (SIGKILL) after this many further operations, with all clients at work. */
  async runAndKill(operations: number): Promise<void> {
    this.#killAt = this.operations.length + operations;
    this.#stopAt = Infinity;
    await this.#run();
  }

  async #run(): Promise<void> {
    this.#stopped = false;
    const watching = meanwhile(Promise.all(watchers.map((_, i) => this.#watch(i))));
    await Promise.all(Array.from({ length: this.#clients }, (_, number) => this.#client(number)));
    this.#stopped = true;
    await watching;
  }

  /** Notes that a process was launched, which may or may not get to serve. */
  launched(): void {
    this.#launches += 1;
  }

  /** Notes that the process has ended, and that no client will learn anything more. */
  died(): void {
    this.#downAt = now();
  }

  /** Notes that the process that was launched last serves. */
  serving(): void {
    const startedAt = this.#server.launchedAt;
    if (this.#downAt > 0) {
      this.restarts.push({ downAt: this.#downAt, startedAt, upAt: now(), starts: this.#launches });
    }
    this.#launches = 0;
  }

  /** Returns all changes of keys, as a watch at the end tells them, and where the kept history begins. */
  async readWatch(): Promise<Stream> {
    const client = this.#server.client();
    let after = 0;
    const responses: WatchResponse[] = [];
    const { Rev: upTo } = await client.must('POST', `/db/${account}`, { KVSet: [{ Key: 'end', Value: 1 }] });
    for (let position = 0; position < upTo; ) {
      const ask = { Prefix: '', After: position, Wait: 5, Limit: 1000 };
      const page = await client.ask('POST', `/watch/${account}`, ask);
      if (page?.status === 410 && responses.length === 0) position = after = page.body.Oldest;
      else {
        assert(page?.status === 200, `a watch is answered: ${page?.text}`);
        responses.push({ events: page.body.Events, rev: page.body.Rev });
        position = page.body.Rev;
      }
    }
    await client.close();
    return { id: 'all', prefix: '', after, responses };
  }

  /** Takes and acks all messages of all queues. */
  async drain(): Promise<void> {
    const client = this.#server.client();
    const ask = async (command: Command): Promise<ReplyBody> => {
      const place = await this.#ask(client, 0, command);
      assert(place !== undefined, 'the server lives');
      return this.operations[place]!.answer!.body as unknown as ReplyBody;
    };
    await drainQueues({
      ask,
      accounts: [accountId(account)],
      queues: this.commands.queues,
      waitMs: 15_000,
      pause: () => sleep(1000),
    });
    await client.close();
  }

  async #client(number: number): Promise<void> {
    let client = this.#server.client();
    for (let alive = true; alive && this.operations.length < this.#stopAt; ) {
      const hangsUp = this.#random.below(600) === 0;
      const timer = hangsUp ? setTimeout(() => void client.close(), this.#random.below(4)) : undefined;
      alive = this.#random.below(12) === 0 ? await this.#array(client, number) : await this.#one(client, number);
      clearTimeout(timer);
      if (!hangsUp) continue;
      if (!alive) this.counts.hungUp += 1;
      alive = true;
      await client.close();
      client = this.#server.client();
    }
    await client.close();
  }

  async #one(client: CrashClient, number: number): Promise<boolean> {
    return (await this.#ask(client, number, this.commands.next())) !== undefined || this.#lost(1);
  }

  /** Returns its place in the history; undefined: it was not answered. */
  async #ask(client: CrashClient, number: number, command: Command): Promise<number | undefined> {
    const { method, target, body, headers } = httpCall(command);
    const place = this.#sent(number, command);
    const answer = await client.ask(method, target, body, headers);
    if (answer === undefined) return undefined;
    const replayed = answer.replayed ? { replayed: true as const } : {};
    this.#answered(place, { at: now(), status: answer.status, body: answer.body as unknown as Body, ...replayed });
    return place;
  }

  async #array(client: CrashClient, number: number): Promise<boolean> {
    const batches = this.commands.several(2 + this.#random.below(4));
    const places = batches.map((batch) => this.#sent(number, batch));
    const answer = await client.ask('POST', `/db/${account}`, batches.map(batchBody));
    if (answer === undefined) return this.#lost(batches.length);
    assert.equal(answer.status, 200, answer.text);
    const at = now();
    const items = answer.body as unknown as readonly (Body & { readonly Status: number })[];
    items.forEach(({ Status, ...body }, i) => this.#answered(places[i]!, { at, status: Status, body }));
    return true;
  }

  #sent(client: number, call: Command): number {
    this.#ids += 1;
    if (this.operations.length === this.#killAt) void this.#server.kill();
    return this.operations.push({ id: this.#ids, client, call, sentAt: now() }) - 1;
  }

  #answered(place: number, answer: Answer): void {
    const operation = this.operations[place]!;
    const isKnown = statuses.has(answer.status) || refusedByPolicy.has(answer.body.Code ?? '');
    assert(isKnown, `${JSON.stringify(operation)} → ${JSON.stringify(answer)}`);
    this.operations[place] = { ...operation, answer };
    this.counts.answered += 1;
    if (answer.status === 200) this.commands.learn(operation.call, answer.body);
  }

  #lost(count: number): false {
    this.counts.unanswered += count;
    return false;
  }

  async #watch(number: number): Promise<void> {
    const { prefix, how } = watchers[number]!;
    while (!this.#stopped) {
      const stream: Stream = {
        id: `${how} ${this.streams.length}`,
        prefix,
        after: this.#cursors[number]!,
        responses: [],
      };
      this.streams.push(stream);
      if (stream.after > 0) this.counts.resumed += 1;
      const take = (events: readonly WatchEvent[], rev: number): void => {
        stream.responses.push({ events, rev });
        this.#cursors[number] = rev;
        this.counts.pages += 1;
      };
      if (!(await (how === 'poll' ? this.#poll(number, prefix, take) : this.#stream(number, prefix, take)))) return;
    }
  }

  /** Returns whether to go on, from a later cursor. */
  async #poll(number: number, Prefix: string, take: Take): Promise<boolean> {
    const client = this.#server.client();
    try {
      while (!this.#stopped) {
        const ask = { Prefix, After: this.#cursors[number], Wait: 0.2, Limit: 1 + this.#random.below(100) };
        const page = await client.ask('POST', `/watch/${account}`, ask);
        if (page === undefined) return false;
        if (page.status === 410) return this.#compacted(number, page.body.Oldest);
        assert.equal(page.status, 200, page.text);
        take(page.body.Events, page.body.Rev);
      }
      return false;
    } finally {
      await client.close();
    }
  }

  async #stream(number: number, prefix: string, take: Take): Promise<boolean> {
    const url = `${this.#server.url}/watch/${account}?prefix=${prefix}&after=${this.#cursors[number]}`;
    const reader = await StreamReader.open(url).catch(() => undefined);
    if (reader === undefined) return false;
    const ends = setInterval(() => this.#stopped && reader.close(), 20);
    try {
      if (reader.response.statusCode === 410) {
        return this.#compacted(number, (JSON.parse(await reader.text()) as { Oldest: number }).Oldest);
      }
      assert.equal(reader.response.statusCode, 200, 'a stream is answered');
      for (let block = await reader.next(); block !== undefined; block = await reader.next()) {
        if (block.id !== undefined)
          take(
            block.data.map((text) => JSON.parse(text) as WatchEvent),
            block.id,
          );
      }
      return true;
    } catch (error) {
      // The server has died, or this reader has ended.
      if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
      return false;
    } finally {
      clearInterval(ends);
      reader.close();
    }
  }

  #compacted(number: number, oldest: number): true {
    assert(
      oldest > this.#cursors[number]!,
      `${oldest} is kept, and a watch after ${this.#cursors[number]} was refused`,
    );
    this.#cursors[number] = oldest;
    this.counts.compacted += 1;
    return true;
  }
}

type Take = (events: readonly WatchEvent[], rev: number) => void;

const wallAheadMs = clockDifference(wallMs, () => performance.now());

function now(): number {
  return wallAheadMs + performance.now();
}
