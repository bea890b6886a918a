import assert from 'node:assert/strict';
import { before, beforeEach, test } from 'node:test';
import { accountId } from '../../../../src/protocol/ids.ts';
import { defaultLimits } from '../../../../src/shared/limits.ts';
import { commandTable } from '../../../../src/front-end/resp/command-table.ts';
import { LuaMachine } from '../../../../src/front-end/resp/scripts/lua-machine.ts';
import { loadLua, type LuaModule } from '../../../../src/front-end/resp/scripts/lua-module.ts';
import { LuaRun } from '../../../../src/front-end/resp/scripts/lua-run.ts';
import type { ScriptResult } from '../../../../src/front-end/resp/scripts/script-messages.ts';
import { ScriptCache, shaOf } from '../../../../src/front-end/resp/scripts/script-cache.ts';

let lua: LuaModule;
let machine: LuaMachine;
before(async () => {
  lua = await loadLua();
});
beforeEach(() => {
  machine = new LuaMachine(lua);
});

interface More {
  readonly account?: string;
  readonly args?: readonly string[];
}

function run(source: string, more: More = {}): string {
  return runAll([source], more).reply;
}

/** Runs scripts as one transaction. */
function runAll(sources: readonly string[], { account = 'acme', args = [] }: More = {}): ScriptResult {
  const read = [{ key: 'k', till: 0, version: 0 }];
  const parts = sources.map(
    (source) =>
      ({ kind: 'script', sha: shaOf(source), source, keys: ['k'], names: ['k'], args, readOnly: false }) as const,
  );
  const request = { account: accountId(account), sha: parts[0]!.sha, parts, transaction: parts.length > 1 };
  const given = { ...request, read, now: 1000, protocol: 2, compileOnly: false } as const;
  return new LuaRun(given, commandTable, defaultLimits).perform(machine);
}

test('the scripts of a transaction have the steps of one, and when these are over nothing is done', () => {
  const half = 'redis.call("APPEND", KEYS[1], "x") for i = 1, 300000 do end return 1';
  assert.equal(run(half), ':1\r\n');
  const { reply, effects } = runAll([half, half, half, half]);
  assert.match(reply, /^-ERR script ran too long/);
  assert.deepEqual(effects, []);
});

test('every command can be called by a script, or says that it cannot', () => {
  for (const { name, arity } of commandTable.values()) {
    const args = Array.from({ length: Math.abs(arity) - 1 }, (_, i) => (i === 0 ? 'k' : '1'));
    for (const given of [args, [...args, '1'], [...args, 'k', '1', 'x']]) {
      const list = [name, ...given].map((text) => JSON.stringify(text)).join(', ');
      assert.match(run(`return redis.pcall(${list}) or 'nil'`), /^[-+:$*]/, list);
    }
  }
});

test('a state that has compiled too many scripts begins anew, and nothing of an account is seen by another', () => {
  for (let i = 0; i < 250; i += 1) assert.equal(run(`return ${i}`), `:${i}\r\n`);
  for (let i = 0; i < 40; i += 1) assert.equal(run('return #ARGV', { account: `a${i}`, args: ['x'] }), ':1\r\n');
  assert.match(run("table.insert(string, 1, 'mine') return #string", { account: 'a' }), /^[:-]/);
  assert.equal(run('return #string', { account: 'b' }), ':0\r\n');
});

test('what a state keeps in memory is bounded', () => {
  const before = machine.memoryBytes;
  for (let i = 0; i < 60; i += 1) {
    const source = `local t = {} for n = 1, 2000 do t[n] = ('x'):rep(500) .. n end return #t`;
    assert.equal(run(source, { account: `a${i % 5}` }), ':2000\r\n');
  }
  assert.ok(machine.memoryBytes < Math.max(before, 40 * 1024 * 1024), `${machine.memoryBytes} bytes`);
});

const source = (i: number): string => `return ${i} -- ${'x'.repeat(100_000)}`;

test('an account keeps at most 1 MiB of scripts, and loses the oldest', () => {
  const cache = new ScriptCache();
  for (let i = 0; i < 20; i += 1) cache.add('a', `sha ${i}`, source(i));
  cache.add('b', 'other', 'return 1');
  const kept = Array.from({ length: 20 }, (_, i) => i).filter((i) => cache.get('a', `sha ${i}`) !== undefined);
  assert.deepEqual(kept, [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
  for (let account = 0; account < 60; account += 1)
    for (let i = 0; i < 10; i += 1) cache.add(`many ${account}`, `sha ${i}`, source(i));
  assert.equal(cache.get('b', 'other'), 'return 1', 'who has little keeps it');
  cache.clear('b');
  assert.equal(cache.get('b', 'other'), undefined);
});
