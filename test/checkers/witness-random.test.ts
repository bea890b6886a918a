/** Random histories of the model and of the core itself pass; changed in one place they are caught, nearly always. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { asSeen, type History, type Operation } from '../support/checkers/history.ts';
import type { Body } from '../support/contract/expected.ts';
import { ModelServer } from '../support/checkers/model-server.ts';
import { randomHistory } from '../support/checkers/random-history.ts';
import { assertWitness, checkWitness } from '../support/checkers/witness-checker.ts';
import { seededRandom, type SeededRandom } from '../support/seeded-random.ts';
import { CoreServer } from './core-server.ts';

const seed = Number(process.env['DRAGONLOCK_SEED'] ?? 20_261_121);
/** Numbers of the clocks of these servers are exact. */
const exact = { clockToleranceMs: 0 };

const servers = { 'the model': () => new ModelServer(), 'the core': () => new CoreServer() };

for (const [name, start] of Object.entries(servers)) {
  for (const revOfFailures of [true, false]) {
    const how = revOfFailures ? 'with all revisions' : 'as HTTP tells them';
    test(`random histories of ${name} pass, ${how}, with starts`, () => {
      fc.assert(
        fc.property(fc.noShrink(fc.nat()), fc.integer({ min: 1, max: 400 }), (number, operations) => {
          const history = randomHistory(start(), seededRandom(number), { operations, revOfFailures, lost: 0 });
          assertWitness(asSeen(history), exact);
        }),
        { seed, numRuns: 40 },
      );
    });

    test(`random histories of ${name} with lost answers have no violation, and few undecided, ${how}`, (t) => {
      const counts = { histories: 60, undecided: 0, happened: 0, unseen: 0 };
      for (let number = 0; number < counts.histories; number++) {
        const random = seededRandom(seed + number);
        const { violations, unknown } = checkWitness(
          asSeen(randomHistory(start(), random, { operations: 300, revOfFailures })),
          exact,
        );
        const first = violations.find(({ verdict }) => verdict === 'violation');
        assert.equal(first?.message, undefined, `DRAGONLOCK_SEED=${seed + number} repeats it`);
        if (violations.length > 0) counts.undecided += 1;
        counts.happened += unknown.happened;
        counts.unseen += unknown.unseen;
      }
      t.diagnostic(JSON.stringify(counts));
      assert.ok(counts.happened > counts.histories, 'answers were lost of what happened');
      assert.ok(counts.undecided <= counts.histories * 0.15, `${counts.undecided} histories are undecided`);
    });
  }
}

/** One place of one answer changed; undefined if there is no such place in it. */
type Mutation = (body: Body, random: SeededRandom, others: readonly Body[]) => Body | undefined;

const mutations: Readonly<Record<string, Mutation>> = {
  // A read may well claim a later one, as long as nothing has changed.
  'a revision': (body) =>
    body.Rev === undefined || !body.KVSet?.some(({ Version }) => Version === body.Rev)
      ? undefined
      : { ...body, Rev: body.Rev + 1 },
  'a version': (body) => changeFirst(body, 'KV', (item) => ({ ...item, Version: Number(item.Version) + 1 })),
  'a value': (body) =>
    changeFirst(body, 'KV', (item) => (item.Version === 0 ? undefined : { ...item, Value: 'other' })),
  'a missing row': (body) => (body.KV?.length ? { ...body, KV: body.KV.slice(1) } : undefined),
  'a counter': (body) => changeFirst(body, 'Atomic', (item) => ({ ...item, Value: Number(item.Value) + 1 })),
  'an old counter': (body) =>
    changeFirst(body, 'Atomic', (item) => (item.Old === undefined ? undefined : { ...item, Old: item.Old + 1 })),
  'a limit': (body) => {
    return body['ResetMs'] === undefined || body.Code !== undefined
      ? changeFirst(body, 'Limit', withOneMore)
      : withOneMore(body);
  },
  'a sequence': (body) =>
    body['To'] === undefined
      ? undefined
      : { ...body, To: Number(body['To']) + 1, From: Number(body['From']) + 1, Value: Number(body.Value) + 1 },
  'a fence': (body) => (body.Lock === undefined ? undefined : { ...body, Lock: body.Lock + 1 }),
  'a time': (body) => (body.TillMs === undefined ? undefined : { ...body, TillMs: body.TillMs + 1000 }),
  'a lock that is not held': (body) =>
    body['Locked'] === true ? { Locked: false, Waiters: 0, Rev: body.Rev! } : undefined,
  'a failure': (body) =>
    body.Failed === undefined
      ? undefined
      : { ...body, Failed: [{ ...body.Failed[0]!, Version: 7, Value: -7, Why: '?' }] },
  'another answer': (body, random, others) => {
    const other = others[random.below(others.length)]!;
    return JSON.stringify({ ...other, Rev: 0 }) === JSON.stringify({ ...body, Rev: 0 }) ? undefined : other;
  },
};

