/** What an account remembers moves with it: limits, idempotency ids, how leases ended. A lease never does. */
import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { readLines, type ExportLine } from '../../src/protocol/operations/account-lines.ts';
import type { Batch } from '../../src/protocol/operations/operations.ts';
import { defaultLimits } from '../../src/shared/limits.ts';
import { acme, batch, lock, once, set, unlock } from '../support/commands.ts';
import { copy, exported, load } from '../support/export-pages.ts';
import { ServerInMemory } from '../support/server-in-memory.ts';

const ofCopy = (command: Batch): Batch => ({ ...command, account: copy });

async function start(t: TestContext, shards: number): Promise<ServerInMemory> {
  return ServerInMemory.start(t, { shards, keepBytes: 64 * 1024 * 1024 });
}

const twoASecond = { rateThousandths: 2000, perMs: 1000, burst: 4 };
function takeLimit(cost: number, key = 'api'): Batch {
  return batch({ limit: [{ key, ...twoASecond, cost, waitMs: 0 }] });
}

/** The last lines of what the account remembers. */
function remembered(all: readonly ExportLine[]): string[] {
  const last = new Map(all.map((line) => [`${line.Kind} ${line.Key}`, line]));
  const kept = [...last.values()].filter(
    ({ Kind, Deleted }) => ['limit', 'id', 'lock'].includes(Kind) && Deleted !== true,
  );
  return kept.map((line) => JSON.stringify(line)).toSorted();
}

