/**
 * The results of one turn of a shard must fit into one message and into memory, however much clients ask for at once.
 * The test counts sizes, on a shard without threads: a few large values stand for a thousand.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountId, revision, shardId } from '../../src/protocol/ids.ts';
import type { FromShard, ToShard } from '../../src/protocol/wire/shard-messages.ts';
import { ReplyCredit } from '../../src/protocol/wire/reply-credit.ts';
import { LocalRevisions } from '../support/local-revisions.ts';
import { messageLength } from '../../src/protocol/wire/shard-wire.ts';
import { newShardState } from '../../src/shard-worker/core/state/state.ts';
import { ShardActor } from '../../src/shard-worker/shard-actor.ts';
import { defaultLimits } from '../../src/shared/limits.ts';
import { startOfTime } from '../support/core-under-test.ts';
import { get, set } from '../support/commands.ts';
import { MapEntries } from '../support/map-entries.ts';
import { noCheckpoints } from '../support/no-checkpoints.ts';
import { workMeter } from '../support/work-meter.ts';
import type { Batch } from '../../src/protocol/operations/operations.ts';

const mib = 1024 * 1024;
const value = 'x'.repeat(mib - 2);
const keys = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const requests = 20;
/** A turn ends after the message with which it passes 4 MiB. */
const turnMax = (4 + keys.length) * mib + 64 * 1024;

/** One shard. The front end takes what it sends only when the test says so. */
class ShardUnderTest {
  readonly sent: FromShard[] = [];
  readonly journaled: number[] = [];
  readonly #credit = new ReplyCredit(ReplyCredit.allocate(1), 0);
  readonly #actor: ShardActor;
  #untaken: number[] = [];
  /** The shard wants another turn at once. */
  #again = false;
  wakes = 0;
  /** What each write of an entry adds to the time that the shard has worked. */
  microsPerWrite = 0;

  constructor() {
    const revisions = new LocalRevisions(revision(1));
    const boot = { epoch: 1, rev: revision(0), at: startOfTime };
    const entries = new MapEntries();
    const put = entries.put.bind(entries);
    let written = 0;
    entries.put = (...entry) => {
      written += this.microsPerWrite;
      put(...entry);
    };
    const looked = workMeter();
    const state = newShardState({
      shard: shardId(0),
      limits: defaultLimits,
      entries,
      revisions,
      owns: () => true,
      recordBytesMax: Infinity,
      boot,
    });
    this.#actor = new ShardActor({
      state,
      clock: { now: () => startOfTime },
      journal: {
        append: ({ bytes }) => void this.journaled.push(bytes.length),
        whenDurable: () => {},
        space: () => 'open',
        checkpointed: () => {},
      },
      checkpoints: noCheckpoints,
      send: (_router, message) => {
        const length = messageLength(message);
        this.sent.push(message);
        this.#credit.sent(length);
        this.#untaken.push(length);
      },
      congestion: () => this.#credit.exhausted,
      meter: () => looked() + written,
      wake: (delayMs) => {
        this.#again = delayMs === 0;
        if (delayMs > 0) this.wakes += 1;
      },
    });
  }

  get answered(): number {
    return this.answeredItems.length;
  }

  /** The numbers of requests, and of batches of an array. */
  get answeredItems(): number[] {
    return this.sent.flatMap(({ replies }) =>
      replies.flatMap((answer) => (answer.kind === 'one' ? [answer.id] : answer.items.map(({ item }) => item))),
    );
  }

  get untakenBytes(): number {
    return this.#untaken.reduce((sum, length) => sum + length, 0);
  }

  ask(commands: readonly Batch[]): void {
    const messages = commands.map((command, id): ToShard => ({ kind: 'request', id, command }));
    this.#actor.receive(0, messages);
    this.#turns();
  }

  askArray(batches: readonly Batch[]): void {
    this.#actor.receive(0, [{ kind: 'array', id: 1, batches }]);
    this.#turns();
  }

  arrive(messages: readonly ToShard[]): void {
    this.#actor.receive(0, messages);
  }

  oneTurn(): void {
    this.#actor.turn();
  }

  #turns(): void {
    do {
      this.#again = false;
      this.#actor.turn();
    } while (this.#again);
  }

  /** The front end takes everything that it was sent; the shard looks again. */
  take(): void {
    for (const length of this.#untaken) this.#credit.taken(length);
    this.#untaken = [];
    this.#turns();
  }
}

const write = (key: string): Batch => set(key, value);
const largeWrites = (): Batch[] => {
  const values = keys.map((key) => ({ key, value: JSON.stringify(value) }));
  return Array.from({ length: requests }, (): Batch => ({ ...write('a'), set: values }));
};

