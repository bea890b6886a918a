/**
 * A server that is stopped (SIGSTOP) for longer than leases and waits last. Its clock goes on. When it continues, it
 * first ends all leases and waits that have run out, in the order of time, and only then fences messages that arrived
 * meanwhile; everything else is as before. (The lock storm does the same to many clients; here each answer is known.)
 */
import assert from 'node:assert/strict';
import { machineMs } from '../../src/shared/clock.ts';
import { trial } from '../support/crash-trial.ts';
import type { AnswerBody, CrashClient, CrashServer } from '../support/crash-server.ts';
import { StreamReader } from '../support/stream-reader.ts';
import { sized } from './scale.ts';
import { standStill } from './stop-process.ts';

const rounds = sized(1, 25);
const shortMs = sized(1000, 1500);
const stopMs = shortMs * 1.3;
const longMs = shortMs * 3;
/** The delay that a busy machine may add. */
const slackMs = 5000;

const names = ['holder', 'heir', 'keeper', 'rival', 'late', 'watcher', 'writer', 'other'] as const;
/** Each has a connection of its own. */
type Clients = Readonly<Record<(typeof names)[number], CrashClient>>;

trial(
  `a server that stands still for longer than LockDur, ${rounds} times: leases end in time, never early; waiters, watchers and streams hear the truth`,
  import.meta.url,
  async ({ t, server }) => {
    await server.start({ shards: 2, threads: 2 });
    const counts = { stops: 0, ranOut: 0, taken: 0, refusedLate: 0, kept: 0, waitsOver: 0, watched: 0, streamed: 0 };
    const stream = await StreamReader.open(`${server.url}/watch/still?prefix=s/`);
    const clients = Object.fromEntries(names.map((name) => [name, server.client()])) as Clients;
    for (let round = 0; counts.stops < rounds; round += 1) {
      assert(round < 3 * rounds + 5, 'the machine lets leases and stops be in time');
      const before = counts.stops;
      await stand(server, clients, round, counts);
      const { events } = (await stream.nextCommit())!;
      assert.deepEqual(
        events.map(({ Key, Value }) => [Key, Value]),
        [[`s/${round}`, round]],
        'the stream goes on, with each change once',
      );
      counts.streamed += counts.stops - before;
    }
    stream.close();
    await Promise.all(names.map((name) => clients[name].close()));
    await server.stop();
    t.diagnostic(JSON.stringify(counts));
    for (const [what, count] of Object.entries(counts)) assert.equal(count, rounds, what);
  },
);

