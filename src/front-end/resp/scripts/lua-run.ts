/** One run of a script, or of a transaction with scripts, on a copy of its keys: does it, and says what it comes to. */
import type { Limits } from '../../../shared/limits.ts';
import type { Plan, RespClient } from '../command.ts';
import { failureText, RespError } from '../resp-error.ts';
import { array, errorText, writers, type Writer } from '../writer.ts';
import type { LuaMachine } from './lua-machine.ts';
import { headerOf } from './script-header.ts';
import { ScriptKeys } from './script-keys.ts';
import type { ScriptPart, ScriptRequest, ScriptResult } from './script-messages.ts';

/** What a script needs to know of a command. */
export interface ScriptCommand {
  readonly group: string;
  readonly arity: number;
  readonly flags: readonly string[];
  readonly plan: (args: readonly string[], client: RespClient) => Plan;
}
export type ScriptCommands = ReadonlyMap<string, ScriptCommand>;

/** Does the parts of a run, one after the other. Neither changes nor asks anything. */
export class LuaRun {
  readonly #request: ScriptRequest;
  readonly #commands: ScriptCommands;
  readonly #keys: ScriptKeys;
  readonly #client: RespClient;

  constructor(request: ScriptRequest, commands: ScriptCommands, limits: Limits) {
    this.#request = request;
    this.#commands = commands;
    this.#keys = new ScriptKeys(request.read, request.now, limits);
    this.#client = clientOf(request, limits);
  }

  perform(machine: LuaMachine): ScriptResult {
    const { parts, transaction } = this.#request;
    const replies: string[] = [];
    // The scripts of one run share the steps that one has.
    let steps = 0;
    for (const part of parts) {
      const reply = this.#part(part, machine, steps);
      if (part.kind === 'script') ({ steps } = machine);
      if (part.kind === 'script' && machine.wasTooLong) return { reply, effects: [] };
      replies.push(reply);
    }
    const { failure } = this.#keys;
    if (failure !== undefined) return { reply: failureText(failure.code, failure.message), effects: [] };
    return { reply: transaction ? array(replies) : replies[0]!, effects: this.#keys.effects() };
  }

  #part(part: ScriptPart, machine: LuaMachine, steps: number): string {
    if (part.kind === 'text') return part.text;
    const writer = writers[this.#request.protocol];
    // The door has looked at it: it is one that may stand in a transaction.
    if (part.kind === 'command')
      return this.#planned(this.#commands.get(part.args[0]!.toLowerCase())!, part.args, { writer });
    const { sha, source, names: keys, args } = part;
    const { account, compileOnly } = this.#request;
    const readOnly = part.readOnly || headerOf(source).readOnly === true;
    const own = new Set(part.keys);
    const call = (command: readonly string[]): string => this.#call(command, { own, readOnly });
    return machine.run({ account, sha, source, keys, args, writer, call, compileOnly, steps });
  }

  #call(args: readonly string[], script: { readonly own: ReadonlySet<string>; readonly readOnly: boolean }): string {
    const name = args[0]!.toLowerCase();
    const spec = this.#commands.get(name);
    if (spec === undefined) return errorText('ERR Unknown Redis command called from script');
    const { arity, flags } = spec;
    if (arity >= 0 ? args.length !== arity : args.length < -arity)
      return errorText('ERR Wrong number of args calling Redis command from script');
    if (flags.includes('noscript') || !(groups.has(spec.group) || others.has(name))) return errorText(notAllowed);
    if (script.readOnly && flags.includes('write'))
      return errorText('ERR Write commands are not allowed from read-only scripts.');
    return this.#planned(spec, args, { writer: writers[2], own: script.own });
  }

  #planned(spec: ScriptCommand, args: readonly string[], how: Performing): string {
    try {
      return this.#perform(spec.plan(args, this.#client), how);
    } catch (error) {
      if (!(error instanceof RespError)) throw error;
      return errorText(error.message);
    }
  }

  #perform(plan: Plan, { writer, own }: Performing): string {
    if (plan.kind === 'text') return plan.text;
    if (plan.kind !== 'ops' || plan.guard !== undefined || plan.idempotency !== undefined) return errorText(notAllowed);
    const { ops, check = [], write, failed } = plan;
    const strange = own === undefined ? undefined : [...ops, ...check].find(({ key }) => !own.has(key));
    if (strange !== undefined)
      return errorText(
        `ERR Script attempted to access the key ${JSON.stringify(strange.key)}, which is not among its KEYS`,
      );
    for (const condition of check) {
      if (this.#keys.holds(condition)) continue;
      const code = condition.version === undefined ? 'precondition_failed' : 'version_mismatch';
      return failed?.(code, writer) ?? failureText(code, 'a condition does not hold');
    }
    const results = ops.map((op) => this.#keys.run(op));
    return write(results, writer);
  }
}

interface Performing {
  readonly writer: Writer;
  /** The keys that it may use; absent: all that were read, which are those of the transaction. */
  readonly own?: ReadonlySet<string>;
}

/** Commands that work on the copy of keys. */
const groups: ReadonlySet<string> = new Set(['string', 'generic']);
const others: ReadonlySet<string> = new Set(['ping', 'echo', 'time']);

const notAllowed = 'ERR This Redis command is not allowed from script';

/** What plans of commands that only read and write keys ask of a client. */
function clientOf({ account, now }: ScriptRequest, limits: Limits): RespClient {
  const context = { limits, serverTime: () => now };
  const subscriptions = { count: 0 };
  return { account, writer: writers[2], context, subscriptions, disconnected: false } as unknown as RespClient;
}
