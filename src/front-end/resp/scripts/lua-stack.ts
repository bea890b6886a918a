/** The stack of one Lua state. Nothing here calls metamethods: an error outside of a protected call would end Lua. */
/* oxlint-disable no-underscore-dangle -- so the module names what it exports */
import { luaTypes, registry, type LuaModule } from './lua-module.ts';

const slots = 16;

export class LuaStack {
  readonly state: number;
  readonly #lua: LuaModule;
  /** Where Lua writes the length of a text. */
  readonly #length: number;

  constructor(lua: LuaModule, state: number, length: number) {
    this.#lua = lua;
    this.state = state;
    this.#length = length;
  }

  get top(): number {
    return this.#lua._lua_gettop(this.state);
  }

  set top(index: number) {
    this.#lua._lua_settop(this.state, index);
  }

  /** Makes sure of some free slots. @returns false: there is no memory, or the values are nested too deeply */
  reserve(): boolean {
    return this.#lua._lua_checkstack(this.state, slots) !== 0;
  }

  typeAt(index: number): number {
    return this.#lua._lua_type(this.state, index);
  }

  numberAt(index: number): number {
    return this.#lua._lua_tonumber(this.state, index);
  }

  booleanAt(index: number): boolean {
    return this.#lua._lua_toboolean(this.state, index) !== 0;
  }

  /** The value must be a string: a number would become one where it stands. */
  textAt(index: number): string {
    const lua = this.#lua;
    const at = lua._lua_tolstring(this.state, index, this.#length);
    const length = lua.HEAPU32[this.#length >> 2]!;
    return Buffer.from(lua.HEAPU8.buffer, at, length).toString('latin1');
  }

  pushText(text: string): void {
    const lua = this.#lua;
    const at = lua._malloc(text.length + 1);
    if (at === 0) throw new Error('not enough memory');
    Buffer.from(lua.HEAPU8.buffer, at, text.length).write(text, 'latin1');
    lua._lua_pushlstring(this.state, at, text.length);
    lua._free(at);
  }

  pushNumber(value: number): void {
    this.#lua._lua_pushnumber(this.state, value);
  }

  pushBoolean(value: boolean): void {
    this.#lua._lua_pushboolean(this.state, value ? 1 : 0);
  }

  pushNil(): void {
    this.#lua._lua_pushnil(this.state);
  }

  pushNull(): void {
    this.#lua._lua_pushlightuserdata(this.state, 0);
  }

  pushTable(items = 0, members = 0): void {
    this.#lua._lua_createtable(this.state, items, members);
  }

  pushFunction(pointer: number): void {
    this.#lua._lua_pushcclosure(this.state, pointer, 0);
  }

  pushTexts(texts: readonly string[]): void {
    this.pushTable(texts.length);
    texts.forEach((text, i) => {
      this.pushText(text);
      this.setItem(i + 1);
    });
  }

  /** Puts the uppermost value into the table below it. */
  setItem(at: number): void {
    this.#lua._lua_rawseti(this.state, -2, at);
  }

  /** Puts the uppermost value under the one below it into the table below that. */
  setMember(): void {
    this.#lua._lua_rawset(this.state, -3);
  }

  /** Pushes an item of the uppermost table. */
  pushItem(at: number): void {
    this.#lua._lua_rawgeti(this.state, -1, at);
  }

  /** Pushes a member of the uppermost table. */
  pushMember(name: string): void {
    this.pushText(name);
    this.#lua._lua_rawget(this.state, -2);
  }

  /** The member of the uppermost table, if it is a string. */
  textMember(name: string): string | undefined {
    this.pushMember(name);
    const text = this.typeAt(-1) === luaTypes.string ? this.textAt(-1) : undefined;
    this.pop();
    return text;
  }

  /** Replaces the uppermost value, a key of the table below it, by the next key and its value. @returns false: that was the last */
  next(): boolean {
    return this.#lua._lua_next(this.state, -2) !== 0;
  }

  pop(count = 1): void {
    this.#lua._lua_settop(this.state, -1 - count);
  }

  /** Takes the uppermost value off, and keeps it. */
  keep(): number {
    return this.#lua._luaL_ref(this.state, registry);
  }

  pushKept(kept: number): void {
    this.#lua._lua_rawgeti(this.state, registry, kept);
  }

  /** Compiles source. On failure its message is pushed instead. @returns 0: done */
  load(source: string, name: string): number {
    const lua = this.#lua;
    const at = lua._malloc(source.length + name.length + 2);
    if (at === 0) throw new Error('not enough memory');
    const nameAt = at + source.length + 1;
    const memory = Buffer.from(lua.HEAPU8.buffer, at, source.length + name.length + 2);
    memory.write(`${source}\0${name}\0`, 'latin1');
    const result = lua._luaL_loadbuffer(this.state, at, source.length, nameAt);
    lua._free(at);
    return result;
  }

  /** Calls the function below its arguments. An error is pushed instead of results. @returns 0: done */
  call(given: number, results: number): number {
    return this.#lua._lua_pcall(this.state, given, results, 0);
  }

  /** Takes the uppermost table off, and makes it the globals of the function below it. */
  setGlobals(): void {
    this.#lua._lua_setfenv(this.state, -2);
  }
}
