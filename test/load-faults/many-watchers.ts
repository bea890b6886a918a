/**
 * Thousands of watchers that come back whenever the server does, of three kinds. One polls a key with its version, one
 * polls a prefix with a cursor, one reads a stream of events and resumes with `Last-Event-ID`. Each ends when it has
 * seen the last change, and keeps what it saw.
 */
import assert, { AssertionError } from 'node:assert/strict';
import { sleep } from '../support/crash-trial.ts';
import { RawConnection } from '../support/raw-connection.ts';
import type { KeyEvent } from '../support/reply-body.ts';
import { StreamReader } from '../support/stream-reader.ts';

export const prefix = 'w/';
export const endKey = 'w/zz-end';
const target = '/watch/many';
const waitSeconds = 60;

/** Values hold the round in which they were written, so a watcher knows how far it has come. */
export interface Written {
  readonly round: number;
  readonly last: boolean;
}

/** Shared by all watchers. */
export class Gallery {
  round = 0;
  /** Polls and streams that the server has not answered. */
  open = 0;
  /** Requests that ended without an answer, because the server died. */
  cut = 0;
  streamsResumed = 0;
  /** Requests that this process, which is busy with all the others, began to send too late for the server. */
  tooSlow = 0;
  /** Watchers that have seen the change of this round that touches every key. */
  arrived = 0;
  lastArrivedAt = 0;
  /** Undefined while the server is down. */
  #port: number | undefined;
  #over = false;
  #moved = Promise.withResolvers<void>();
  #expected = 0;
  #allArrived = Promise.withResolvers<void>();
  readonly #contents = new Map<string, string>();

  /** @returns when all of them have seen that round */
  expect(round: number, watchers: number): Promise<void> {
    this.round = round;
    this.arrived = 0;
    this.#expected = watchers;
    this.#allArrived = Promise.withResolvers<void>();
    return this.#allArrived.promise;
  }

