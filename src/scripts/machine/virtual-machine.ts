/**
 * A virtual machine, and its memory as it was before any script. All that a run can change is in its linear memory and
 * its stack pointer: the bytes of both are put back behind each run, so every run begins with the same machine, whoever
 * was there before. A script that has been compiled is the pages in which the memory then differs: an image. So one
 * machine serves all scripts of a thread, and a script takes some 20 KiB.
 *
 * WebAssembly memory never shrinks. A machine whose memory has grown is not used again; the next one has the same bytes.
 */
import { EvalFlags, Intrinsics, JSException, QuickJS, type JSValueHandle } from 'quickjs-wasi';
import { assert } from '../../shared/assert.ts';
import { scriptMemoryBytesMax, scriptStackBytesMax } from '../script-limits.ts';
import { RunEnd, uncaught } from '../tx/run-end.ts';
import { givenText, hear, type HostCalls, type RunGiven } from './host-text.ts';
import { prelude, preludeName } from './prelude.ts';
import { noDefaultExport } from '../script-run.ts';
import { quickJsModule } from './quickjs-module.ts';

/** What the script's side asks of the run under way. */
export interface ScriptHost extends HostCalls {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Called after some ten thousand steps. What it throws ends the run. */
  interrupt(): void;
}

/** Bytes of the memory that differ from those of an empty machine. */
export interface ScriptImage {
  readonly pages: readonly { readonly at: number; readonly bytes: Uint8Array }[];
  readonly size: number;
}

/** Parts of quickjs-wasi that are not public, and hold all state of a machine. A test notices when an update moves them. */
interface Internals {
  readonly exports: { readonly memory: WebAssembly.Memory; readonly [stackPointer]: WebAssembly.Global };
}

const stackPointer = '__stack_pointer';

const pageBytes = 1024;
/** Names of modules: the script, and what imports it. */
export const scriptName = 'script';
const runnerName = '<run>';
/** Throws before the script is evaluated, but behind its compilation and the look for what is imported of it. */
const haltName = '<halt>';

const loader = `import entry from '${scriptName}'; export default entry;`;
const checker = `import '${haltName}'; import entry from '${scriptName}';`;
const halt = 'throw 0;';

// Without clocks, and without what shows when garbage is collected.
const intrinsics = (Intrinsics.ALL & ~Intrinsics.PERFORMANCE & ~Intrinsics.WEAK_REF) >>> 0;

export class VirtualMachine {
  readonly #vm: QuickJS;
  readonly #take: JSValueHandle;
  readonly #start: JSValueHandle;
  readonly #run: JSValueHandle;
  readonly #base: Uint8Array;
  /** With nothing on the stack: what is below are bytes of frames that have ended. */
  readonly #stackPointer: number;
  readonly #slot: Slot;
  #holdsValue = false;

  /** @param like whose bytes are kept in place of equal ones of the new machine: images of one are images of the other */
  static async create(like?: VirtualMachine): Promise<VirtualMachine> {
    const slot: Slot = { host: idle, source: '', imported: undefined };
    const vm = await QuickJS.create({
      wasm: quickJsModule(),
      memoryLimit: scriptMemoryBytesMax,
      maxStackSize: scriptStackBytesMax,
      timezoneOffset: 0,
      intrinsics,
      interruptHandler: () => {
        slot.host.interrupt();
        return false;
      },
      moduleLoader: { normalize: (from, name) => allowed(from, name, slot), load: (name) => loaded(name, slot.source) },
      wasi: (memory) => wasiOf(memory, slot),
    });
    return new VirtualMachine(vm, slot, like);
  }

  private constructor(vm: QuickJS, slot: Slot, like: VirtualMachine | undefined) {
    this.#vm = vm;
    this.#slot = slot;
    const host = vm.newFunction('host', (text) => {
      try {
        const answer = hear(text.toString(), slot.host);
        return answer === undefined ? vm.undefined : vm.newString(answer);
      } catch (thrown) {
        // oxlint-disable-next-line no-throw-literal
        throw thrown instanceof RunEnd ? uncaught(thrown) : thrown;
      }
    });
    const setUp = vm.evalCode(prelude, preludeName);
    const members = vm.callFunction(setUp, vm.undefined, host);
    this.#take = members.getProp('take');
    this.#start = members.getProp('start');
    this.#run = members.getProp('run');
    const base = this.#memory.slice();
    this.#base = like !== undefined && Buffer.compare(like.#base, base) === 0 ? like.#base : base;
    this.#stackPointer = this.#internals.exports[stackPointer].value as number;
  }