function withOneMore(item: Body): Body {
  return { ...item, Left: Number(item['Left']) + 1 };
}

function changeFirst(
  body: Body,
  member: 'KV' | 'Limit' | 'Atomic',
  change: (item: Body) => Body | undefined,
): Body | undefined {
  const [item, ...rest] = body[member] ?? [];
  const changed = item && change(item);
  return changed && { ...body, [member]: [changed, ...rest] };
}

/** Changes one answer of a history without mutexes, of which the replay says nothing. */
function mutate({ operations, restarts }: History, mutation: Mutation, random: SeededRandom): History | undefined {
  for (let tries = 0; tries < 200; tries++) {
    const at = random.below(operations.length);
    const operation = operations[at]!;
    const { answer, call } = operation;
    if (answer === undefined || call.kind.startsWith('mutex.')) continue;
    const likes = operations.filter((other) => other.call.kind === call.kind && other.answer?.status === answer.status);
    const body = mutation(
      answer.body,
      random,
      likes.map((other) => other.answer!.body),
    );
    if (body === undefined) continue;
    const changed: Operation = { ...operation, answer: { ...answer, body } };
    return { operations: operations.with(at, changed), restarts: restarts ?? [] };
  }
  return undefined;
}

for (const { lost, least, leastOfAll } of [
  { lost: 0, least: 0.95, leastOfAll: 0.98 },
  { lost: 20, least: 0.7, leastOfAll: 0.9 },
]) {
  test(`one change in a history with ${lost / 10} % lost answers is caught, nearly always`, (t) => {
    const all = { tried: 0, caught: 0, undecided: 0 };
    for (const [name, mutation] of Object.entries(mutations)) {
      const here = { tried: 0, caught: 0, undecided: 0 };
      for (let run = 0; run < 30; run++) {
        const random = seededRandom(seed + run);
        const revOfFailures = run % 2 === 0;
        const history = randomHistory(new ModelServer(), random, { operations: 300, lost, revOfFailures });
        const bad = mutate(history, mutation, random);
        if (bad === undefined || checkWitness(history, exact).violations.length > 0) continue;
        here.tried += 1;
        const { violations } = checkWitness(bad, exact);
        if (violations.some(({ verdict }) => verdict === 'violation')) here.caught += 1;
        else if (violations.length > 0) here.undecided += 1;
      }
      t.diagnostic(`${name}: ${JSON.stringify(here)}`);
      const found = here.caught + here.undecided;
      assert.ok(here.tried >= 10 && found >= here.tried * least, `${name}: ${JSON.stringify(here)}`);
      all.tried += here.tried;
      all.caught += here.caught;
      all.undecided += here.undecided;
    }
    t.diagnostic(`all: ${JSON.stringify(all)}`);
    assert.ok(all.caught + all.undecided >= all.tried * leastOfAll, JSON.stringify(all));
  });
}

test('a long history is checked much faster than it was made', (t) => {
  const history = randomHistory(new ModelServer(), seededRandom(seed), { operations: 20_000, lost: 0, things: 50 });
  const started = performance.now();
  const { violations } = checkWitness(history, exact);
  const perSecond = Math.round(history.operations.length / ((performance.now() - started) / 1000));
  t.diagnostic(`${perSecond} operations a second`);
  assert.ok(perSecond > 10_000, `${perSecond} operations a second`);
  assert.deepEqual(
    violations.filter(({ verdict }) => verdict === 'violation'),
    [],
  );
});
