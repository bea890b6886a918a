/** Replies on their way into Lua and out of it, as Redis turns one into the other. */
import { replyBytesMax } from '../../../shared/limits.ts';
import { array, bulk, errorOfBytes, errorText, integer, simple, type Writer } from '../writer.ts';
import { luaTypes } from './lua-module.ts';
import type { LuaStack } from './lua-stack.ts';

/** Pushes a finished reply of RESP2. @returns the place behind it */
export function pushReply(stack: LuaStack, reply: string, from = 0): number {
  const end = reply.indexOf('\r\n', from);
  const head = reply.slice(from + 1, end);
  switch (reply[from]) {
    case ':':
      stack.pushNumber(Number(head));
      return end + 2;
    case '+':
      pushMember(stack, 'ok', head);
      return end + 2;
    case '-':
      pushMember(stack, 'err', head);
      return end + 2;
    case '$': {
      const length = Number(head);
      if (length < 0) {
        stack.pushBoolean(false);
        return end + 2;
      }
      stack.pushText(reply.slice(end + 2, end + 2 + length));
      return end + 2 + length + 2;
    }
    default: {
      const length = Number(head);
      if (length < 0) stack.pushBoolean(false);
      else stack.pushTable(length);
      let at = end + 2;
      for (let i = 1; i <= length; i += 1) {
        at = pushReply(stack, reply, at);
        stack.setItem(i);
      }
      return at;
    }
  }
}

function pushMember(stack: LuaStack, name: 'ok' | 'err', text: string): void {
  stack.pushTable(0, 1);
  stack.pushText(name);
  stack.pushText(text);
  stack.setMember();
}

/** A number as an argument of a command: an integer in digits, else 17 digits at most. */
export function argumentOfNumber(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 2 ** 63) return BigInt(value).toString();
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
  return String(Number(value.toPrecision(17)));
}

const depthMax = 100;
/** Items of tables, of all together: each takes some time. */
const itemsMax = 20_000;

/** A script's result as a reply. */
export class ScriptReply {
  readonly #stack: LuaStack;
  readonly #writer: Writer;
  #items = 0;
  #bytes = 0;

  constructor(stack: LuaStack, writer: Writer) {
    this.#stack = stack;
    this.#writer = writer;
  }

  /** Reads the uppermost value. @returns the finished reply, or an error if the value is too large for one */
  read(): string {
    const text = this.#read(0);
    if (this.#items <= itemsMax && this.#bytes <= replyBytesMax) return text;
    return errorText(
      `ERR the result of the script is too large: expected at most ${itemsMax} items and ${replyBytesMax} bytes`,
    );
  }

  #read(depth: number): string {
    const stack = this.#stack;
    switch (stack.typeAt(-1)) {
      case luaTypes.number:
        return integer(toInt64(stack.numberAt(-1)));
      case luaTypes.string: {
        const text = stack.textAt(-1);
        this.#bytes += text.length;
        return bulk(text);
      }
      case luaTypes.boolean:
        return stack.booleanAt(-1) ? integer(1) : this.#writer.nil;
      case luaTypes.table:
        return this.#readTable(depth);
      default:
        return this.#writer.nil;
    }
  }

  #readTable(depth: number): string {
    const stack = this.#stack;
    if (depth > depthMax || !stack.reserve()) return errorText('ERR reached lua stack limit');
    const wrong = stack.textMember('err');
    if (wrong !== undefined) return errorOfBytes(wrong);
    const status = stack.textMember('ok');
    if (status !== undefined) return simple(status.replaceAll(/[\r\n]+/g, ' '));
    const items: string[] = [];
    for (let at = 1; this.#items <= itemsMax && this.#bytes <= replyBytesMax; at += 1) {
      stack.pushItem(at);
      if (stack.typeAt(-1) === luaTypes.nil) {
        stack.pop();
        break;
      }
      this.#items += 1;
      items.push(this.#read(depth + 1));
      stack.pop();
    }
    return array(items);
  }
}

/** As C casts: the part before the point. */
function toInt64(value: number): number {
  return Number.isNaN(value) ? 0 : Math.trunc(value) + 0;
}
