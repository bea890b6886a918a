/**
 * With the log of the server nothing has to be guessed: random histories of the core, half of them with lost answers,
 * have nothing undecided, and what is done wrong for somebody who was never answered is found. And by hand: whose a
 * revision is that nobody was told of.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kinds } from '../../src/protocol/record.ts';
import { clients, wrote, type Clients } from '../support/checkers/history-by-hand.ts';
import type { LogEffect, LogRecord } from '../support/checkers/commit-log.ts';
import { asSeen, type History } from '../support/checkers/history.ts';
import { Placement } from '../support/checkers/placement.ts';
import { randomHistory } from '../support/checkers/random-history.ts';
import { checkWitness } from '../support/checkers/witness-checker.ts';
import { batch, lock, once, set, unlock } from '../support/commands.ts';
import { seededRandom } from '../support/seeded-random.ts';
import { CoreServer } from './core-server.ts';
import type { Batch, Command } from '../../src/protocol/operations/operations.ts';

const seed = Number(process.env['DRAGONLOCK_SEED'] ?? 20_261_125);
const exact = { clockToleranceMs: 0 };

test('random histories of the core, with its log: every revision is somebody’s, and nothing is undecided', (t) => {
  const counts = { operations: 0, happened: 0, unseen: 0 };
  for (let number = seed; number < seed + 60; number++) {
    const random = seededRandom(number);
    const history = randomHistory(new CoreServer(), random, { operations: 300, revOfFailures: number % 2 === 0 });
    const { violations, unknown } = checkWitness(history, exact);
    assert.deepEqual(violations, [], `DRAGONLOCK_SEED=${number} repeats it`);
    counts.operations += history.operations.length;
    counts.happened += unknown.happened;
    counts.unseen += unknown.unseen;
  }
  t.diagnostic(JSON.stringify(counts));
  assert.ok(counts.happened > 60 && counts.unseen > 60, 'answers were lost, of what happened and of what did not');
});

/** What a server does instead of what it was asked; undefined: there is nothing in it to do wrong. */
type Wrong = (call: Batch) => readonly Command[] | undefined;

const done: Readonly<Record<string, Wrong>> = {
  'half of it': (call) => {
    const [first, second] = call.set ?? [];
    if (first?.value === undefined || first.version !== undefined || second === undefined) return undefined;
    return first.key === second.key ? undefined : [{ ...call, set: [second] }];
  },
  'it twice': (call) => (call.format === 'counter.add' ? [call, call] : undefined),
  'it without its condition': (call) => {
    if (!call.set?.some(({ version }) => version === 0)) return undefined;
    const set = call.set.map((ask) => ({ key: ask.key, ...(ask.value === undefined ? {} : { value: ask.value }) }));
    return [{ ...call, set }];
  },
  'it for longer': ({ lock: ask, ...call }) =>
    ask === undefined || ask.extend !== undefined ? undefined : [{ ...call, lock: { ...ask, durMs: ask.durMs + 1 } }],
  'it by force': ({ unlock: ask, ...call }) =>
    ask?.fence === undefined || ask.fence === 1 ? undefined : [{ ...call, unlock: { id: ask.id } }],
  'it under no id': ({ idempotency, ...call }) =>
    idempotency === undefined || call.set === undefined ? undefined : [call],
};

/** A core that does the n-th of those wrong, once, and then nobody is answered who asked for it. */
class WrongOnce extends CoreServer {
  asked: Command | undefined;
  /** Whether it left another log than it should have. */
  mattered = false;
  readonly #wrong: Wrong;
  #left: number;

  constructor(wrong: Wrong, left: number) {
    super();
    this.#wrong = wrong;
    this.#left = left;
  }

