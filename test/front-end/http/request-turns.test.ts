import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestTurns } from '../../../src/front-end/http/request-turns.ts';

/** Turns of an event loop that the test takes; each request costs a tenth of a millisecond. */
class TurnsUnderTest {
  readonly begun: string[] = [];
  readonly turns: RequestTurns;
  #micros = 0;
  #deferred: (() => void)[] = [];

  constructor() {
    this.turns = new RequestTurns({ meter: () => this.#micros, defer: (run) => this.#deferred.push(run) });
  }

  ask(account: string, name: string, micros = 100): void {
    this.turns.run(account, () => {
      this.#micros += micros;
      this.begun.push(name);
    });
  }

  /** @returns false: there is nothing to do */
  turn(): boolean {
    const deferred = this.#deferred;
    this.#deferred = [];
    for (const run of deferred) run();
    return deferred.length > 0;
  }
}

test('request turns: a request begins at once while the thread has little to do', () => {
  const loop = new TurnsUnderTest();
  for (let i = 0; i < 10; i += 1) loop.ask('a', `a${i}`);
  assert.equal(loop.begun.length, 10);
  loop.turn();
  assert.equal(loop.turn(), false, 'then it costs nothing');
});

test('request turns: in a flood, another account is served in the next turn, and each keeps its order', () => {
  const loop = new TurnsUnderTest();
  for (let i = 0; i < 1000; i += 1) loop.ask('busy', `busy${i}`);
  assert.ok(loop.begun.length < 50, `${loop.begun.length} have begun`);
  loop.ask('calm', 'calm');
  loop.turn();
  const place = loop.begun.indexOf('calm');
  assert.ok(place >= 0 && place < 60, `as number ${place}`);
  while (loop.turn());
  assert.deepEqual(
    loop.begun.filter((name) => name !== 'calm'),
    Array.from({ length: 1000 }, (_, i) => `busy${i}`),
  );
  assert.equal(loop.turns.size, 0);
});

test('request turns: what is dear begins a slice of its own, behind what others have asked for', () => {
  const loop = new TurnsUnderTest();
  for (let i = 0; i < 5; i += 1) loop.ask('busy', `busy${i}`, 10_000);
  assert.deepEqual(loop.begun, ['busy0']);
  loop.turn();
  assert.deepEqual(loop.begun, ['busy0', 'busy1']);
  loop.ask('calm', 'calm');
  loop.turn();
  assert.deepEqual(loop.begun, ['busy0', 'busy1', 'calm']);
  loop.ask('calm', 'calm again');
  loop.turn();
  assert.deepEqual(loop.begun.slice(3), ['calm again', 'busy2'], 'it waits for one slice, whatever comes meanwhile');
  while (loop.turn());
  assert.deepEqual(loop.begun.slice(5), ['busy3', 'busy4']);
});
