/** Export and import: what an account has as of one revision, while others write, and the same again somewhere else. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { readLines, type ExportLine } from '../../src/protocol/operations/account-lines.ts';
import { CountingLines } from '../../src/shared/export-lines.ts';
import type { Batch } from '../../src/protocol/operations/operations.ts';
import { defaultLimits } from '../../src/shared/limits.ts';
import { acme, batch, lock, next, set } from '../support/commands.ts';
import { copy, exported, load } from '../support/export-pages.ts';
import { change, message, nack, policy, redrive, send, take, taken } from '../support/queue-commands.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { ServerInMemory } from '../support/server-in-memory.ts';

const ofCopy = (command: Batch): Batch => ({ ...command, account: copy });

function isDefault({ Kind, Policy, Paused }: ExportLine): boolean {
  return Kind === 'queue' && Paused !== true && (Policy?.MaxAttempts ?? 5) === 5;
}

/** The lines that count, each once, without what a copy has of its own. */
function content(lines: readonly ExportLine[]): string[] {
  const counting = new CountingLines();
  lines.forEach((line, i) => counting.show(line, i));
  const counted = lines.filter((line, i) => counting.counts(line, i) && line.Deleted !== true);
  return (
    counted
      // What is remembered is changed where it is imported: test/router/export-memories.test.ts.
      .filter((line) => !isDefault(line) && line.Kind !== 'lock')
      .map(({ Version: _v, Generation: _g, ID: _i, ...line }) => JSON.stringify(line))
      .toSorted()
  );
}

function sameOrder(lines: readonly ExportLine[], group: string): unknown[] {
  return lines.filter(({ Group, Kind }) => Kind === 'message' && Group === group).map(({ Data }) => Data);
}

async function fill(server: ServerInMemory): Promise<void> {
  await server.ok(set('a', { deep: [1, 'ü', null] }));
  await server.ok(set('ends', 2, { ttlMs: 500_000 }));
  await server.ok(
    batch({
      counter: [
        { key: 'c', op: 'add', n: -5 },
        { key: 't', op: 'add', n: 3, ttlMs: 600_000 },
      ],
    }),
  );
  await server.ok(next('s', 7));
  await server.ok(lock('l', { durMs: 60_000 }));
  await server.ok(policy({ MaxAttempts: 1, Fifo: false }));
  await server.ok(send(message('dies')));
  const [dead] = taken(await server.ok(take()));
  await server.ok(nack(dead!, { error: 'why' }));
  await server.ok(
    send(
      message('plain'),
      message('first', { group: 'g' }),
      message('second', { group: 'g' }),
      message('urgent', { priority: 7 }),
      message('later', { delayMs: 90_000 }),
      message('later in line', { group: 'h', delayMs: 80_000 }),
      message('ends', { ttlMs: 700_000, key: 'other' }),
      message('once', { dedup: 'd', key: 'fifo', group: '' }),
    ),
  );
  for (const source of ['old', 'new']) await server.ok(batch({ format: 'script.put', script: { key: 'pay', source } }));
  await server.ok({ ...change('pause'), queueChange: { key: 'fifo', change: 'pause' } });
  await server.ok(take({ durMs: 60_000 }));
}

async function start(t: TestContext, shards: number): Promise<ServerInMemory> {
  return ServerInMemory.start(t, { shards, keepBytes: 64 * 1024 * 1024 });
}