test('many large requests that arrive together are committed in groups of bounded size', () => {
  const shard = new ShardUnderTest();
  shard.ask(largeWrites());
  assert.equal(shard.answered, requests);
  const total = shard.journaled.reduce((sum, bytes) => sum + bytes, 0);
  assert(total > requests * keys.length * mib, 'all of it was written');
  const largest = Math.max(...shard.journaled);
  assert(largest <= turnMax, `one group at most ${turnMax} bytes; the largest was ${largest}`);
});

for (const [name, ask] of [
  ['many large reads at once', (shard, batches) => shard.ask(batches)],
  ['large reads in one array body', (shard, batches) => shard.askArray(batches)],
] as const satisfies [string, (shard: ShardUnderTest, batches: readonly Batch[]) => void][]) {
  test(`${name} are answered in messages of bounded size, and no faster than they are taken`, () => {
    const shard = new ShardUnderTest();
    shard.ask(keys.map(write));
    shard.take();
    shard.sent.length = 0;
    ask(
      shard,
      Array.from({ length: requests }, () => get(...keys)),
    );
    assert(shard.answered > 0 && shard.answered < requests, `at once ${shard.answered} are answered`);
    for (let rounds = 0; shard.answered < requests; rounds += 1) {
      assert(rounds < requests, 'each time that all was taken, more comes');
      assert(shard.untakenBytes <= turnMax, `untaken are ${shard.untakenBytes} bytes`);
      const before = [shard.answered, shard.wakes];
      shard.ask([]);
      assert.deepEqual([shard.answered, shard.wakes], [before[0], before[1]! + 1], 'it waits, and looks again later');
      shard.take();
    }
    assert.deepEqual(
      shard.answeredItems,
      Array.from({ length: requests }, (_, id) => id),
      'all of them, in order',
    );
    for (const message of shard.sent) assert(messageLength(message) <= turnMax);
  });
}

test('one answer to several batches of an array depends on the highest revision of theirs', () => {
  const shard = new ShardUnderTest();
  shard.askArray([set('a', 1), set('b', 2), get('a')]);
  const [message] = shard.sent;
  const [answer] = message!.replies;
  assert(answer?.kind === 'items' && message!.replies.length === 1);
  const revs = answer.items.map(({ reply }) => reply.rev);
  assert.equal(revs.length, 3);
  assert.equal(answer.rev, Math.max(...revs));
  assert(answer.rev > revs[0]!);
});

test('whatever one account has sent, another account is answered in the turn in which its request arrives', () => {
  const shard = new ShardUnderTest();
  shard.arrive(Array.from({ length: 1000 }, (_, id) => ask('busy', id)));
  shard.oneTurn();
  const before = shard.answered;
  assert.ok(before > 0 && before < 500, `a turn is short: ${before} were answered`);
  shard.arrive([ask('calm', 5000)]);
  shard.oneTurn();
  assert.ok(shard.answeredItems.includes(5000));
  assert.ok(shard.answered < 1000, 'the other account has a backlog still');
});

test('what is dear begins a turn of its own, so whoever is served before it does not wait for it', () => {
  const shard = new ShardUnderTest();
  const writes = Array.from({ length: 100 }, (_, i) => ({ key: `k${i}`, value: '1' }));
  const dear = (id: number): ToShard => {
    const command = { ...set('k', 1), set: writes };
    return { kind: 'request', id, command: { ...command, account: accountId('busy') } };
  };
  shard.microsPerWrite = 100;
  shard.arrive(Array.from({ length: 10 }, (_, id) => dear(id)));
  shard.oneTurn();
  assert.deepEqual(shard.answeredItems, [0]);
  for (const id of [5000, 5001]) shard.arrive([ask('calm', id)]);
  shard.oneTurn();
  assert.deepEqual(shard.answeredItems, [0, 5000, 5001], 'the turn ends before the next one of the others');
  shard.arrive([ask('calm', 5002)]);
  shard.oneTurn();
  assert.deepEqual(shard.answeredItems, [0, 5000, 5001, 5002, 1], 'it waits for one turn, whatever comes meanwhile');
  for (let id = 6000; id < 6020; id += 1) {
    shard.arrive([ask('calm', id)]);
    shard.oneTurn();
  }
  const dearOnes = shard.answeredItems.filter((id) => id < 100).length;
  assert.ok(dearOnes > 8, `${dearOnes} dear ones were taken in 23 turns`);
});

function ask(account: string, id: number): ToShard {
  return { kind: 'request', id, command: { ...get('k'), account: accountId(account) } };
}
