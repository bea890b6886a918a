/** Random histories of the model and of the core itself pass; changed in one place they are caught, nearly always. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Command } from '../../src/protocol/commands.ts';
import type { Answer, Body, History, Operation } from '../support/checkers/history.ts';
import { ModelServer } from '../support/checkers/model-server.ts';
import { randomHistory, type AnsweringServer } from '../support/checkers/random-history.ts';
import { assertWitness, checkWitness } from '../support/checkers/witness-checker.ts';
import { CoreUnderTest } from '../support/core-under-test.ts';
import { seededRandom, type SeededRandom } from '../support/seeded-random.ts';

const seed = Number(process.env['DRAGONLOCK_SEED'] ?? 20_261_121);
/** Numbers of the clocks of these servers are exact. */
const exact = { clockToleranceMs: 0 };

class CoreServer implements AnsweringServer {
  #core = new CoreUnderTest();

  get now(): number {
    return this.#core.now;
  }

  ask(command: Command): () => Omit<Answer, 'at'> | undefined {
    const asked = this.#core.ask(command);
    return () => {
      if (asked.reply === undefined) return undefined;
      const { status, body, rev, replayed } = asked.reply;
      return { status, body: JSON.parse(body) as Body, rev, ...(replayed ? { replayed } : {}) };
    };
  }

  advance(ms: number): void {
    this.#core.advance(ms);
  }

  restart(downMs: number): void {
    const now = this.#core.now + downMs;
    this.#core = this.#core.restart({ at: now }, { now });
  }
}

const servers = { 'the model': () => new ModelServer(), 'the core': () => new CoreServer() };

for (const [name, start] of Object.entries(servers)) {
  for (const revOfFailures of [true, false]) {
    const how = revOfFailures ? 'with all revisions' : 'as HTTP tells them';
    void test(`random histories of ${name} pass, ${how}, with lost answers and starts`, () => {
      fc.assert(
        fc.property(fc.noShrink(fc.nat()), fc.integer({ min: 1, max: 400 }), (number, operations) => {
          const history = randomHistory(start(), seededRandom(number), { operations, revOfFailures });
          assertWitness(history, exact);
        }),
        { seed, numRuns: 60 },
      );
    });
  }
}
