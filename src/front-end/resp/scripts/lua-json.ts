/** `cjson` for scripts: JSON and Lua tables. `null` is a value of its own, so that it can stand in a table. */
import { luaTypes } from './lua-module.ts';
import type { LuaStack } from './lua-stack.ts';

const depthMax = 100;
/** A list may have more places than items by this much; else it is no list. */
const sparseMax = 10;

/** Pushes the value of a text. @returns what is wrong with the text; then nothing is pushed */
export function pushJson(stack: LuaStack, text: string): string | undefined {
  let value: unknown;
  try {
    // A script's text is bytes; what they spell is UTF-8, and stays so.
    value = JSON.parse(text) as unknown;
  } catch (error) {
    return `Expected value but found invalid token: ${error instanceof Error ? error.message : String(error)}`;
  }
  if (depthOf(value) > depthMax) return 'Found too many nested data structures';
  pushValue(stack, value);
  return undefined;
}

function depthOf(value: unknown): number {
  let depth = 0;
  for (let level: unknown[] = [value]; level.length > 0 && depth <= depthMax; depth += 1)
    level = level.flatMap((item) => (typeof item === 'object' && item !== null ? Object.values(item) : []));
  return depth - 1;
}

function pushValue(stack: LuaStack, value: unknown): void {
  stack.reserve();
  if (value === null) return stack.pushNull();
  switch (typeof value) {
    case 'string':
      return stack.pushText(bytesOfParsed(value));
    case 'number':
      return stack.pushNumber(value);
    case 'boolean':
      return stack.pushBoolean(value);
    default:
  }
  if (Array.isArray(value)) {
    stack.pushTable(value.length);
    for (let i = 0; i < value.length; i += 1) {
      pushValue(stack, value[i]);
      stack.setItem(i + 1);
    }
    return;
  }
  stack.pushTable();
  for (const [name, member] of Object.entries(value as object)) {
    stack.pushText(bytesOfParsed(name));
    pushValue(stack, member);
    stack.setMember();
  }
}

/** What an escape has spelled becomes UTF-8, like the rest, which is in bytes already. */
function bytesOfParsed(text: string): string {
  // oxlint-disable-next-line no-control-regex -- it asks for just these
  return text.replaceAll(/[^\0-\xff]+/g, (escaped) => Buffer.from(escaped, 'utf8').toString('latin1'));
}

export class JsonError extends Error {
  override name = 'JsonError';
}

/** Returns the uppermost value as JSON, in bytes. @throws JsonError */
export function jsonOfLua(stack: LuaStack, depth = 0): string {
  if (depth > depthMax || !stack.reserve()) throw new JsonError('Cannot serialise, excessive depth');
  switch (stack.typeAt(-1)) {
    case luaTypes.nil:
    case luaTypes.lightUserdata:
      return 'null';
    case luaTypes.boolean:
      return stack.booleanAt(-1) ? 'true' : 'false';
    case luaTypes.number:
      return jsonOfNumber(stack.numberAt(-1));
    case luaTypes.string:
      return quotedBytes(stack.textAt(-1));
    case luaTypes.table:
      return jsonOfTable(stack, depth);
    default:
      throw new JsonError('Cannot serialise a function or a thread');
  }
}

function jsonOfNumber(value: number): string {
  if (!Number.isFinite(value)) throw new JsonError('Cannot serialise number: must not be NaN or Inf');
  return String(Number(value.toPrecision(14)));
}

function quotedBytes(text: string): string {
  return JSON.stringify(text).replaceAll('/', '\\/');
}

function jsonOfTable(stack: LuaStack, depth: number): string {
  const members: string[] = [];
  const items = new Map<number, string>();
  let last = 0;
  stack.pushNil();
  while (stack.next()) {
    const text = jsonOfLua(stack, depth + 1);
    stack.pop();
    const type = stack.typeAt(-1);
    if (type === luaTypes.number) {
      const at = stack.numberAt(-1);
      if (Number.isInteger(at) && at > 0) last = Math.max(last, at);
      else last = Infinity;
      items.set(at, text);
      members.push(`"${jsonOfNumber(at)}":${text}`);
    } else if (type === luaTypes.string) {
      last = Infinity;
      members.push(`${quotedBytes(stack.textAt(-1))}:${text}`);
    } else throw new JsonError('Cannot serialise table: table key must be a number or string');
  }
  if (members.length === 0 || last === Infinity) return `{${members.join(',')}}`;
  if (last > sparseMax && last > items.size * 2)
    throw new JsonError('Cannot serialise table: excessively sparse array');
  return `[${Array.from({ length: last }, (_, i) => items.get(i + 1) ?? 'null').join(',')}]`;
}
