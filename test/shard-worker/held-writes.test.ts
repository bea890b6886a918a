import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId, revision, shardId } from '../../src/protocol/ids.ts';
import type { Batch, Command } from '../../src/protocol/operations/operations.ts';
import type { JournalSpace } from '../../src/protocol/journal.ts';
import type { FromShard } from '../../src/protocol/wire/shard-messages.ts';
import { newShardState } from '../../src/shard-worker/core/state/state.ts';
import type { WritePressure } from '../../src/shard-worker/held-writes.ts';
import { ShardActor } from '../../src/shard-worker/shard-actor.ts';
import { defaultLimits } from '../../src/shared/limits.ts';
import { batch, get, lock, set, unlock } from '../support/commands.ts';
import { startOfTime } from '../support/core-under-test.ts';
import { LocalRevisions } from '../support/local-revisions.ts';
import { MapEntries } from '../support/map-entries.ts';
import { noCheckpoints } from '../support/no-checkpoints.ts';
import { workMeter } from '../support/work-meter.ts';

const bulk = accountId('bulk');
const calm = accountId('calm');
const large = 'x'.repeat(10_000);

class ShardUnderTest {
  now = startOfTime;
  pressure: WritePressure = 'none';
  /** What the journal answers when a turn asks it for its space, one after the other; then `open`. */
  spaces: JournalSpace[] = [];
  readonly #sent: FromShard[] = [];
  readonly #actor: ShardActor;
  readonly #revisions = new LocalRevisions(revision(1));
  #ids = 0;
  wakeAfter = Infinity;

  constructor() {
    const state = newShardState({
      shard: shardId(0),
      limits: { ...defaultLimits, write_wait_ms: 1000 },
      entries: new MapEntries(),
      revisions: this.#revisions,
      owns: () => true,
      recordBytesMax: Infinity,
      boot: { epoch: 1, rev: revision(0), at: startOfTime },
    });
    this.#actor = new ShardActor({
      state,
      clock: { now: () => this.now },
      journal: {
        append: () => {},
        whenDurable: () => {},
        space: () => this.spaces.shift() ?? 'open',
        checkpointed: () => {},
      },
      checkpoints: { ...noCheckpoints, pressure: () => this.pressure },
      send: (_router, message) => void this.#sent.push(message),
      congestion: () => 'none',
      meter: workMeter(),
      wake: (delayMs) => (this.wakeAfter = delayMs),
    });
  }

  send(account: typeof bulk, command: Batch): number {
    this.#ids += 1;
    this.#actor.receive(0, [{ kind: 'request', id: this.#ids, command: { ...command, account } satisfies Command }]);
    return this.#ids;
  }

  drain(): void {
    this.#actor.receive(0, [{ kind: 'drain' }]);
  }

  /** Takes one turn. */
  turn(afterMs = 0): void {
    this.now += afterMs;
    this.#actor.turn();
  }

  /** In the order of the replies. */
  get answered(): (readonly [id: number, outcome: string])[] {
    const replies = this.#sent.flatMap((message) => message.replies);
    return replies.flatMap((answer) => (answer.kind === 'one' ? [[answer.id, answer.reply.outcome] as const] : []));
  }
}

test('held writes: while checkpoints are behind, large writes wait, and nobody else does', () => {
  const shard = new ShardUnderTest();
  shard.pressure = 'large';
  const waits = shard.send(bulk, set('k', large));
  const behind = shard.send(bulk, get('k'));
  const others = [set('k', 'small'), lock('l'), get('k'), unlock('l', { fence: 1 })].map((each) =>
    shard.send(calm, each),
  );
  shard.turn();
  assert.deepEqual(
    shard.answered.map(([id]) => id),
    others,
  );
  assert.ok(shard.wakeAfter <= 5, 'it looks again soon');
  shard.pressure = 'none';
  shard.turn(5);
  // In the order in which they came: the read shows the write.
  assert.deepEqual(shard.answered.slice(others.length), [
    [waits, 'ok'],
    [behind, 'ok'],
  ]);
});