async function stand(
  server: CrashServer,
  clients: Clients,
  round: number,
  counts: Record<string, number>,
): Promise<void> {
  const { holder, heir, keeper, rival, late, watcher, writer, other } = clients;
  const lock = (name: string): string => `${name}-${round}`;
  const count = (what: string): void => void (counts[what] = (counts[what] ?? 0) + 1);

  const longFrom = machineMs();
  const kept = await keeper.must('POST', '/db/still', { LockID: lock('long'), LockDur: longMs / 1000 });
  const later = answered(rival, { LockID: lock('long'), LockDur: 60, LockWait: 60 });
  await waits(other, lock('long'));
  // A lock that is held all along: this wait ends while the server stands still.
  const far = await writer.must('POST', '/db/still', { LockID: lock('far'), LockDur: 60 });
  const overFrom = machineMs();
  const over = answered(late, { LockID: lock('far'), LockDur: 60, LockWait: shortMs / 1000 });
  await waits(other, lock('far'));
  const change = watcher.ask('POST', '/watch/still', { ID: `s/${round}`, Version: 0, Wait: 60 });
  await other.must('GET', '/db/still/kv?prefix=s/');

  const shortFrom = machineMs();
  const held = await holder.must('POST', '/db/still', { LockID: lock('short'), LockDur: shortMs / 1000 });
  const next = answered(heir, { LockID: lock('short'), LockDur: 60, LockWait: 60 });
  await waits(other, lock('short'));

  // These arrive while it stands still: the lease has not run out when they are sent, and has when they are read.
  let extension: ReturnType<typeof answered> | undefined;
  let guarded: ReturnType<typeof answered> | undefined;
  const { from, to } = await standStill(server.pid, stopMs, () => {
    const { Lock } = held;
    extension = answered(holder, { LockID: lock('short'), UnlockID: lock('short'), Unlock: Lock, LockDur: 60 });
    guarded = answered(other, {
      Guard: [{ LockID: lock('long'), Lock: kept.Lock }],
      KVSet: [{ Key: `k/${round}`, Value: 1 }],
    });
  });
  const planned = from < shortFrom + shortMs && to > machineMs() - shortMs && to < longFrom + longMs;
  if (!planned) {
    // The machine was so busy that other leases or waits ran out than intended: try again.
    await writer.must('POST', '/db/still', { KVSet: [{ Key: `s/${round}`, Value: round }] });
    await Promise.all([next, later, over, change, extension, guarded]);
    return;
  }
  count('stops');

  const taken = await next;
  assert(taken.at >= shortFrom + shortMs, 'the lease did not end early');
  assert(taken.at < to + slackMs, 'nor was it held for long after the server went on');
  assert.deepEqual(taken.body.Recover, { Lock: held.Lock, Why: 'expired' });
  assert(taken.body.Lock > held.Lock, 'fences grow');
  count('taken');
  const extended = await extension!;
  assert.deepEqual([extended.status, extended.body.Code], [409, 'lock_lost'], 'nothing revives a lease that ran out');
  assert.equal(extended.body.Why, 'expired');
  count('ranOut');
  const stale = await holder.ask('POST', '/db/still', {
    Guard: [{ LockID: lock('short'), Lock: held.Lock }],
    KVSet: [{ Key: `k/${round}`, Value: 2 }],
  });
  assert.deepEqual([stale?.status, stale?.body.Code], [409, 'lock_lost']);
  count('refusedLate');

  const waited = await over;
  assert.deepEqual([waited.status, waited.body.Code], [409, 'not_locked'], 'its LockWait ran out meanwhile');
  assert(waited.at >= overFrom + shortMs && waited.at < to + slackMs);
  count('waitsOver');
  await writer.must('DELETE', `/db/still/lock/${lock('far')}?lock=${far.Lock}`);

  const guardedAnswer = await guarded!;
  assert.equal(guardedAnswer.status, 200, 'the long lease held all along');
  const after = await later;
  assert(after.at >= longFrom + longMs, 'the long lease did not end early');
  assert(after.at < longFrom + longMs + slackMs, 'and not late: time passed while the server stood still');
  assert(after.body.Lock > guardedAnswer.body.Rev, 'the guarded write was before the next holder');
  assert.deepEqual(after.body.Recover, { Lock: kept.Lock, Why: 'expired' });
  count('kept');

  const { Rev } = await writer.must('POST', '/db/still', { KVSet: [{ Key: `s/${round}`, Value: round }] });
  const seen = await change;
  assert.deepEqual([seen?.status, seen?.body.Version, seen?.body.Value], [200, Rev, round], 'the watcher hears of it');
  count('watched');
}

async function answered(client: CrashClient, body: unknown): Promise<{ status: number; body: AnswerBody; at: number }> {
  const answer = await client.ask('POST', '/db/still', body);
  assert(answer !== undefined, 'it is answered');
  return { status: answer.status, body: answer.body, at: machineMs() };
}

/** Resolves when a client waits for the lock. */
async function waits(client: CrashClient, lock: string): Promise<void> {
  for (;;) {
    const { Waiters } = (await client.must('GET', `/db/still/lock/${lock}`)) as AnswerBody & { Waiters: number };
    if (Waiters > 0) return;
  }
}
