import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CurrentLogLevel } from '../../src/main/log-level.ts';

function underTest(): { level: CurrentLogLevel; log: { level: string }; lines: string[]; pass: () => void } {
  const lines: string[] = [];
  const timers: { run: () => void; ended: boolean }[] = [];
  const log = {
    level: 'warn',
    isLevelEnabled: () => log.level === 'info' || log.level === 'debug',
    info: (message: string) => log.isLevelEnabled() && lines.push(message),
  };
  const after = (_: number, run: () => void): (() => void) => {
    const timer = { run, ended: false };
    timers.push(timer);
    return () => (timer.ended = true);
  };
  const pass = (): void => {
    for (const { run, ended } of timers.splice(0)) if (!ended) run();
  };
  return { level: new CurrentLogLevel({ log, configured: 'warn', after }), log, lines, pass };
}

test('a level that was asked for ends by itself, and both are told by the level that lets them through', () => {
  const { level, log, lines, pass } = underTest();
  level.change('debug', 600_000);
  assert.equal(log.level, 'debug');
  pass();
  assert.equal(log.level, 'warn');
  assert.deepEqual(lines, ['The log level is debug for 600 s', 'The log level is warn again']);
});

test('a later change takes the place of an earlier one, and a reload ends both', () => {
  const { level, log, pass } = underTest();
  level.change('debug', 600_000);
  level.change('info', 60_000);
  assert.equal(log.level, 'info');
  level.configure('error');
  assert.equal(level.configured, 'error');
  pass();
  assert.equal(log.level, 'error');
});
