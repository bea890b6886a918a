/**
 * Scripts of lock libraries that are done without Lua do what Lua does. The scripts here say in other words what those of
 * the libraries do, one for each behaviour; `knownScripts` has no text to compare with, only its SHA-1.
 */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import * as fc from 'fast-check';
import { acme } from '../../../support/commands.ts';
import { seeded } from '../../../support/generators/model-histories.ts';
import { defaultLimits } from '../../../../src/shared/limits.ts';
import { commandTable } from '../../../../src/front-end/resp/command-table.ts';
import { writers } from '../../../../src/front-end/resp/writer.ts';
import { knownScript, knownScripts, scriptShas } from '../../../../src/front-end/resp/scripts/known-scripts.ts';
import { LuaMachine } from '../../../../src/front-end/resp/scripts/lua-machine.ts';
import { loadLua } from '../../../../src/front-end/resp/scripts/lua-module.ts';
import { ScriptKeys } from '../../../../src/front-end/resp/scripts/script-keys.ts';
import type { ScriptKey, ScriptResult } from '../../../../src/front-end/resp/scripts/script-messages.ts';
import { LuaRun } from '../../../../src/front-end/resp/scripts/lua-run.ts';
import { normalisedScript } from '../../../../src/front-end/resp/scripts/script-text.ts';

const mine = "redis.call('GET', KEYS[1]) == ARGV[1]";
const all = 'for n = 1, #KEYS do local k = KEYS[n]';
const inWords: Readonly<Record<keyof typeof knownScripts, string>> = {
  release: `if ${mine} then redis.call('DEL', KEYS[1]) return 1 end return 0`,
  'release, true': `if ${mine} then redis.call('DEL', KEYS[1]) return true end return false`,
  'release or missing': `if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end if ${mine} then return redis.call('DEL', KEYS[1]) end return 0`,
  touch: `if ${mine} then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end return 0`,
  'touch or set': `if ${mine} then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return 1`,
  'touch or set, true': `if ${mine} then redis.call('PEXPIRE', KEYS[1], ARGV[2]) return true end if redis.call('EXISTS', KEYS[1]) == 1 then return false end redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) return true`,
  extend: `if not (${mine}) then return 0 end local left = redis.call('PTTL', KEYS[1]) if left < 0 then return 0 end if ARGV[3] == '0' then left = left + ARGV[2] else left = ARGV[2] end redis.call('PEXPIRE', KEYS[1], left) return 1`,
  acquire: `${all} if redis.call('EXISTS', k) == 1 then return 0 end end ${all} redis.call('SET', k, ARGV[1], 'PX', ARGV[2]) end return #KEYS`,
  reset: `${all} if redis.call('GET', k) ~= ARGV[1] then return 0 end end ${all} redis.call('SET', k, ARGV[1], 'PX', ARGV[2]) end return #KEYS`,
  'release each': `local gone = 0 ${all} if redis.call('GET', k) == ARGV[1] then gone = gone + redis.call('DEL', k) end end return gone`,
};

let machine: LuaMachine;
before(async () => {
  machine = new LuaMachine(await loadLua());
});

const now = 1_700_000_000_000;

function byKey(effects: ScriptResult['effects']): ScriptResult['effects'] {
  return effects.toSorted((a, b) => (a.key < b.key ? -1 : 1));
}

function byLua(
  source: string,
  keys: readonly string[],
  args: readonly string[],
  read: readonly ScriptKey[],
): ScriptResult {
  const script = { kind: 'script', sha: source, source, keys, names: keys, args, readOnly: false } as const;
  const request = { account: acme, sha: source, parts: [script], transaction: false, read, now, protocol: 2 } as const;
  return new LuaRun({ ...request, compileOnly: false }, commandTable, defaultLimits).perform(machine);
}

const tokens = fc.constantFrom('t', 'u', '5', '\xff', '');
const stored = fc.constantFrom('"t"', '"u"', '5', '"5"', '{"$bytes":"/w=="}', '""');
const reads = fc.record({ value: stored, till: fc.constantFrom(0, now + 1, now + 5000), version: fc.constant(7) });
const state = fc.array(fc.option(reads, { nil: undefined }), { minLength: 1, maxLength: 3 });

for (const [name, known] of Object.entries(knownScripts)) {
  test(`${name}: without Lua as with it, whatever stands under the keys`, () => {
    let compared = 0;
    fc.assert(
      fc.property(state, tokens, fc.constantFrom('1', '5000'), fc.constantFrom('0', '1'), (found, token, ms, mode) => {
        const keys = found.map((_, i) => `k${i}`);
        const args = [token, ms, mode];
        const plan = known(keys, args);
        if (plan === undefined) return;
        compared += 1;
        const read = keys.map((key, i): ScriptKey => ({ key, till: 0, version: 0, ...found[i] }));
        const lua = byLua(inWords[name as keyof typeof inWords], keys, args, read);
        const copy = new ScriptKeys(read, now, defaultLimits);
        const holds = (plan.check ?? []).every((condition) => copy.holds(condition));
        const reply = holds
          ? plan.write(
              plan.ops.map((op) => copy.run(op)),
              writers[2],
            )
          : plan.failed!('precondition_failed', writers[2]);
        assert.equal(reply, lua.reply);
        assert.deepEqual(byKey(copy.effects()), byKey(lua.effects));
      }),
      seeded(300),
    );
    assert.ok(compared > 50, `${compared} compared`);
  });
}

test('arguments that a known script does not take are left to Lua', () => {
  for (const known of Object.values(knownScripts)) {
    assert.equal(known([], ['t', '1', '0']), undefined);
    assert.equal(known(['k'], []), undefined);
  }
  for (const ms of ['0', '-1', '1.5', 'x', '', '01', '9'.repeat(15), '1'.repeat(16)])
    assert.equal(knownScripts.touch(['k'], ['t', ms]), undefined, ms);
});

test('a script is known however it is indented, commented and quoted, and no other is', () => {
  const text = `if redis.call("get",KEYS[1]) == ARGV[1] then return redis.call("del",KEYS[1]) else return 0 end`;
  assert.equal(knownScript('1', text), knownScripts.release);
  const other = `-- releases\n  if redis.call('get', KEYS[1])==ARGV[1]\n\tthen --[[ it\nis ours ]] return redis.call('del', KEYS[1])\n  else\n return 0 end\n`;
  assert.equal(knownScript('2', other), knownScripts.release);
  for (const [i, changed] of [
    text.replace('== ', '~= '),
    text.replace('del', 'get'),
    text.replace('0', '1'),
    text.replace('KEYS[1]', 'KEYS[2]'),
    text.replace('"get"', '"g et"'),
  ].entries())
    assert.equal(knownScript(`other ${i}`, changed), undefined, changed);
  for (const name of Object.values(scriptShas)) assert.ok(name in knownScripts);
});

test('normalising keeps what a script means', () => {
  for (const [source, expected] of [
    ["return 'a  b'", 'return"a  b"'],
    ['return \'say "x"\'', `return'say "x"'`],
    ['return [[ a -- b ]]', 'return[[ a -- b ]]'],
    ['return [==[ ]] ]==] --[==[ ]] x ]==] .. 1', 'return[==[ ]] ]==]..1'],
    ["return 'a\\'  b' -- c", "return'a\\'  b'"],
    ['return t[ 1 ] - - 1', 'return t[1]- -1'],
    ['not a   and\tb', 'not a and b'],
    ['return "open', 'return"open'],
    ['x = 1 --', 'x=1'],
  ] as const)
    assert.equal(normalisedScript(source), expected, source);
});
