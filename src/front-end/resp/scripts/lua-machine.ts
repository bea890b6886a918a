/**
 * Runs scripts, one at a time. Each account has a Lua state of its own, which no script of another account can reach;
 * they share the memory of one WebAssembly instance, which has a limit. A script ends after `stepsMax` steps: a hook of
 * Lua counts them, and what JavaScript does for a script costs steps too. The hook does not see a function of Lua's
 * library that takes for ever; for that the front end ends the thread.
 *
 * After a script that ran too long or out of memory its state is thrown away.
 */
/* oxlint-disable no-underscore-dangle -- so the module names what it exports */
import { createHash } from 'node:crypto';
import { assert } from '../../../shared/assert.ts';
import { errorOfBytes, errorText, type Writer } from '../writer.ts';
import { jsonOfLua, JsonError, pushJson } from './lua-json.ts';
import { luaTypes, outOfMemory, type LuaModule } from './lua-module.ts';
import { preludeSource } from './lua-prelude.ts';
import { argumentOfNumber, pushReply, ScriptReply } from './lua-replies.ts';
import { LuaStack } from './lua-stack.ts';
import { headerOf } from './script-header.ts';

/** Instructions of Lua: some ten milliseconds. */
export const stepsMax = 1_000_000;
const stepsOfHook = 1000;
/** A call of a command takes about as long. */
const stepsOfCall = 300;
const statesMax = 32;
const functionsMax = 200;
/** Kilobytes of a state that is kept after a script. */
const keptKbMax = 4096;
const countMask = 8;
const gcCollect = 2;
const gcCount = 3;

export interface LuaScript {
  readonly account: string;
  /** SHA-1 of the source, in hex. */
  readonly sha: string;
  /** Bytes. */
  readonly source: string;
  readonly keys: readonly string[];
  readonly args: readonly string[];
  readonly writer: Writer;
  /** Only its source is looked at. */
  readonly compileOnly: boolean;
  /** Those that the scripts before it in its transaction have done. */
  readonly steps: number;
  /** Does a command for the script. @returns the finished reply, in RESP2 */
  readonly call: (args: readonly string[]) => string;
}

/** Lua of one account. */
interface State {
  readonly stack: LuaStack;
  /** Makes the globals of one run. */
  readonly globals: number;
  readonly functions: Map<string, number>;
}

interface Run {
  readonly stack: LuaStack;
  readonly script: LuaScript;
  steps: number;
  tooLong: boolean;
}

const tooLong = 'script ran too long: it was ended, and nothing was done';

export class LuaMachine {
  readonly #lua: LuaModule;
  /** Least recently used first. */
  readonly #states = new Map<string, State>();
  readonly #length: number;
  readonly #hook: number;
  readonly #functions: readonly number[];
  #run: Run | undefined;
  /** That the last script has done, with those before it. */
  steps = 0;
  /** The last script was ended, and must not have done anything. */
  wasTooLong = false;

