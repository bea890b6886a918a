/** Wall time that is wrong, boots of the machine, suspends: all by hand, no real clock. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeClockRecord, encodeClockRecord, type ClockRecord } from '../../src/main/data-directory/clock-file.ts';
import { ServerClock, timeAtStart } from '../../src/main/server-clock.ts';
import { allocateClock, readClock, systemClock } from '../../src/shared/clock.ts';

const second = 1000;
const hour = 3600 * second;
const year = 365 * 24 * hour;
const wall = 1_800_000_000_000;
const machine = { bootId: 'aaaaaaaa-0000-4000-8000-000000000000', bootMs: 50 * hour };
const kept: ClockRecord = { ...machine, time: wall, wall };

test('a start in the same boot of the machine goes on exactly, whatever the wall clock shows', () => {
  const now = { bootId: machine.bootId, bootMs: machine.bootMs + 12 * second };
  for (const wrong of [0, hour, -hour, 30 * year, -30 * year]) {
    assert.equal(timeAtStart(kept, { wall: wall + wrong, machine: now }, wall), wall + 12 * second);
  }
});

test('a clock that was wrong at one start and is right at the next: what is left of each duration stays', () => {
  for (const wrong of [hour, -hour, 40 * year, -40 * year]) {
    const before: ClockRecord = { ...machine, time: wall + wrong, wall: wall + wrong };
    const now = { wall: wall + 12 * second, machine: { ...machine, bootMs: machine.bootMs + 12 * second } };
    assert.equal(timeAtStart(before, now, before.time), before.time + 12 * second);
  }
});

test('after another boot of the machine the offset from wall time is kept: a wall clock that was set right ends nothing', () => {
  const other = { bootId: 'bbbbbbbb-0000-4000-8000-000000000000', bootMs: 20 * second };
  for (const offset of [0, hour, -hour, 40 * year]) {
    const before: ClockRecord = { ...machine, time: wall - offset, wall };
    assert.equal(timeAtStart(before, { wall: wall + 60 * second, machine: other }, 0), wall - offset + 60 * second);
    assert.equal(timeAtStart(before, { wall: wall + 60 * second, machine: undefined }, 0), wall - offset + 60 * second);
  }
});

test('no start begins before the last frame of the journal, nor before the time that was kept', () => {
  const other = { bootId: 'bbbbbbbb-0000-4000-8000-000000000000', bootMs: 20 * second };
  assert.equal(timeAtStart(undefined, { wall: wall - hour, machine }, wall), wall);
  assert.equal(timeAtStart(undefined, { wall, machine }, 0), wall);
  assert.equal(timeAtStart(kept, { wall: wall - 30 * year, machine: other }, 0), wall);
  assert.equal(timeAtStart(kept, { wall: wall - 30 * year, machine: other }, wall + second), wall + second);
});

test('a container whose boot clock begins anew is not taken for the same boot', () => {
  const now = { wall: wall + hour, machine: { ...machine, bootMs: 5 * second } };
  assert.equal(timeAtStart(kept, now, wall), wall + hour);
});

test('a record of the clock that was damaged anywhere counts as none', () => {
  const line = encodeClockRecord(kept);
  assert.deepEqual(decodeClockRecord(line), kept);
  const none: ClockRecord = { bootId: undefined, bootMs: 0, time: wall, wall };
  assert.deepEqual(decodeClockRecord(encodeClockRecord(none)), none);
  for (let at = 0; at < line.length; at += 1) {
    assert.equal(decodeClockRecord(line.slice(0, at)), undefined, `cut at ${at}`);
    for (let bit = 0; bit < 8; bit += 1) {
      const flipped = Buffer.from(line, 'latin1');
      flipped[at]! ^= 1 << bit;
      assert.equal(decodeClockRecord(flipped.toString('latin1')), undefined, `bit ${bit} of byte ${at}`);
    }
  }
});

/** A running clock, whose ticks and sources are in the hands of the test. */
function running() {
  const state = { monotonic: 5000, offset: 0, slept: 0, readsLate: 0, fails: false };
  const lines: string[] = [];
  const records: ClockRecord[] = [];
  const memory = allocateClock();
  const passed = (): number => state.monotonic - 5000;
  const options = {
    memory,
    sources: {
      wall: () => wall + state.offset + passed(),
      monotonic: () => state.monotonic,
      machine: () => ({
        bootId: machine.bootId,
        bootMs: machine.bootMs + passed() + state.slept + state.readsLate,
      }),
    },
    every: () => () => undefined,
    keep: (record: ClockRecord) => {
      if (state.fails) throw new Error('no space');
      records.push(record);
    },
    log: (_level: string, message: string) => void lines.push(message),
  };
  const clock = new ServerClock(options, kept, 0);
  /** By how much the server's time is ahead of what has passed. */
  const ahead = (): number => readClock(memory, state.monotonic) - wall - passed();
  const tick = (count: number): void => {
    for (let i = 0; i < count; i += 1) {
      state.monotonic += second;
      clock.tick();
    }
  };
  return { state, lines, records, clock, tick, ahead, memory };
}

