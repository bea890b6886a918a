/**
 * What the copy of a machine relies on: all state is in the linear memory and the stack pointer, where quickjs-wasi has
 * them. An update that moves one of the two, or adds another, fails here.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { scriptMemoryBytesMax } from '../../src/scripts/script-limits.ts';
import { ScriptMachine } from '../../src/scripts/machine/script-machine.ts';
import { VirtualMachine, type ScriptHost } from '../../src/scripts/machine/virtual-machine.ts';
import { root } from '../docs/server-child.ts';
import { outcomeOf } from './run.ts';

const wasm = fs.readFileSync(fileURLToPath(import.meta.resolve('quickjs-wasi/quickjs.wasm')));
const host: ScriptHost = { now: () => 0, interrupt: () => {}, call: () => undefined };

test('the versions are pinned, since the copy of a machine depends on them', () => {
  const { dependencies } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  assert.deepEqual([dependencies['quickjs-wasi'], dependencies['piscina']], ['3.6.2', '5.3.2']);
});

test('the only state of the module beside its memory is the stack pointer', () => {
  const { WebAssembly: api } = globalThis as unknown as {
    WebAssembly: {
      Module: { new (bytes: Uint8Array): object; exports(module: object): { name: string; kind: string }[] };
    };
  };
  const exported = api.Module.exports(new api.Module(wasm)).filter(({ kind }) => kind !== 'function');
  assert.deepEqual(exported, [
    { name: 'memory', kind: 'memory' },
    { name: '__stack_pointer', kind: 'global' },
    // Of functions; only extensions, of which there are none, add to it.
    { name: '__indirect_function_table', kind: 'table' },
  ]);
  assert.equal(mutableGlobals(wasm), 1);
});

/** Globals that the code may change, exported or not: the sixth section of a module has them. */
function mutableGlobals(module: Uint8Array): number {
  let at = 8;
  const number = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = module[at++]!;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  for (;;) {
    const section = module[at++];
    const size = number();
    const end = at + size;
    if (section === 6) {
      let mutable = 0;
      for (let left = number(); left > 0; left -= 1) {
        at += 1;
        mutable += module[at++]!;
        assert.equal(module[at++], 0x41, 'a global begins as a constant of 32 bits');
        number();
        assert.equal(module[at++], 0x0b);
      }
      return mutable;
    }
    at = end;
  }
}

test('machines have the same bytes, so an image of one is an image of the next', async () => {
  const first = await VirtualMachine.create();
  const second = await VirtualMachine.create(first);
  assert.equal(second.isLike(first), true);
  const source = 'let calls = 0; export default () => (calls += 1)';
  first.load(source, host);
  const image = first.image();
  assert.ok(image.size > 0 && image.size < 200_000, `${image.size} bytes`);
  second.restore(image);
  const args = { args: '{}', seed: 0, now: 0, reads: { entries: {}, counters: {}, lists: [] } };
  assert.deepEqual([second.run(args, host), second.run(args, host)], ['1', '2']);
  second.restore(image);
  assert.equal(second.run(args, host), '1');
});

test('memory that is put back is as it was to the last byte', async () => {
  const machine = await VirtualMachine.create();
  const before = machine.memoryText();
  machine.load('globalThis.kept = [1, 2, 3]; export default () => { Array.prototype.mine = kept; return kept }', host);
  machine.run({ args: '{}', seed: 1, now: 2, reads: { entries: {}, counters: {}, lists: [] } }, host);
  assert.notEqual(machine.memoryText(), before);
  machine.restore(undefined);
  assert.equal(machine.memoryText() === before, true);
});

test('100 machines whose memory has grown leave nothing behind', async () => {
  const machine = new ScriptMachine();
  const source =
    'export default () => { const a = []; for (let i = 0; i < 10; i++) a.push(new Uint8Array(1 << 20)); return a.length }';
  for (let i = 0; i < 100; i += 1) assert.equal((await outcomeOf(machine, source, { cpuMs: 1000 })).kind, 'done');
  const { external } = process.memoryUsage();
  assert.ok(external < 40 * scriptMemoryBytesMax, `${external} bytes`);
});