  constructor(lua: LuaModule) {
    this.#lua = lua;
    this.#length = lua._malloc(4);
    this.#hook = lua.addFunction((state) => this.#count(state), 'vii');
    this.#functions = [
      this.#function((run) => this.#call(run)),
      this.#function((run) => this.#sha1hex(run)),
      this.#function((run) => this.#encode(run)),
      this.#function((run) => this.#decode(run)),
    ];
  }

  /** Bytes of the memory that all states share. It never shrinks. */
  get memoryBytes(): number {
    return this.#lua.HEAPU8.length;
  }

  /** @returns the finished reply, which is an error if the script has failed */
  run(script: LuaScript): string {
    const state = this.#stateOf(script.account);
    const { stack } = state;
    const run: Run = { stack, script, steps: script.steps, tooLong: false };
    this.#run = run;
    try {
      return this.#perform(state, run);
    } finally {
      this.#run = undefined;
      this.steps = run.steps;
      this.wasTooLong = run.tooLong;
      this.#lua._lua_sethook(stack.state, 0, 0, 0);
      stack.top = 0;
      if (run.tooLong || this.#lua._lua_gc(stack.state, gcCount, 0) > keptKbMax)
        this.#shrink(script.account, run.tooLong);
    }
  }

  #perform(state: State, { stack, script }: Run): string {
    const { sha, source, keys, args, writer } = script;
    let chunk = state.functions.get(sha);
    if (chunk === undefined) {
      if (source.startsWith('\x1b')) return errorText('ERR Error compiling script: expected source, not bytecode');
      const { wrong, body } = headerOf(source);
      if (wrong !== undefined) return errorOfBytes(`ERR ${wrong}`);
      if (stack.load(body, '@user_script') !== 0)
        return errorOfBytes(`ERR Error compiling script (new function): ${stack.textAt(-1)}`);
      chunk = stack.keep();
      if (state.functions.size >= functionsMax) return this.#forget(script);
      state.functions.set(sha, chunk);
    }
    if (script.compileOnly) return '';
    stack.pushKept(chunk);
    stack.pushKept(state.globals);
    stack.pushTexts(keys);
    stack.pushTexts(args);
    if (stack.call(2, 1) !== 0) return this.#failed(stack, sha);
    stack.setGlobals();
    this.#lua._lua_sethook(stack.state, this.#hook, countMask, stepsOfHook);
    const result = stack.call(0, 1);
    this.#lua._lua_sethook(stack.state, 0, 0, 0);
    if (result === 0) return new ScriptReply(stack, writer).read();
    if (result === outOfMemory) this.#run!.tooLong = true;
    return this.#failed(stack, sha);
  }

  /** The error that lies uppermost, as a reply. */
  #failed(stack: LuaStack, sha: string): string {
    if (this.#run!.tooLong && stack.typeAt(-1) !== luaTypes.string) return errorText(`ERR ${tooLong} script: ${sha}`);
    const type = stack.typeAt(-1);
    if (type === luaTypes.string) return errorOfBytes(`ERR ${stack.textAt(-1)} script: ${sha}`);
    const wrong = type === luaTypes.table ? stack.textMember('err') : undefined;
    return errorOfBytes(wrong === undefined ? `ERR unknown error script: ${sha}` : `${wrong} script: ${sha}`);
  }

  /** Begins with a fresh state: this one has compiled too many scripts. */
  #forget(script: LuaScript): string {
    this.#close(script.account);
    return this.run(script);
  }

  #stateOf(account: string): State {
    let state = this.#states.get(account);
    this.#states.delete(account);
    state ??= this.#newState();
    this.#states.set(account, state);
    if (this.#states.size > statesMax) this.#close(this.#states.keys().next().value!);
    return state;
  }

  #newState(): State {
    const pointer = this.#lua._luaL_newstate();
    if (pointer === 0) throw new Error('not enough memory');
    this.#lua._luaL_openlibs(pointer);
    const stack = new LuaStack(this.#lua, pointer, this.#length);
    assert(stack.load(preludeSource, '=prelude') === 0, 'the prelude of scripts is correct');
    for (const pushed of this.#functions) stack.pushFunction(pushed);
    const failed = stack.call(this.#functions.length, 1) !== 0;
    assert(!failed, 'the prelude of scripts runs');
    return { stack, globals: stack.keep(), functions: new Map() };
  }

  #shrink(account: string, isBroken: boolean): void {
    const { state } = this.#states.get(account)!.stack;
    if (!isBroken) this.#lua._lua_gc(state, gcCollect, 0);
    if (isBroken || this.#lua._lua_gc(state, gcCount, 0) > keptKbMax) this.#close(account);
  }

  #close(account: string): void {
    const state = this.#states.get(account);
    this.#states.delete(account);
    if (state !== undefined) this.#lua._lua_close(state.stack.state);
  }

  /** Makes a function of Lua. It returns what `body` has pushed, and never throws through Lua. */
  #function(body: (run: Run) => number): number {
    return this.#lua.addFunction((pointer) => {
      const run = this.#run;
      // A coroutine has a stack of its own; the prelude asks for null when there is no run.
      const stack = new LuaStack(this.#lua, pointer, this.#length);
      const script = run?.script ?? noScript;
      const own: Run = { stack, script, steps: 0, tooLong: false };
      const pushed = body(own);
      if (run !== undefined) this.#spend(run, own.steps);
      return pushed;
    }, 'ii');
  }

  #spend(run: Run, steps: number): void {
    run.steps += steps;
    // From here on the next step of the script ends it, wherever it catches errors.
    if (run.steps > stepsMax) this.#lua._lua_sethook(run.stack.state, this.#hook, countMask, 1);
  }

  /** @param state that of the script, or of a coroutine */
  #count(state: number): void {
    const run = this.#run;
    if (run === undefined) return;
    run.steps += stepsOfHook;
    if (run.steps <= stepsMax) return;
    run.tooLong = true;
    for (const hooked of [run.stack.state, state]) this.#lua._lua_sethook(hooked, this.#hook, countMask, 1);
    new LuaStack(this.#lua, state, this.#length).pushText(tooLong);
    this.#lua._lua_error(state);
  }

  #call(own: Run): number {
    const { stack, script } = own;
    own.steps += stepsOfCall;
    const args: string[] = [];
    for (let at = 1; at <= stack.top; at += 1) {
      const type = stack.typeAt(at);
      if (type !== luaTypes.string && type !== luaTypes.number)
        return fail(stack, 'ERR Lua redis lib command arguments must be strings or integers');
      args.push(type === luaTypes.string ? stack.textAt(at) : argumentOfNumber(stack.numberAt(at)));
    }
    if (args.length === 0) return fail(stack, 'ERR Please specify at least one argument for this redis.call()');
    const reply = script.call(args);
    own.steps += Math.floor(reply.length / 100);
    stack.pushBoolean(!reply.startsWith('-'));
    pushReply(stack, reply);
    return 2;
  }

  #sha1hex({ stack }: Run): number {
    const type = stack.typeAt(1);
    const text =
      type === luaTypes.string ? stack.textAt(1) : type === luaTypes.number ? argumentOfNumber(stack.numberAt(1)) : '';
    stack.pushText(createHash('sha1').update(text, 'latin1').digest('hex'));
    return 1;
  }

  #encode(own: Run): number {
    const { stack } = own;
    stack.top = 1;
    try {
      const text = jsonOfLua(stack);
      own.steps += Math.floor(text.length / 10);
      stack.pushBoolean(true);
      stack.pushText(text);
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      stack.top = 1;
      stack.pushBoolean(false);
      stack.pushText(error.message);
    }
    return 2;
  }

  #decode(own: Run): number {
    const { stack } = own;
    const text = stack.typeAt(1) === luaTypes.string ? stack.textAt(1) : '';
    own.steps += Math.floor(text.length / 10);
    const wrong = pushJson(stack, text);
    if (wrong === undefined) return 1;
    stack.pushNil();
    stack.pushText(wrong);
    return 2;
  }
}

const noScript: LuaScript = {
  account: '',
  sha: '',
  source: '',
  keys: [],
  args: [],
  writer: undefined as never,
  compileOnly: false,
  steps: 0,
  call: () => '-ERR there is no script\r\n',
};

function fail(stack: LuaStack, message: string): number {
  stack.pushBoolean(false);
  pushReply(stack, errorText(message));
  return 2;
}