test('wall time that jumps ahead is followed by 1 ms in ten seconds, behind by 1 ms a second', () => {
  const late = running();
  late.state.offset = 3 * hour;
  late.tick(2000);
  assert.equal(late.ahead(), 200);
  const early = running();
  early.state.offset = -3 * hour;
  early.tick(2000);
  assert.equal(early.ahead(), -2000);
});

test('an offset is slewed away and then stays away', () => {
  const behind = running();
  behind.state.offset = -500;
  behind.tick(3000);
  assert.ok(Math.abs(behind.ahead() + 500) <= 1, `${behind.ahead()}`);
});

test('a thread that reads the clock while it is set back sees time stand still, never run backwards', () => {
  const { state, tick, memory } = running();
  const clock = systemClock(memory);
  state.offset = -hour;
  let last = clock.now();
  for (let i = 0; i < 3000; i += 1) {
    tick(1);
    const now = clock.now();
    assert.ok(now >= last);
    last = now;
  }
});

test('a jump of wall time is said once, and kept for the next start', () => {
  const { state, lines, records, tick } = running();
  assert.deepEqual([lines.length, records.length], [0, 1]);
  state.offset = 2 * hour;
  tick(20);
  assert.equal(lines.length, 1);
  assert.match(lines[0]!, /machine's clock is 7200\.0 s ahead of the server's time/);
  const { time, wall: keptWall } = records.at(-1)!;
  assert.equal(keptWall - time, 2 * hour);
  state.offset = 0;
  tick(20);
  assert.equal(lines.length, 2);
});

test('time that the machine has slept through counts, and is said', () => {
  const { state, lines, tick, ahead } = running();
  tick(5);
  assert.equal(ahead(), 0);
  state.slept = 2 * hour;
  state.offset = 2 * hour;
  tick(5);
  assert.equal(ahead(), 2 * hour);
  assert.match(lines[0]!, /slept for 7200 s/);
  assert.equal(lines.length, 1, 'wall time agrees');
});

test('a difference of the clocks of less than a second is none: they are read one after the other', () => {
  const { state, tick, ahead } = running();
  for (let i = 0; i < 100; i += 1) {
    state.readsLate = (i % 2) * 900;
    tick(1);
  }
  assert.equal(ahead(), 0);
});

test('a time that cannot be kept is said once, and the server goes on', () => {
  const { state, lines, tick, clock } = running();
  state.fails = true;
  tick(200);
  clock.stop();
  assert.deepEqual(lines, ['The time cannot be kept for the next start: no space']);
});

test('clocks that agree but for how they are read add up to nothing over a hundred restarts', () => {
  let record: ClockRecord = kept;
  for (let start = 1; start <= 100; start += 1) {
    const passed = start * second;
    // The boot clock is read early and coarsely, and wall time a little after the server's.
    const now = { wall: wall + passed, machine: { ...machine, bootMs: machine.bootMs + passed - 30 } };
    const time = timeAtStart(record, now, record.time);
    assert.equal(time, wall + passed);
    record = { ...now.machine, time, wall: now.wall + 5 };
  }
});