  get #internals(): Internals {
    return this.#vm as unknown as Internals;
  }

  get #memory(): Uint8Array {
    return new Uint8Array(this.#internals.exports.memory.buffer);
  }

  get baseBytes(): number {
    return this.#base.length;
  }

  /** Whether images of that machine may be put into this one. */
  isLike(other: VirtualMachine): boolean {
    return this.#base === other.#base;
  }

  /** Its memory has grown, or quickjs-wasi keeps a value of it, for which there is no way back. */
  get isSpent(): boolean {
    return this.#holdsValue || this.#memory.length !== this.#base.length;
  }

  memoryText(): string {
    return Buffer.from(this.#memory).toString('latin1');
  }

  /**
   * Makes the machine what it was when the image was taken, or before any script.
   *
   * @param part `heap` leaves what is below the stack pointer, three quarters of the memory, which no code reads: enough
   * between two runs of one script, whose account is the same
   */
  restore(image: ScriptImage | undefined, part: 'all' | 'heap' = 'all'): void {
    assert(!this.isSpent, 'a machine without a way back is thrown away');
    const memory = this.#memory;
    const from = part === 'all' ? 0 : this.#stackPointer;
    memory.set(this.#base.subarray(from), from);
    for (const { at, bytes } of image?.pages ?? []) memory.set(bytes, at);
    this.#internals.exports[stackPointer].value = this.#stackPointer;
    this.#slot.host = idle;
  }

  image(): ScriptImage {
    const memory = this.#memory;
    const pages: { at: number; bytes: Uint8Array }[] = [];
    let size = 0;
    for (let at = 0; at < memory.length; at += pageBytes) {
      const from = at;
      while (at < memory.length && this.#differs(memory, at)) at += pageBytes;
      if (at === from) continue;
      pages.push({ at: from, bytes: memory.slice(from, at) });
      size += at - from;
    }
    return { pages, size };
  }

  #differs(memory: Uint8Array, at: number): boolean {
    const end = at + pageBytes;
    return Buffer.compare(memory.subarray(at, end), this.#base.subarray(at, end)) !== 0;
  }

  /** Compiles a script and evaluates its module. The host hears `loaded`, or `fault`. */
  load(source: string, host: ScriptHost): void {
    this.#slot.host = host;
    this.#slot.source = source;
    this.#slot.imported = undefined;
    // For what the module does at its top level: it is the same for each run, so it is of no run.
    this.#vm.callFunction(this.#start, this.#vm.undefined, this.#vm.newNumber(0), this.#vm.newNumber(host.now()));
    this.#evaluate(loader);
  }

  /** Compiles a script, and does not evaluate it. The host hears `fault`, with the name `halt` if all is well. */
  check(source: string, host: ScriptHost): void {
    this.#slot.host = host;
    this.#slot.source = source;
    this.#slot.imported = undefined;
    this.#evaluate(checker);
  }

  #evaluate(module: string): void {
    try {
      const promise = this.#vm.evalCode(module, runnerName, EvalFlags.TYPE_MODULE);
      this.#vm.callFunction(this.#take, this.#vm.undefined, promise);
      this.#vm.executePendingJobs();
    } catch (thrown) {
      // Of the compiler: nothing of the script has been evaluated.
      if (!(thrown instanceof JSException)) throw thrown;
      this.#holdsValue = true;
      const message = this.#slot.imported ?? missing(thrown.message);
      this.#slot.host.call('fault', 'SyntaxError', message, thrown.stack ?? '');
    }
  }

  /** @returns the result as JSON text; undefined: the host has heard `fault` */
  run(run: RunGiven, host: ScriptHost): string | undefined {
    const vm = this.#vm;
    this.#slot.host = host;
    const result = vm.callFunction(this.#run, vm.undefined, vm.newString(givenText(run)));
    return result.isUndefined ? undefined : hear(result.toString(), host);
  }
}

/** What the callbacks of a machine read, since they are made before it. */
interface Slot {
  host: ScriptHost;
  source: string;
  /** What is wrong with an import. */
  imported: string | undefined;
}

const idle: ScriptHost = { now: () => 0, interrupt: () => {}, call: () => undefined };

function allowed(from: string, name: string, slot: Slot): string {
  if (from === runnerName) return name;
  slot.imported = `The script imports ${JSON.stringify(name.slice(0, 80))}; expected all of it in one piece`;
  // As text: of an Error the stack, with paths of this computer, would be copied.
  // oxlint-disable-next-line no-throw-literal
  throw slot.imported;
}

/** The words of QuickJS for a module without a default export, in the words of those who write it. */
function missing(message: string): string {
  return message.includes("Could not find export 'default'") ? noDefaultExport : message;
}

function loaded(name: string, source: string): string {
  return name === haltName ? halt : source;
}

/** The time is the run's, and so is what is random. Nothing is written anywhere. */
function wasiOf(memory: WebAssembly.Memory, slot: Slot): Record<string, (...args: never[]) => number> {
  const notPossible = 8;
  return {
    clock_time_get: (_clock: number, _precision: bigint, at: number) => {
      new DataView(memory.buffer).setBigUint64(at, BigInt(slot.host.now()) * 1_000_000n, true);
      return 0;
    },
    random_get: (at: number, length: number) => {
      new Uint8Array(memory.buffer, at, length).fill(1);
      return 0;
    },
    fd_write: () => notPossible,
  };
}