test('held writes: what a door for Redis clients writes waits too', () => {
  const shard = new ShardUnderTest();
  shard.pressure = 'large';
  shard.send(bulk, append(large));
  const small = shard.send(calm, append('small'));
  shard.turn();
  assert.deepEqual(
    shard.answered.map(([id]) => id),
    [small],
  );
});

test('held writes: without any memory left all wait that add to the store; reads, unlocks and deletes do not', () => {
  const shard = new ShardUnderTest();
  const taken = shard.send(calm, lock('l', { owner: 'o' }));
  shard.turn();
  shard.pressure = 'all';
  const waiting = [accountId('a'), accountId('b')].map((account) => shard.send(account, set('k', 'small')));
  waiting.push(shard.send(accountId('c'), lock('m')));
  const free = [get('k'), unlock('l', { owner: 'o' }), batch({ set: [{ key: 'k' }] })].map((each) =>
    shard.send(calm, each),
  );
  shard.turn();
  assert.deepEqual(
    shard.answered.map(([id]) => id),
    [taken, ...free],
  );
  assert.ok(shard.answered.every(([, outcome]) => outcome !== 'overloaded'));
  shard.pressure = 'none';
  shard.turn(5);
  assert.deepEqual(
    shard.answered.slice(1 + free.length).map(([id]) => id),
    waiting,
  );
});

test('held writes: what has waited for limits.write_wait_ms is answered overloaded, and nothing of it is done', () => {
  for (const pressure of ['large', 'all'] as const) {
    const shard = new ShardUnderTest();
    shard.pressure = pressure;
    const late = shard.send(bulk, set('k', large));
    shard.turn(999);
    assert.equal(shard.answered.length, 0);
    shard.turn(10);
    assert.deepEqual(shard.answered, [[late, 'overloaded']]);
    shard.pressure = 'none';
    const read = shard.send(bulk, get('k'));
    const later = shard.send(bulk, set('k', large));
    shard.turn(10);
    assert.equal(shard.answered.length, 3);
    assert.deepEqual(
      shard.answered.slice(1).map(([id]) => id),
      [read, later],
    );
    assert.equal(shard.answered[2]![1], 'ok');
  }
});

test('held writes: a turn that has begun with space ends as it began, whatever the journal says meanwhile', () => {
  const shard = new ShardUnderTest();
  shard.pressure = 'large';
  const late = shard.send(bulk, set('k', large));
  shard.turn(500);
  const small = shard.send(calm, set('k', 'small'));
  shard.spaces = ['open', 'open', 'full', 'full'];
  shard.turn(600);
  assert.deepEqual(
    new Map(shard.answered),
    new Map([
      [late, 'overloaded'],
      [small, 'ok'],
    ]),
  );
});

test('held writes: accounts that waited are served in turn, however much each has sent', () => {
  const shard = new ShardUnderTest();
  shard.pressure = 'large';
  const first = Array.from({ length: 500 }, () => shard.send(bulk, set('k', large)));
  const one = shard.send(calm, set('k', large));
  shard.turn();
  assert.equal(shard.answered.length, 0);
  shard.pressure = 'none';
  for (let turns = 0; shard.answered.length < first.length + 1; turns += 1) {
    shard.turn(5);
    assert.ok(turns < 500);
  }
  const place = shard.answered.findIndex(([id]) => id === one);
  assert.ok(place < 100, `it was answered after ${place} of the other account`);
});

test('held writes: when the server goes down, nothing waits', () => {
  const shard = new ShardUnderTest();
  shard.pressure = 'large';
  const held = shard.send(bulk, set('k', large));
  shard.turn();
  shard.drain();
  shard.turn();
  shard.turn(1);
  assert.deepEqual(
    shard.answered.map(([id]) => id),
    [held],
  );
});

function append(value: string): Batch {
  return { ...batch({}), format: 'ops', ops: [{ kind: 'append', key: 'k', value: JSON.stringify(value) }] };
}
