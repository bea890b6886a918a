/** Export and import: what an account has as of one revision, while others write, and the same again somewhere else. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { lineKinds, readLines, type ExportLine } from '../../src/protocol/operations/account-lines.ts';
import { CountingLines } from '../../src/shared/export-lines.ts';
import type { Batch } from '../../src/protocol/operations/operations.ts';
import { defaultLimits } from '../../src/shared/limits.ts';
import type { AccountId } from '../../src/protocol/ids.ts';
import { kinds } from '../../src/protocol/record.ts';
import { exportedKinds, exportedParts } from '../../src/shard-worker/core/operations/export-lines.ts';
import { acme, batch, lock, next, set } from '../support/commands.ts';
import { fillWithEverything as fill, taskIds } from '../support/every-noun.ts';
import { copy, exported, load } from '../support/export-pages.ts';
import { change, message, nack, redrive, send, take, taken } from '../support/queue-commands.ts';
import { cancelTask, changeTask, makeTask } from '../support/task-commands.ts';
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
  const runs = new Map(counted.filter(({ Kind }) => Kind === 'run').map((line) => [line.Key, line]));
  return (
    counted
      .filter(({ Kind }) => Kind !== 'run')
      .map((line) => {
        const run = line.Kind === 'task' ? runs.get(line.Key) : undefined;
        if (run === undefined) return line;
        const { DueMs: _, ...others } = line;
        return { ...others, State: run.State!, ...(run.DueMs !== undefined && { DueMs: run.DueMs }) };
      })
      // What is remembered is changed where it is imported: test/router/export-memories.test.ts.
      .filter((line) => !isDefault(line) && line.Kind !== 'lock')
      .map(({ Version: _v, Generation: _g, Deletions: _d, ID: _i, ...line }) => textOf(line))
      .toSorted()
  );
}

function textOf(line: Partial<ExportLine>): string {
  const members = Object.entries(line).filter(([, value]) => value !== undefined);
  return JSON.stringify(Object.fromEntries(members.toSorted(([a], [b]) => (a < b ? -1 : 1))));
}

function sameOrder(lines: readonly ExportLine[], group: string): unknown[] {
  return lines.filter(({ Group, Kind }) => Kind === 'message' && Group === group).map(({ Data }) => Data);
}

async function start(t: TestContext, shards: number): Promise<ServerInMemory> {
  return ServerInMemory.start(t, { shards, keepBytes: 64 * 1024 * 1024 });
}

/** A kind or part that is declared as exported, and is not filled or has no lines, fails here. */
function eachEntryHasALine({ running }: ServerInMemory, lines: readonly ExportLine[]): void {
  let entries = 0;
  for (const [name, place] of Object.entries(exportedKinds)) {
    if (typeof place !== 'number' || name === 'queue') continue;
    const kind = kinds[name as keyof typeof kinds];
    const count = running.states.reduce((sum, state) => sum + state.entries.countOf(acme, kind).entries, 0);
    assert.ok(count > 0, `support/every-noun.ts puts nothing of the kind ${name}`);
    entries += count;
  }
  const parts = new Map<string, number>();
  for (const { entries: all } of running.states)
    for (const { key, entry } of all.range(kinds.queue, acme, '')) {
      const letter = key.charAt(key.indexOf('\0') + 1);
      // A pending DedupID is told with its message.
      if (letter !== 'x' || entry.till !== 0) parts.set(letter, (parts.get(letter) ?? 0) + 1);
    }
  for (const [letter, how] of Object.entries(exportedParts)) {
    if (how.startsWith('not: ')) continue;
    assert.ok(parts.has(letter), `support/every-noun.ts puts nothing under the letter ${letter} of a queue`);
    entries += parts.get(letter)!;
  }
  assert.equal(lines.length, entries);
}

