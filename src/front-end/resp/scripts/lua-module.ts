/**
 * Lua 5.1 as WebAssembly: the functions of its C API that scripts need, and texts between the two memories. A text is
 * bytes in Lua, and one character a byte (latin1) here.
 */
import { LuaApi } from 'wasmoon-lua5.1';

/** A pointer, or an index of the stack. */
type Int = number;

export interface LuaModule {
  readonly HEAPU8: Uint8Array<ArrayBuffer>;
  readonly HEAPU32: Uint32Array<ArrayBuffer>;
  addFunction(run: (state: Int, record: Int) => number | void, signature: string): Int;
  _malloc(bytes: number): Int;
  _free(pointer: Int): void;
  _luaL_newstate(): Int;
  _luaL_openlibs(state: Int): void;
  _luaL_loadbuffer(state: Int, text: Int, bytes: number, name: Int): number;
  _luaL_ref(state: Int, table: Int): Int;
  _lua_close(state: Int): void;
  _lua_checkstack(state: Int, slots: number): number;
  _lua_createtable(state: Int, items: number, members: number): void;
  _lua_error(state: Int): number;
  _lua_gc(state: Int, what: number, data: number): number;
  _lua_gettop(state: Int): Int;
  _lua_insert(state: Int, index: Int): void;
  _lua_next(state: Int, index: Int): number;
  _lua_objlen(state: Int, index: Int): number;
  _lua_pcall(state: Int, given: number, results: number, handler: Int): number;
  _lua_pushboolean(state: Int, value: number): void;
  _lua_pushcclosure(state: Int, run: Int, values: number): void;
  _lua_pushlightuserdata(state: Int, pointer: Int): void;
  _lua_pushlstring(state: Int, text: Int, bytes: number): void;
  _lua_pushnil(state: Int): void;
  _lua_pushnumber(state: Int, value: number): void;
  _lua_pushvalue(state: Int, index: Int): void;
  _lua_rawget(state: Int, index: Int): void;
  _lua_rawgeti(state: Int, index: Int, at: number): void;
  _lua_rawset(state: Int, index: Int): void;
  _lua_rawseti(state: Int, index: Int, at: number): void;
  _lua_setfenv(state: Int, index: Int): number;
  _lua_sethook(state: Int, hook: Int, mask: number, count: number): void;
  _lua_settop(state: Int, index: Int): void;
  _lua_toboolean(state: Int, index: Int): number;
  _lua_tolstring(state: Int, index: Int, length: Int): Int;
  _lua_tonumber(state: Int, index: Int): number;
  _lua_touserdata(state: Int, index: Int): Int;
  _lua_type(state: Int, index: Int): number;
}

export const luaTypes = {
  nil: 0,
  boolean: 1,
  lightUserdata: 2,
  number: 3,
  string: 4,
  table: 5,
} as const;
export const registry = -10000;
/** What `lua_pcall` and its like return. */
export const outOfMemory = 4;

export async function loadLua(): Promise<LuaModule> {
  const { module } = await LuaApi.initialize();
  return module;
}

interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}
const pageBytes = 65_536;

/** Bounds the memory that any WebAssembly of this thread grows to. Beyond it Lua says "not enough memory". */
export function boundMemory(bytesMax: number): void {
  const { WebAssembly } = globalThis as unknown as { WebAssembly: { Memory: { prototype: WasmMemory } } };
  const { prototype } = WebAssembly.Memory;
  const grow: WasmMemory['grow'] = Reflect.get(prototype, 'grow');
  prototype.grow = function (this: WasmMemory, pages: number): number {
    if (this.buffer.byteLength + pages * pageBytes > bytesMax) throw new RangeError('scripts use too much memory');
    return grow.call(this, pages);
  };
}
