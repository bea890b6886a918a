/**
 * Accounts spread over three shards, money moved between them by batches over several shards, readers that read all of
 * it in one batch, and kill -9 in between: the total is the same in every read, at every moment.
 */
import assert from 'node:assert/strict';
import type { CrashClient } from '../support/crash-server.ts';
import { meanwhile, sleep, trial } from '../support/crash-trial.ts';
import { seededRandom, type SeededRandom } from '../support/seeded-random.ts';

const rounds = Number(process.env['DRAGONLOCK_CRASH_ROUNDS'] ?? 3);
const accounts = Array.from({ length: 24 }, (_, i) => `account-${i}`);
const opening = 100;
const total = accounts.length * opening;
const writers = 12;
const readers = 3;
const db = '/db/bank';

interface Balance {
  readonly version: number;
  readonly amount: number;
}

class Bank {
  transfers = 0;
  conflicts = 0;
  reads = 0;
  /** The newest version of each account that any client was told. */
  readonly #told = new Map<string, number>();

  /** Reads all balances, as of one moment; undefined when the server has died. */
  async readAll(client: CrashClient): Promise<Map<string, Balance> | undefined> {
    const before = new Map(this.#told);
    const answer = await client.ask('POST', db, { KVGet: accounts });
    if (answer === undefined) return undefined;
    assert.equal(answer.status, 200, answer.text);
    const { KV, Rev } = answer.body;
    const balances = new Map(
      KV!.map(({ Key, Version, Value }) => [Key, { version: Version, amount: Value as number }]),
    );
    const sum = [...balances.values()].reduce((all, { amount }) => all + amount, 0);
    assert.equal(sum, total, `a read at revision ${Rev} shows a transfer by halves: ${answer.text}`);
    for (const [key, { version }] of balances) {
      const told = before.get(key) ?? 0;
      assert(version >= told && version <= Rev, `${key} has version ${version} at revision ${Rev}, after ${told}`);
      this.#tell(key, version);
    }
    this.reads += 1;
    return balances;
  }

  /** Moves money between two or three accounts if they have not changed. @returns false when the server has died */
  async transfer(client: CrashClient, random: SeededRandom): Promise<boolean> {
    const balances = await this.readAll(client);
    if (balances === undefined) return false;
    const chosen = new Set<string>();
    while (chosen.size < 2 + random.below(2)) chosen.add(accounts[random.below(accounts.length)]!);
    const [from, ...to] = [...chosen].map((key) => ({ key, ...balances.get(key)! }));
    const each = random.below(20);
    const KVSet = [
      { Key: from!.key, Value: from!.amount - each * to.length, Version: from!.version },
      ...to.map(({ key, amount, version }) => ({ Key: key, Value: amount + each, Version: version })),
    ];
    // Counters move along: they are checked in the end.
    const Atomic = [
      { Key: `moved-${from!.key}`, Add: -each * to.length },
      ...to.map(({ key }) => ({ Key: `moved-${key}`, Add: each })),
    ];
    const answer = await client.ask('POST', db, { KVSet, Atomic });
    if (answer === undefined) return false;
    if (answer.status === 200) {
      this.transfers += 1;
      for (const { Key } of KVSet) this.#tell(Key, answer.body.Rev);
      return true;
    }
    assert.equal(answer.body.Code, 'version_mismatch', answer.text);
    this.conflicts += 1;
    return true;
  }

  /** Checks that each balance is the initial one plus all transfers, so that KV and counters agree too. */
  async checkCounters(client: CrashClient): Promise<void> {
    const balances = await this.readAll(client);
    const moved = await client.must('POST', db, { Atomic: accounts.map((key) => ({ Key: `moved-${key}`, Add: 0 })) });
    for (const [i, key] of accounts.entries()) {
      assert.equal(balances!.get(key)!.amount, opening + moved.Atomic![i]!.Value, `${key}: balance and movements`);
    }
  }

  #tell(key: string, version: number): void {
    if (version > (this.#told.get(key) ?? 0)) this.#told.set(key, version);
  }
}

trial(
  `transfers across shards, killed ${rounds} times: the total is the same in every read`,
  import.meta.url,
  async ({ t, server, seed, random }) => {
    const bank = new Bank();
    await server.start({ shards: 3 });
    const opener = server.client();
    await opener.must('POST', db, { KVSet: accounts.map((Key) => ({ Key, Value: opening, Version: 0 })) });
    await opener.close();
    let effective = 0;
    for (let round = 0; round < rounds; round += 1) {
      const before = bank.transfers;
      const clients = Array.from({ length: writers + readers }, async (_, i) => {
        const client = server.client();
        const own = seededRandom(seed + round * 100 + i);
        let alive = true;
        while (alive) {
          alive = i < writers ? await bank.transfer(client, own) : (await bank.readAll(client)) !== undefined;
        }
        await client.close();
      });
      const running = meanwhile(Promise.all(clients));
      await sleep(100 + random.below(400));
      await server.kill();
      await running;
      if (bank.transfers > before) effective += 1;
      // The last but one time with another number of shards.
      await server.start({ shards: round === rounds - 2 ? 2 : 3 });
      const client = server.client();
      await bank.checkCounters(client);
      await client.close();
    }
    await server.stop();
    t.diagnostic(
      JSON.stringify({ effective, transfers: bank.transfers, conflicts: bank.conflicts, reads: bank.reads }),
    );
    assert(effective >= rounds - 2, `money moved in only ${effective} of ${rounds} rounds`);
  },
);