  override ask(command: Command): ReturnType<CoreServer['ask']> {
    const instead = command.kind === 'batch' && this.asked === undefined ? this.#wrong(command) : undefined;
    if (instead === undefined || this.#left-- > 0) return super.ask(command);
    this.asked = command;
    const before = this.log.length;
    const answers = instead.map((call) => super.ask(call));
    this.mattered = this.log.length >= before + instead.length;
    return answers.at(-1)!;
  }
}

function withoutAnswer({ operations, ...rest }: History, call: Command): History {
  return {
    ...rest,
    operations: operations.map((operation) => {
      const { answer: _, ...unanswered } = operation;
      return operation.call === call ? unanswered : operation;
    }),
  };
}

for (const [what, wrong] of Object.entries(done)) {
  test(`a server that does ${what}, for somebody who is never answered, is caught by its log`, (t) => {
    const counts = { tried: 0, caught: 0, 'caught without the log': 0, 'undecided without the log': 0 };
    for (let number = seed; number < seed + 60; number++) {
      const random = seededRandom(number);
      const server = new WrongOnce(wrong, random.below(5));
      const made = randomHistory(server, random, { operations: 300, lost: 0, restarts: 0 });
      if (server.asked === undefined || !server.mattered) continue;
      const history = withoutAnswer(made, server.asked);
      counts.tried += 1;
      if (checkWitness(history, exact).violations.length > 0) counts.caught += 1;
      const verdicts = new Set(checkWitness(asSeen(history), exact).violations.map(({ verdict }) => verdict));
      if (verdicts.has('violation')) counts['caught without the log'] += 1;
      else if (verdicts.size > 0) counts['undecided without the log'] += 1;
    }
    t.diagnostic(JSON.stringify(counts));
    assert.ok(counts.tried >= 10, 'it was done wrong');
    // A condition may have held all the same, and another may have forced the same lock right behind.
    const unseen = what === 'it by force' ? 2 : 0;
    const least = what === 'it without its condition' ? 10 : counts.tried - unseen;
    assert.ok(counts.caught >= least, JSON.stringify(counts));
  });
}

const effect = (kind: keyof typeof kinds, key: string, value?: unknown, till = 0): LogEffect => ({
  kind: kinds[kind],
  key,
  till,
  ...(value === undefined ? {} : { value: JSON.stringify(value) }),
});

/** Revisions from 1 on, one a list of effects. */
const logOf = (...records: LogEffect[][]): LogRecord[] =>
  records.map((effects, i) => ({ rev: i + 1, account: 'acme', effects, by: 1_000_000 }));

const says = (made: Clients, ...records: LogEffect[][]): string[] =>
  checkWitness({ ...made.history, log: logOf(...records) }, { clockToleranceMs: 6 }).violations.map(
    ({ verdict, message }) => `${verdict}: ${message}`,
  );

test('a stored reply and its end are those of a batch that was never answered, and of no other', () => {
  // `node test/checkers/run.ts 1598` in short: the checker knew only the first of the two.
  const asked = batch({ ...once('i', { ttlMs: 5000 }), get: ['a'] });
  const made = (): Clients =>
    clients().ok(set('a', 'x'), wrote(1, 'a')).unanswered(asked).wait(6000).ok(set('b', 'x'), wrote(4, 'b'));
  const stored = (...get: readonly object[]): LogEffect => {
    const asked = { format: 'batch', get: get.map(() => 'a') };
    return effect('idempotency', 'i', [2, 'f', 2, 1020, asked, { get }], 6020);
  };
  const reply = { version: 1, value: '"x"' };
  const first = [effect('kv', 'a', 'x')];
  const over = [{ ...effect('idempotency', 'i'), expired: true } as const];
  const last = [effect('kv', 'b', 'x')];
  assert.deepEqual(says(made(), first, [stored(reply)], over, last), []);
  assert.match(says(made(), first, [stored()], over, last)[0]!, /^violation: Revision 2 .*nobody/);
  assert.match(says(made(), first, over, [stored(reply)], last)[0]!, /^violation: Revision 2 belongs to nobody/);
  assert.match(says(made(), first, [stored(reply)], first, last)[0]!, /^violation: Revision 3 belongs to nobody/);
  assert.match(says(made(), first, [stored(reply)], over)[0]!, /operation 3 .* at revision 4.*not its own/);
});

test('a lease that was never told may be taken back, one that was told may not', () => {
  const lease = { fence: 1, since: 1010, durMs: 10_000 };
  const held = [effect('lock', 'l', { lease, ended: [] }, 11_010)];
  const freed = [effect('lock', 'l', { ended: [{ fence: 1, why: 'released', at: 1020 }] }, 3_601_020)];
  assert.deepEqual(says(clients().unanswered(lock('l')), held, freed), []);
  const body = { Lock: 1, Till: 12, TillMs: 11_010, TTLMs: 10_000, Now: 1010, Rev: 1 };
  const told = (): Clients => clients().ok(lock('l'), body);
  assert.match(says(told(), held, freed)[0]!, /^violation: Revision 2 belongs to nobody: it changes lock "l"/);
  assert.deepEqual(says(told().unanswered(unlock('l', { fence: 1 })), held, freed), []);
});

test('of several who could have taken a revision those step aside who could have taken another', () => {
  const placement = new Placement<string>();
  assert.equal(placement.place(1, ['a', 'b'], false), 'a');
  assert.equal(placement.place(2, ['a'], false), 'a');
  assert.equal(placement.place(3, ['b'], false), undefined);
  assert.equal(placement.size, 2);
  const alone = new Placement<string>();
  assert.equal(alone.place(1, ['a'], true), 'a');
  assert.equal(alone.place(2, ['a'], false), 'a');
});