for (const shards of [1, 3]) {
  describe(`with ${shards} shards`, () => {
    test('what was taken of a limit is taken where it is imported, and comes back there', async (t) => {
      const server = await start(t, shards);
      await server.ok(takeLimit(4));
      const { lines } = await exported(server);
      await server.advance(600);
      await load(server, lines);
      const refused = await server.ask(ofCopy(takeLimit(2)));
      assert.partialDeepStrictEqual(refused.body, { Code: 'limited', Left: 1 });
      await server.ok(ofCopy(takeLimit(1)));
      // What is taken here already is not given back by an older state.
      await load(server, lines);
      assert.equal((await server.ask(ofCopy(takeLimit(1)))).status, 429);
      await server.advance(5000);
      await load(server, lines);
      assert.partialDeepStrictEqual(await server.ok(ofCopy(takeLimit(4))), { Limit: [{ Left: 0 }] });
    });

    test('a request under an id that was used before the export is not done again', async (t) => {
      const server = await start(t, shards);
      const ids = Array.from({ length: 6 }, (_, i) => `id${i}`);
      const replays = { ...once(ids, { mode: 'replay' }) };
      const command = batch({ counter: [{ key: 'c', op: 'add', n: 1 }], ...replays });
      const first = await server.ok(command);
      const { lines } = await exported(server);
      assert.equal(lines.filter(({ Kind }) => Kind === 'id').length, ids.length);
      await load(server, lines);
      for (const id of ids) {
        const again = batch({ counter: [{ key: 'c', op: 'add', n: 1 }], ...once(id, { mode: 'replay' }) });
        assert.deepEqual(await server.ok(ofCopy(again)), first, id);
        const other = { ...again, ...once(id, { mode: 'replay', fingerprint: 'other' }) };
        assert.equal((await server.ask(ofCopy(other))).body.Code, 'idempotency_mismatch');
      }
      const refused = await server.ask(ofCopy(batch({ set: [{ key: 'k', value: '1' }], ...once('id3') })));
      assert.partialDeepStrictEqual(refused.body, { Code: 'duplicate_request', Response: first });
      await server.advance(61_000);
      assert.equal((await server.ok(ofCopy({ ...command, ...once('id3') }))).Rev > first.Rev, true, 'its time is over');
    });

    test('an id of the importing account keeps its own reply, and so does that of the import', async (t) => {
      const server = await start(t, shards);
      const one = batch({ counter: [{ key: 'c', op: 'add', n: 1 }], ...once('id', { mode: 'replay' }) });
      await server.ok(one);
      const { lines } = await exported(server);
      const own = await server.ok(ofCopy({ ...one, counter: [{ key: 'c', op: 'add', n: 7 }] }));
      await load(server, lines);
      assert.deepEqual(await server.ok(ofCopy({ ...one, counter: [{ key: 'c', op: 'add', n: 7 }] })), own);
      const operations = readLines(
        { Lines: lines.map((line) => ({ ...line, Key: `new ${line.Key}` })) },
        defaultLimits,
      );
      const page = { kind: 'batch', account: copy, format: 'account.import', load: operations } as const;
      const under: Batch = { ...page, ...once('new id', { mode: 'replay' }) };
      const loaded = await server.ok(under);
      assert.deepEqual(await server.ok(under), loaded);
    });

    test('a lock that is held at the export is free where it is imported, and says so', async (t) => {
      const server = await start(t, shards);
      const held = await server.ok(lock('l', { durMs: 600_000, owner: 'o', meta: '{"at":7}' }));
      const { lines } = await exported(server);
      await load(server, lines);
      const guarded = await server.ask(ofCopy(batch({ guard: [{ id: 'l', fence: held.Lock }], set: [] })));
      assert.partialDeepStrictEqual(guarded.body, { Code: 'lock_lost', Why: 'forced' });
      assert.match(String(guarded.body['Reason']), /imported while the lock was held/);
      const taken = await server.ok(ofCopy(lock('l', { owner: 'o' })));
      assert.partialDeepStrictEqual(taken, { Recover: { Lock: held.Lock, Meta: { at: 7 }, Why: 'forced' } });
      assert.notEqual(taken.Lock, held.Lock);
      // Where it was exported, its holder has it still.
      await server.ok(batch({ guard: [{ id: 'l', fence: held.Lock }], get: ['a'] }));
      await server.ok(unlock('l', { fence: held.Lock }));
    });

    test('a repeated unlock is told of the unlock before the export, a late one of the end', async (t) => {
      const server = await start(t, shards);
      const released = await server.ok(lock('done'));
      await server.ok(unlock('done', { fence: released.Lock }));
      const lost = await server.ok(lock('late', { durMs: 50 }));
      await server.advance(100);
      const { lines } = await exported(server);
      await load(server, lines);
      await server.ok(ofCopy(unlock('done', { fence: released.Lock })));
      const late = await server.ask(ofCopy(unlock('late', { fence: lost.Lock })));
      assert.partialDeepStrictEqual(late.body, { Code: 'lock_lost', Why: 'expired' });
    });

    test('a lease of the importing account lasts', async (t) => {
      const server = await start(t, shards);
      const there = await server.ok(lock('l'));
      await server.ok(unlock('l', { fence: there.Lock }));
      const { lines } = await exported(server);
      const own = await server.ok(ofCopy(lock('l', { durMs: 60_000 })));
      await load(server, lines);
      await server.ok(ofCopy(unlock('l', { fence: own.Lock })));
    });

    test('what changes during the export is as of its end', async (t) => {
      const server = await start(t, shards);
      for (let i = 0; i < 20; i += 1) await server.ok(set(`k${i}`, i));
      await server.ok(takeLimit(1, 'old'));
      let round = 0;
      const meanwhile = async (): Promise<void> => {
        round += 1;
        const grant = await server.ok(lock(`l${round % 4}`, { durMs: 600_000, owner: `o${round % 4}` }));
        if (round % 2 === 1) await server.ok(unlock(`l${round % 4}`, { fence: grant.Lock }));
        await server.ok(takeLimit(1));
        await server.ok(batch({ counter: [{ key: 'c', op: 'add', n: 1 }], ...once([`r${round}`, `s${round}`]) }));
        await server.advance(500);
      };
      const { lines } = await exported(server, { limit: 7, meanwhile });
      const whole = await exported(server);
      assert.ok(round > 2);
      assert.deepEqual(remembered(lines), remembered(whole.lines));
    });
  });
}

test('a stored reply that no server has written is refused to whoever asks for it, and harms nobody', async (t) => {
  const server = await start(t, 1);
  const rows: unknown[] = [
    [2, 'f', 1, 1, { format: 'batch', get: 5 }, { get: { length: 'x' } }],
    [2, 'f', 1, 1, { format: 'no such' }, {}],
    [2, 'f', 1, 1, { format: 'ops' }, { ops: [7] }],
    [2, 'f', 1, 1, { format: 'batch' }, { limit: 'x' }],
    [2, 'f', 1, 1, { format: 'batch', lock: 7 }, { lock: null }],
  ];
  const Lines = rows.map(
    (Stored, i) => ({ Kind: 'id', Key: `i${i}`, TillMs: server.now + 60_000, Stored }) as ExportLine,
  );
  const operations = readLines({ Lines }, defaultLimits);
  await server.ok({ kind: 'batch', account: acme, format: 'account.import', load: operations });
  for (const i of rows.keys()) {
    for (const mode of ['refuse', 'replay'] as const) {
      for (const command of [batch({ get: ['a'] }), batch({ format: 'ops', ops: [{ kind: 'get', key: 'a' }] })]) {
        const client = await server.ask({ ...command, ...once(`i${i}`, { mode }) });
        assert.ok(client.reply !== undefined && typeof client.reply.body === 'string', `row ${i}`);
      }
    }
  }
  await server.ok(set('a', 1));
});