  arrive(round: number): void {
    if (round !== this.round) return;
    this.arrived += 1;
    this.lastArrivedAt = performance.now();
    if (this.arrived === this.#expected) this.#allArrived.resolve();
  }

  /** Checks that a version has one content, for all watchers and forever. */
  agree(key: string, version: number, value: unknown): void {
    const [name, text] = [`${key} ${version}`, JSON.stringify(value)];
    const known = this.#contents.get(name);
    if (known === undefined) this.#contents.set(name, text);
    else assert.equal(text, known, `${name} has one value`);
  }

  isTooSlow(status: number, body: string): boolean {
    if (status === 200 || !body.includes('came too slowly')) return false;
    this.tooSlow += 1;
    return true;
  }

  serverIsAt(port: number): void {
    this.#port = port;
    this.#moved.resolve();
  }

  serverIsDown(): void {
    this.#port = undefined;
    this.#moved = Promise.withResolvers();
  }

  /** The test has ended for any reason: no watcher comes back any more. */
  end(): void {
    this.#over = true;
    this.#moved.resolve();
  }

  async serverPort(): Promise<number> {
    for (;;) {
      if (this.#over) throw new Error('The test is over');
      if (this.#port !== undefined) return this.#port;
      await this.#moved.promise;
    }
  }
}

abstract class Watcher {
  protected readonly gallery: Gallery;
  #seenRound = 0;

  constructor(gallery: Gallery) {
    this.gallery = gallery;
  }

  abstract run(): Promise<void>;

  /** The round that touches every key has come to this one. */
  protected sees({ round }: Written): void {
    if (round <= this.#seenRound) return;
    this.#seenRound = round;
    this.gallery.arrive(round);
  }
}

abstract class PollingWatcher extends Watcher {
  #connection: RawConnection | undefined;

  /** Returns one answer of status 200 or 204, over any number of restarts. */
  protected async poll(body: unknown): Promise<{ status: number; body: string }> {
    for (;;) {
      while (this.#connection === undefined || this.#connection.socket.destroyed) {
        this.#connection = await RawConnection.open(await this.gallery.serverPort());
        if (this.#connection === undefined) await sleep(10);
      }
      this.gallery.open += 1;
      const reply = await this.#connection.ask('POST', target, body);
      this.gallery.open -= 1;
      if (reply === undefined) {
        this.gallery.cut += 1;
        continue;
      }
      if (this.gallery.isTooSlow(reply.status, reply.body)) continue;
      assert(reply.status === 200 || reply.status === 204, `a watch is answered: ${reply.status} ${reply.body}`);
      return reply;
    }
  }

  protected end(): void {
    this.#connection?.socket.destroy();
  }
}

export class KeyWatcher extends PollingWatcher {
  readonly key: string;
  readonly versions: number[];

  constructor(gallery: Gallery, key: string, version: number) {
    super(gallery);
    this.key = key;
    this.versions = [version];
  }

  async run(): Promise<void> {
    for (let last = false; !last; ) {
      const version = this.versions.at(-1)!;
      const reply = await this.poll({ ID: this.key, Version: version, Wait: waitSeconds });
      if (reply.status === 204) continue;
      const { Version, Value } = JSON.parse(reply.body) as { Version: number; Value: Written };
      assert(Version > version, `${this.key}: versions grow, ${Version} came after ${version}`);
      this.gallery.agree(this.key, Version, Value);
      this.versions.push(Version);
      this.sees(Value);
      last = Value.last;
    }
    this.end();
  }
}

/** The changes that a watcher of a prefix has seen, in order, each as `Rev Key`. */
export interface Follower {
  readonly seen: readonly string[];
}

export class PrefixWatcher extends PollingWatcher implements Follower {
  readonly seen: string[] = [];
  #cursor: number;

  constructor(gallery: Gallery, cursor: number) {
    super(gallery);
    this.#cursor = cursor;
  }

  async run(): Promise<void> {
    for (let last = false; !last; ) {
      const reply = await this.poll({ Prefix: prefix, After: this.#cursor, Wait: waitSeconds });
      if (reply.status === 204) continue;
      const { Events, Rev } = JSON.parse(reply.body) as { Events: KeyEvent[]; Rev: number };
      assert(Rev >= this.#cursor, `the cursor grows, ${Rev} came after ${this.#cursor}`);
      this.#cursor = Rev;
      last = follow(this.gallery, Events, this.seen, (written) => this.sees(written));
    }
    this.end();
  }
}

export class StreamWatcher extends Watcher implements Follower {
  readonly seen: string[] = [];
  readonly #cursor: number;
  #lastId: number | undefined;

  constructor(gallery: Gallery, cursor: number) {
    super(gallery);
    this.#cursor = cursor;
  }

  async run(): Promise<void> {
    for (let last = false; !last; ) {
      const stream = await this.#open();
      if (stream === undefined) {
        await sleep(10);
        continue;
      }
      this.gallery.open += 1;
      try {
        last = await this.#read(stream);
      } catch (error) {
        // The connection was reset.
        if (error instanceof AssertionError) throw error;
      } finally {
        this.gallery.open -= 1;
        stream.close();
      }
      if (!last) this.gallery.cut += 1;
    }
  }

  async #read(stream: StreamReader): Promise<boolean> {
    for (;;) {
      const commit = await stream.nextCommit();
      if (commit === undefined) return false;
      assert(commit.id > (this.#lastId ?? this.#cursor), `ids grow: ${commit.id} came after ${this.#lastId}`);
      this.#lastId = commit.id;
      if (follow(this.gallery, commit.events, this.seen, (written) => this.sees(written))) return true;
    }
  }

  async #open(): Promise<StreamReader | undefined> {
    const url = `http://127.0.0.1:${await this.gallery.serverPort()}${target}?prefix=${prefix}&after=${this.#cursor}`;
    try {
      const resume = this.#lastId === undefined ? {} : { 'Last-Event-ID': String(this.#lastId) };
      const stream = await StreamReader.open(url, resume);
      const { statusCode = 0 } = stream.response;
      if (statusCode !== 200) {
        const text = await stream.text();
        assert(this.gallery.isTooSlow(statusCode, text), `a stream is opened: ${statusCode} ${text}`);
        return undefined;
      }
      if (this.#lastId !== undefined) this.gallery.streamsResumed += 1;
      return stream;
    } catch (error) {
      // Refused, or reset before it began.
      if (error instanceof AssertionError) throw error;
      return undefined;
    }
  }
}

/** @returns whether the last change of all is among them */
function follow(
  gallery: Gallery,
  events: readonly KeyEvent[],
  seen: string[],
  sees: (written: Written) => void,
): boolean {
  let last = false;
  for (const { Key, Version, Value, Rev } of events) {
    gallery.agree(Key, Version, Value);
    seen.push(`${Rev} ${Key}`);
    sees(Value as Written);
    last ||= Key === endKey;
  }
  return last;
}