for (const shards of [1, 3]) {
  describe(`with ${shards} shards`, () => {
    test('an account of every kind is the same where it was imported, and again in a file of its own', async (t) => {
      const server = await start(t, shards);
      await fill(server);
      const { lines, pages } = await exported(server);
      assert.equal(pages, 1);
      assert.deepEqual(
        new Set(lines.map(({ Kind }) => Kind)),
        new Set(['kv', 'counter', 'sequence', 'queue', 'message', 'lock', 'script']),
      );
      await load(server, lines);
      const again = await exported(server, { of: copy });
      assert.deepEqual(content(again.lines), content(lines));
      assert.deepEqual(sameOrder(again.lines, 'g'), ['first', 'second']);
      const peeked = await server.ok({ kind: 'queue.peek', account: copy, queue: 'q', state: 'dead', limit: 9 });
      assert.partialDeepStrictEqual(peeked, {
        Messages: [{ Data: 'dies', State: 'dead', Attempts: 1, LastError: 'why' }],
      });
      const got = taken(await server.ok(ofCopy(take({ max: 10 }))));
      assert.deepEqual(got.map(({ Data }) => String(Data)).toSorted(), ['first', 'plain', 'urgent']);
      assert.equal(got[0]!.Data, 'urgent');
      assert.equal((await server.ok(ofCopy(next('s'))))['Value'], 8);
      assert.equal((await server.ok(ofCopy(lock('l')))).Lock > 0, true, 'a lease is not exported');
      await server.ok(ofCopy(redrive('retry')));
      await server.advance(90_000);
      assert.deepEqual(
        taken(await server.ok(ofCopy(take({ max: 10 }))))
          .map(({ Data }) => String(Data))
          .toSorted(),
        ['dies', 'later', 'later in line', 'second'],
      );
    });

    test('an export while others write is the account as of its last revision', async (t) => {
      for (const seed of [1, 2, 3]) {
        const server = await start(t, shards);
        const random = seededRandom(seed);
        await fill(server);
        for (let i = 0; i < 60; i += 1) await server.ok(set(`k${i}`, i));
        const write = async (): Promise<void> => {
          for (let i = 0; i < 3; i += 1) {
            const key = `k${random.below(80)}`;
            const commands: Batch[] = [
              set(key, random.below(1000)),
              batch({ set: [{ key }] }),
              batch({ counter: [{ key: `c${random.below(9)}`, op: 'add', n: 1 }] }),
              batch({ format: 'counter.reset', counter: [{ key: `c${random.below(9)}`, op: 'reset', n: 0 }] }),
              next(`s${random.below(5)}`),
              send(message(random.below(1000), { group: `g${random.below(4)}` })),
              send(message(random.below(1000), { delayMs: 1000 * random.below(9) })),
              change('purge'),
              redrive('retry'),
              set(key, { n: 1 }, { ttlMs: 50 }),
              batch({ format: 'script.put', script: { key: `j${random.below(3)}`, source: key } }),
            ];
            await server.ok(commands[random.below(random.below(4) === 0 ? 11 : 7)]!);
          }
          for (const held of taken(await server.ok(take({ max: 2 }))))
            await server.ok(
              random.below(2) === 0 ? nack(held) : batch({ ack: [{ key: 'q', id: held.ID, lock: held.Lock }] }),
            );
          await server.advance(random.below(60));
        };
        const { lines, rev, pages } = await exported(server, { limit: 7, meanwhile: write });
        assert.ok(pages > 10, `${pages} pages`);
        // Nothing was written behind the last page of entries; but some has ended.
        const whole = await exported(server);
        assert.ok(rev <= whole.rev);
        const shown = (all: readonly ExportLine[]): string[] =>
          content(all.filter(({ TillMs = Infinity }) => TillMs > server.now))
            .map((line) => line.replace(/,"DueMs":\d+/, ''))
            .toSorted();
        assert.deepEqual(shown(lines), shown(whole.lines), `seed ${seed}`);
      }
    });
  });
}

function importOf(lines: ExportLine[]): Batch {
  return { kind: 'batch', account: acme, format: 'account.import', load: readLines({ Lines: lines }, defaultLimits) };
}

describe('an import', () => {
  test('puts no message twice under the id of its page, and gives no number of a sequence twice', async (t) => {
    const server = await start(t, 1);
    await fill(server);
    const { lines } = await exported(server);
    const operations = readLines({ Lines: [...lines] }, defaultLimits);
    const idempotency = { ids: ['page'], ttlMs: 60_000, mode: 'replay', fingerprint: 'f' } as const;
    const command: Batch = { kind: 'batch', account: copy, format: 'account.import', load: operations, idempotency };
    const first = await server.ok(command);
    assert.deepEqual((await server.ok(command)).Rev, first.Rev);
    await server.ok({ ...next('s', 100), account: copy });
    await server.ok({ ...command, idempotency: { ...idempotency, ids: ['other'] } });
    assert.equal((await server.ok({ ...next('s'), account: copy }))['Value'], 108);
  });

  test('leaves out what has ended, and says so; and what was deleted within the page', async (t) => {
    const server = await start(t, 1);
    const { now } = server;
    const operations = readLines(
      {
        Lines: [
          { Kind: 'kv', Key: 'over', Value: 1, TillMs: now - 1 },
          { Kind: 'kv', Key: 'a', Value: 1 },
          { Kind: 'kv', Key: 'a', Deleted: true },
          { Kind: 'message', Queue: 'q', ID: '1-0', Data: 1, AtMs: now },
          { Kind: 'message', Queue: 'q', ID: '1-0', Deleted: true },
          { Kind: 'message', Queue: 'q', ID: '2-0', Deleted: true },
          { Kind: 'message', Queue: 'q', ID: '3-0', Data: 'purged', AtMs: now },
          { Kind: 'queue', Queue: 'q', Policy: {}, Generation: 1 },
          { Kind: 'message', Queue: 'q', ID: '4-0', Data: 'stays', AtMs: now, Generation: 1 },
        ],
      },
      defaultLimits,
    );
    const loaded = await server.ok({ kind: 'batch', account: acme, format: 'account.import', load: operations });
    assert.partialDeepStrictEqual(loaded, { Loaded: 3, Ended: 1, Unmatched: 1 });
    assert.deepEqual(
      taken(await server.ok(take({ max: 9 }))).map(({ Data }) => Data),
      ['stays'],
    );
  });

  test('adds nothing over a quota', async (t) => {
    const server = await ServerInMemory.start(t, { shards: 3, limits: { account_entries_max: 5 } });
    const Lines = Array.from({ length: 6 }, (_, i): ExportLine => ({ Kind: 'kv', Key: `k${i}`, Value: i }));
    await server.ok(importOf(Lines));
    const more = await server.ask(importOf([{ Kind: 'sequence', Key: 's', Value: 1 }]));
    assert.partialDeepStrictEqual(more.body, { Code: 'quota_exceeded', Quota: 'entries' });
    await server.ok(importOf([{ Kind: 'kv', Key: 'k0', Deleted: true }]));
  });
});