/** What calls answer about an account, without what a copy has of its own. */
async function shownOf(server: ServerInMemory, account: AccountId): Promise<unknown> {
  const shown: unknown[] = [];
  for (const id of taskIds) {
    const { Version: _v, Rev: _r, ...task } = { Version: 0, ...(await server.ok({ kind: 'task.get', account, id })) };
    shown.push(task);
  }
  for (const id of ['f', 'g']) {
    const { Rev: _, ...flow } = await server.ok({ kind: 'flow.get', account, id });
    shown.push(flow);
  }
  const taskSetting = { key: 'secret', change: 'secret.get', candidate: 'none' } as const;
  const { Rev: _, ...secret } = await server.ok({ kind: 'batch', account, format: 'secret.get', taskSetting });
  assert.notEqual((secret as { Secret?: string }).Secret, 'none');
  // What was sent under these ids does not come again, while they count.
  const again = [message(1, { dedup: 'window', key: 'deduped' }), message(1, { dedup: 'p', key: 'pending' })];
  const { Enqueue } = (await server.ok({ ...send(...again), account })) as unknown as { Enqueue: object[] };
  assert.partialDeepStrictEqual(Enqueue, [{ Duplicate: true }, { Duplicate: true }]);
  for (const queue of ['q', 'other', 'fifo', 'deduped', 'pending']) {
    const {
      Rev: _r,
      Bytes: _b,
      InFlight,
      Ready,
      ...stat
    } = {
      InFlight: 0,
      Ready: 0,
      Bytes: 0,
      ...(await server.ok({ kind: 'queue.stat', account, queue })),
    };
    shown.push({ ...stat, ready: InFlight + Ready });
  }
  return [...shown, secret];
}

for (const shards of [1, 3]) {
  describe(`with ${shards} shards`, () => {
    test('an account of every kind is the same where it was imported, and again in a file of its own', async (t) => {
      const server = await start(t, shards);
      await fill(server);
      const { lines, pages } = await exported(server);
      assert.equal(pages, 1);
      assert.deepEqual(new Set(lines.map(({ Kind }) => Kind)), new Set(lineKinds.filter((kind) => kind !== 'run')));
      eachEntryHasALine(server, lines);
      await load(server, lines);
      assert.deepEqual(await shownOf(server, copy), await shownOf(server, acme));
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
              changeTask(`t${random.below(5)}`, random.below(2) === 0 ? 'pause' : 'run'),
              set(key, random.below(1000)),
              batch({ set: [{ key }] }),
              batch({ counter: [{ key: `c${random.below(9)}`, op: 'add', n: 1 }] }),
              batch({ format: 'counter.reset', counter: [{ key: `c${random.below(9)}`, op: 'reset', n: 0 }] }),
              next(`s${random.below(5)}`),
              send(message(random.below(1000), { group: `g${random.below(4)}` })),
              send(message(random.below(1000), { delayMs: 1000 * random.below(9) })),
              send(message(random.below(1000), { dedup: `d${random.below(5)}`, key: `q${random.below(2)}` })),
              makeTask(`t${random.below(5)}`, { replace: true, delayMs: random.below(1000) }),
              cancelTask(`t${random.below(5)}`),
              { ...change('delete'), queueChange: { key: `q${random.below(2)}`, change: 'delete' } },
              change('purge'),
              redrive('retry'),
              set(key, { n: 1 }, { ttlMs: 50 }),
              batch({ format: 'script.put', script: { key: `j${random.below(3)}`, source: key } }),
            ];
            await server.ask(commands[random.below(random.below(4) === 0 ? commands.length : 10)]!);
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
            .map((line) => line.replace(/"DueMs":\d+,/, ''))
            .toSorted();
        assert.deepEqual(shown(lines), shown(whole.lines), `seed ${seed}`);
      }
    });
  });
}

