/**
 * Redis clients over restarts. A load like that of `redis-benchmark -P 16` is killed again and again: what was acknowledged
 * is there, and nothing that was not sent. A WATCH ends with its connection, and the versions that it goes by outlive the
 * server. `DRAGONLOCK_CRASH_ROUNDS` sets how often the load is killed.
 */
import assert from 'node:assert/strict';
import { trial } from '../support/crash-trial.ts';
import type { CrashServer } from '../support/crash-server.ts';
import { RespClient, type RespReply } from '../support/resp-client.ts';
import type { SeededRandom } from '../support/seeded-random.ts';

const rounds = Number(process.env['DRAGONLOCK_CRASH_ROUNDS'] ?? 2);
const connections = 8;
const pipelined = 16;
const keysOfConnection = 5;

function layout(round: number) {
  return {
    shards: round % 2 === 0 ? 1 : 3,
    config: [
      'http: {threads: 2}',
      'resp: {listen: "127.0.0.1:0"}',
      'limits: {memtable_bytes_max: 1048576, body_bytes_max: 1048576, value_bytes_max: 524288}',
    ],
  };
}

function open(server: CrashServer): Promise<RespClient> {
  return RespClient.open(Number(server.log.find((line) => line['respPort'] !== undefined)?.['respPort']));
}

/** What is known of one key: it has a number that is at least `acknowledged` and at most `sent`. */
interface Known {
  acknowledged: number;
  sent: number;
}

class Load {
  readonly known = new Map<string, Known>();
  acknowledged = 0;
  unanswered = 0;
  #killAt = Infinity;
  readonly #server: CrashServer;
  readonly #random: SeededRandom;

  constructor(server: CrashServer, random: SeededRandom) {
    this.#server = server;
    this.#random = random;
  }

  /** Kills the server after so many replies. */
  async runAndKill(replies: number): Promise<void> {
    this.#killAt = this.acknowledged + replies;
    await Promise.all(Array.from({ length: connections }, (_, number) => this.#connection(number)));
  }

  /** Compares what the server has with what is known. */
  async check(): Promise<void> {
    const client = await open(this.#server);
    for (const [key, known] of this.known) {
      const found = Number((await client.ok('GET', key)) ?? 0);
      const told = `${key} is ${found}; ${known.acknowledged} was acknowledged, ${known.sent} sent`;
      assert(found >= known.acknowledged && found <= known.sent, told);
      known.acknowledged = found;
      known.sent = found;
    }
    client.close();
  }

  async #connection(number: number): Promise<void> {
    const client = await open(this.#server);
    for (let alive = true; alive; ) {
      const replies = Array.from({ length: pipelined }, () => this.#command(client, number));
      alive = (await Promise.all(replies)).every(Boolean);
    }
    client.close();
  }

  async #command(client: RespClient, number: number): Promise<boolean> {
    const slot = this.#random.below(keysOfConnection);
    const adds = slot % 2 === 0;
    const key = `${adds ? 'counter' : 'key'}:${number}:${slot}`;
    const known = this.known.get(key) ?? { acknowledged: 0, sent: 0 };
    this.known.set(key, known);
    known.sent += 1;
    const value = known.sent;
    const reply = await (adds ? client.call('INCR', key) : client.call('SET', key, String(value).padStart(64, '0')));
    if (reply === undefined) {
      this.unanswered += 1;
      return false;
    }
    assert.equal(reply, adds ? value : 'OK', key);
    known.acknowledged = value;
    this.acknowledged += 1;
    if (this.acknowledged === this.#killAt) void this.#server.kill();
    return true;
  }
}

trial(
  `kill -9 under pipelined SET and INCR, ${rounds} times: nothing acknowledged is lost, and nothing is done twice`,
  import.meta.url,
  async ({ server, random, t }) => {
    const load = new Load(server, random);
    for (let round = 0; round < rounds; round += 1) {
      await server.start(layout(round));
      await load.check();
      await load.runAndKill(1500 + random.below(1500));
      await server.ended();
    }
    await server.start(layout(rounds));
    await load.check();
    const { acknowledged, unanswered } = load;
    t.diagnostic(JSON.stringify({ rounds, acknowledged, unanswered }));
    assert(acknowledged >= rounds * 1500 && unanswered > 0, 'the kills had something to lose');
    await server.stop();
  },
);

async function exec(client: RespClient, key: string, value: string): Promise<RespReply | undefined> {
  assert.equal(await client.ok('MULTI'), 'OK');
  assert.equal(await client.ok('SET', key, value), 'QUEUED');
  return client.call('EXEC');
}

async function versionOf(client: RespClient, key: string): Promise<number> {
  return ((await client.ok('DL.GETJSON', key)) as [string, number, null])[1];
}

for (const [how, end] of [
  ['killed', (server: CrashServer) => server.kill()],
  ['stopped', (server: CrashServer) => server.stop()],
] as const)
  trial(
    `a WATCH ends with a server that is ${how}, and versions tell the truth afterwards`,
    import.meta.url,
    async ({ server }) => {
      await server.start(layout(0));
      const before = await open(server);
      await before.ok('SET', 'same', '1');
      await before.ok('SET', 'changed', '1');
      await before.ok('SET', 'deleted', '1');
      const [same, changed, deleted] = [
        await versionOf(before, 'same'),
        await versionOf(before, 'changed'),
        await versionOf(before, 'deleted'),
      ];
      assert.equal(await before.ok('WATCH', 'same', 'none'), 'OK');
      await before.ok('MULTI');
      await before.ok('SET', 'same', 'queued');
      await end(server);
      assert.equal(await before.call('EXEC'), undefined, 'its connection has ended');

      await server.start(layout(1));
      const after = await open(server);
      assert.equal(await after.ok('GET', 'same'), '1', 'what was queued was not done');
      await after.fails(/^ERR EXEC without MULTI/, 'EXEC');
      assert.equal(await versionOf(after, 'same'), same);
      await after.ok('SET', 'changed', '1');
      await after.ok('DEL', 'deleted');
      // A version from before the restart is still the one to compare with.
      assert.equal(await after.ok('DL.WATCH', 'same', same, 0), null);
      assert.equal(
        ((await after.ok('DL.WATCH', 'changed', changed, 0)) as [number])[0],
        await versionOf(after, 'changed'),
      );
      assert.deepEqual(await after.ok('DL.WATCH', 'deleted', deleted, 0), [0, null]);
      await after.fails(/^VERSIONMISMATCH/, 'DL.SETJSON', 'changed', '2', 'VERSION', changed);
      assert.equal(await after.ok('WATCH', 'same', 'none'), 'OK');
      assert.deepEqual(await exec(after, 'same', '2'), ['OK']);
      await after.ok('WATCH', 'same');
      const other = await open(server);
      await other.ok('SET', 'same', '2');
      assert.equal(await exec(after, 'same', '3'), null);
      for (const client of [after, other]) client.close();
      await server.stop();
    },
  );
