/**
 * Ten thousand watchers of a server that is killed while they wait. All of them come back at once, and in the end have
 * seen the last version. Watchers of a prefix have seen every change once, in order, over all restarts.
 */
import assert from 'node:assert/strict';
import { meanwhile, sleep, trial } from '../support/crash-trial.ts';
import type { CrashClient, CrashServer, WatchEvent } from '../support/crash-server.ts';
import type { SeededRandom } from '../support/seeded-random.ts';
import { endKey, Gallery, KeyWatcher, prefix, PrefixWatcher, StreamWatcher, type Written } from './many-watchers.ts';
import { sized, tooFewFiles } from './scale.ts';

const wanted = sized(200, 10_000);
const keys = Array.from({ length: sized(10, 50) }, (_, i) => `${prefix}key-${String(i).padStart(2, '0')}`);
const kills = sized(2, 3);
const writesPerLife = sized(15, 12);
const pauseMs = sized(1, 200);
const writers = 3;

trial(
  `${wanted} watchers of keys and prefixes, polls and streams: over ${kills} kills all see the last version, and no event is lost or doubled`,
  import.meta.url,
  async ({ t, server, random, keep }) => {
    const watchers = affordable(wanted);
    if (watchers < wanted) t.diagnostic(`scaled down to ${watchers} watchers: ${tooFewFiles(wanted)}`);
    const scene = await Scene.start(server, random, watchers);
    keep('followers.json', () => JSON.stringify(scene.followers.map(({ seen }) => seen)));
    const running = meanwhile(Promise.all([...scene.keyWatchers, ...scene.followers].map((one) => one.run())));
    const restarts: { openAtKill: number; startMs: number; lastAnsweredMs: number }[] = [];
    try {
      await scene.touch(running);
      for (let n = 0; n < kills; n += 1) {
        const { killed, openAtKill } = await scene.writeAndKill();
        assert(killed, 'it was killed while it was being written to');
        restarts.push({ openAtKill, ...(await scene.restart(running)) });
      }
      await scene.write();
      await scene.finish();
      await running;
    } finally {
      scene.gallery.end();
    }
    const { gallery, followers, keyWatchers } = scene;
    const reference = await scene.judge();
    await server.stop();
    const events = { each: reference, inAll: reference * followers.length };
    const { cut, streamsResumed, tooSlow } = gallery;
    const acknowledged = scene.acknowledged.size;
    t.diagnostic(
      JSON.stringify({
        watchers,
        keyWatchers: keyWatchers.length,
        cut,
        streamsResumed,
        tooSlow,
        acknowledged,
        events,
        restarts,
      }),
    );
    for (const { openAtKill } of restarts)
      assert(openAtKill > watchers * 0.5, 'most of them waited when it was killed');
    assert(cut > 0 && streamsResumed > 0, 'requests were cut and streams resumed');
  },
);

/** As many watchers as there are file descriptors for; the test reports when they are fewer than intended. */
function affordable(count: number): number {
  return tooFewFiles(count) === false || count < 100 ? count : affordable(Math.floor(count * 0.9));
}

class Scene {
  readonly gallery = new Gallery();
  readonly keyWatchers: readonly KeyWatcher[];
  readonly followers: readonly (PrefixWatcher | StreamWatcher)[];
  /** `Rev Key` of each acknowledged change. */
  readonly acknowledged = new Set<string>();
  readonly #server: CrashServer;
  readonly #random: SeededRandom;
  readonly #begin: number;
  readonly #watchers: number;

  static async start(server: CrashServer, random: SeededRandom, watchers: number): Promise<Scene> {
    await server.start({ shards: 2, threads: 2, keepBytes: 1 << 30 });
    const client = server.client();
    const first: Written = { round: 0, last: false };
    const { Rev } = await client.must('POST', '/db/many', { KVSet: keys.map((Key) => ({ Key, Value: first })) });
    await client.close();
    return new Scene(server, random, Rev, watchers);
  }

  private constructor(server: CrashServer, random: SeededRandom, begin: number, watchers: number) {
    this.#server = server;
    this.#random = random;
    this.#begin = begin;
    this.#watchers = watchers;
    this.gallery.serverIsAt(server.port);
    const streams = Math.floor(watchers / 20);
    const prefixes = Math.floor(watchers / 4);
    const polls = watchers - streams - prefixes;
    this.keyWatchers = Array.from(
      { length: polls },
      (_, i) => new KeyWatcher(this.gallery, keys[i % keys.length]!, begin),
    );
    this.followers = [
      ...Array.from({ length: prefixes }, () => new PrefixWatcher(this.gallery, begin)),
      ...Array.from({ length: streams }, () => new StreamWatcher(this.gallery, begin)),
    ];
  }