function secret(candidate: string): Batch {
  return batch({ format: 'secret.get', taskSetting: { key: 'secret', change: 'secret.get', candidate } });
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

  test('counts the last of a DedupID and of a task, and what was deleted within the page is not there', async (t) => {
    const server = await start(t, 1);
    const { now } = server;
    const task = { Kind: 'task', Key: 't', Task: { Queue: 'q', Data: 1 } } as const;
    const state = { NextMs: now, FromMs: now, Attempts: 0, Runs: 0, Skipped: 0, Failed: 0 };
    const moved = {
      Kind: 'run',
      Key: 't',
      DueMs: now + 5000,
      State: { ...state, NextMs: now + 5000, Runs: 1 },
    } as const;
    const TillMs = now + 60_000;
    const Lines: ExportLine[] = [
      { ...task, DueMs: now, State: state },
      moved,
      { Kind: 'run', Key: 'gone', State: state },
      { Kind: 'dedup', Queue: 'q', Key: 'before', TillMs },
      { Kind: 'dedup', Queue: 'q', Key: 'since', TillMs, Deletions: 1 },
      { Kind: 'dedup', Queue: 'q', Key: 'since', Deleted: true },
      { Kind: 'queue', Queue: 'q', Policy: {}, Generation: 1, Deletions: 1 },
      { Kind: 'dedup', Queue: 'other', Key: 'over', TillMs: now },
    ];
    const counting = new CountingLines();
    Lines.forEach((line, i) => counting.show(line, i));
    assert.deepEqual(Lines.map((line) => counting.isMovedOn(line)).indexOf(true), 0);
    assert.partialDeepStrictEqual(await server.ok(importOf(Lines)), { Loaded: 4, Ended: 2, Unmatched: 1 });
    const sent = ['before', 'since', 'over'].map((dedup) => message(1, { dedup }));
    const { Enqueue } = (await server.ok(send(...sent))) as unknown as { Enqueue: { Duplicate?: true; ID: string }[] };
    assert.deepEqual(
      Enqueue.map(({ Duplicate = false }) => Duplicate),
      [false, true, false],
    );
    const acked = await server.ask(batch({ ack: [{ key: 'q', id: Enqueue[1]!.ID, lock: 1 }] }));
    assert.equal(acked.body.Code, 'receipt_expired', 'the ID is that of no message');
    const shown = await server.ok({ kind: 'task.get', account: acme, id: 't' });
    assert.partialDeepStrictEqual(shown, { State: 'scheduled', NextMs: now + 5000, Runs: 1 });
    // A line that is newer than what was said of runs before has all of it.
    await server.ok(importOf([moved, { ...task, DueMs: now + 1, State: state }]));
    assert.partialDeepStrictEqual(await server.ok({ kind: 'task.get', account: acme, id: 't' }), { Runs: 0 });
    await server.ok(importOf([{ Kind: 'task', Key: 't', Deleted: true }]));
    assert.equal((await server.ask({ kind: 'task.get', account: acme, id: 't' })).status, 404);
  });

  test('a secret that the account has goes on to sign for a day beside the imported one', async (t) => {
    const server = await start(t, 1);
    const [own, Secret] = ['whsec_b3duIG93biBvd24gb3du', 'whsec_bmV3IG5ldyBuZXcgbmV3'];
    await server.ok(secret(own));
    await server.ok(importOf([{ Kind: 'secret', Secret }]));
    assert.partialDeepStrictEqual(await server.ok(secret('')), { Secret, Old: own });
    await server.ok(importOf([{ Kind: 'secret', Secret, Old: 'whsec_b2xkIG9sZCBvbGQgb2xk', OldTillMs: 253e12 }]));
    await server.advance(24 * 60 * 60 * 1000 + 1);
    const { Rev: _, ...kept } = await server.ok(secret(''));
    assert.deepEqual(kept, { Secret });
  });

  test('adds nothing over a quota', async (t) => {
    const server = await ServerInMemory.start(t, { shards: 3, limits: { account_entries_max: 5 } });
    const Lines = Array.from({ length: 6 }, (_, i): ExportLine => ({ Kind: 'kv', Key: `k${i}`, Value: i }));
    await server.ok(importOf(Lines));
    const more = await server.ask(importOf([{ Kind: 'sequence', Key: 's', Value: 1 }]));
    assert.partialDeepStrictEqual(more.body, { Code: 'quota_exceeded', Quota: 'entries' });
    const dedup = await server.ask(importOf([{ Kind: 'dedup', Queue: 'q', Key: 'd', TillMs: server.now + 9 }]));
    assert.equal(dedup.status, 200, 'it counts in bytes, not in entries');
    // What only deletes is served whatever is full.
    const deleted = [...lineKinds].filter((kind) => ['kv', 'counter', 'script', 'task', 'flow'].includes(kind));
    await server.ok(importOf(deleted.map((Kind) => ({ Kind, Key: 'k0', Deleted: true }))));
  });
});