  /** Changes every key in one commit. @returns when all watchers have seen it */
  async touch(running: Promise<unknown>): Promise<void> {
    const all = this.gallery.expect(this.gallery.round + 1, this.#watchers);
    await this.#must(keys);
    // If one of them fails, it never arrives.
    await Promise.race([all, running.then(() => assert.fail('nobody has seen the end yet'))]);
  }

  async restart(running: Promise<unknown>): Promise<{ startMs: number; lastAnsweredMs: number }> {
    const launchedAt = performance.now();
    await this.#server.start({ shards: 2, threads: 2, keepBytes: 1 << 30 });
    const servedAt = performance.now();
    this.gallery.serverIsAt(this.#server.port);
    await this.touch(running);
    return {
      startMs: Math.round(servedAt - launchedAt),
      lastAnsweredMs: Math.round(this.gallery.lastArrivedAt - servedAt),
    };
  }

  /** Writes at once from several clients: single keys, and several in one commit. */
  async write(until: () => boolean = () => false): Promise<void> {
    const one = async (client: CrashClient): Promise<void> => {
      for (let n = 0; n < writesPerLife && !until(); n += 1) {
        const from = this.#random.below(keys.length);
        await this.#set(client, keys.slice(from, from + 1 + (n % 3)));
        await sleep(pauseMs);
      }
      await client.close();
    };
    await Promise.all(Array.from({ length: writers }, () => one(this.#server.client())));
  }

  async writeAndKill(): Promise<{ killed: boolean; openAtKill: number }> {
    let killed = false;
    const before = this.acknowledged.size;
    const writing = this.write(() => killed);
    const enough = writers * writesPerLife * (0.3 + 0.3 * this.#random.next());
    while (this.acknowledged.size < before + enough) await sleep(1);
    const openAtKill = this.gallery.open;
    killed = true;
    this.gallery.serverIsDown();
    const { signal } = await this.#server.kill();
    await writing;
    return { killed: signal === 'SIGKILL', openAtKill };
  }

  async finish(): Promise<void> {
    await this.#must([...keys, endKey], true);
  }

  /** @returns how many changes there were. @throws when somebody has not seen what there was to see */
  async judge(): Promise<number> {
    const client = this.#server.client();
    const events: WatchEvent[] = [];
    for (let after = this.#begin; events.at(-1)?.Key !== endKey; ) {
      const page = await client.must('POST', '/watch/many', { Prefix: prefix, After: after, Wait: 0, Limit: 1000 });
      events.push(...page.Events);
      after = page.Rev;
    }
    const { KV } = await client.must('POST', '/db/many', { KVGet: keys });
    await client.close();
    const reference = events.map(({ Rev, Key }) => `${Rev} ${Key}`);
    for (const { seen } of this.followers) assert.deepEqual(seen, reference, 'all changes, each once, in order');
    const there = new Set(reference);
    for (const change of this.acknowledged) assert(there.has(change), `what was acknowledged is there: ${change}`);
    const final = new Map(KV!.map(({ Key, Version }) => [Key, Version]));
    for (const { key, versions } of this.keyWatchers) {
      assert.equal(versions.at(-1), final.get(key), `${key}: the last version was seen`);
      for (const version of versions.slice(1)) assert(there.has(`${version} ${key}`), `${key} had version ${version}`);
    }
    return reference.length;
  }

  async #must(changed: readonly string[], last = false): Promise<void> {
    const client = this.#server.client();
    assert(await this.#set(client, changed, last), 'it is written');
    await client.close();
  }

  async #set(client: CrashClient, changed: readonly string[], last = false): Promise<boolean> {
    const value: Written = { round: this.gallery.round, last };
    const answer = await client.ask('POST', '/db/many', { KVSet: changed.map((Key) => ({ Key, Value: value })) });
    if (answer === undefined) return false;
    assert.equal(answer.status, 200, answer.text);
    for (const key of changed) this.acknowledged.add(`${answer.body.Rev} ${key}`);
    return true;
  }
}
