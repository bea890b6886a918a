/** One run of a script on a copy of its keys: does its commands, and says what it comes to. */
import type { Limits } from '../../../shared/limits.ts';
import type { Plan, RespClient } from '../command.ts';
import { failureText, RespError } from '../resp-error.ts';
import { errorText, writers } from '../writer.ts';
import type { LuaMachine } from './lua-machine.ts';
import { headerOf } from './script-header.ts';
import { ScriptKeys } from './script-keys.ts';
import type { ScriptRequest, ScriptResult } from './script-messages.ts';

/** What a script needs to know of a command. */
export interface ScriptCommand {
  readonly group: string;
  readonly arity: number;
  readonly flags: readonly string[];
  readonly plan: (args: readonly string[], client: RespClient) => Plan;
}
export type ScriptCommands = ReadonlyMap<string, ScriptCommand>;

/** Runs a script. Neither changes nor asks anything. */
export class LuaRun {
  readonly #request: ScriptRequest;
  readonly #commands: ScriptCommands;
  readonly #keys: ScriptKeys;
  readonly #client: RespClient;
  readonly #readOnly: boolean;

  constructor(request: ScriptRequest, commands: ScriptCommands, limits: Limits) {
    this.#request = request;
    this.#commands = commands;
    this.#keys = new ScriptKeys(request.read, request.now, limits);
    this.#client = clientOf(request, limits);
    this.#readOnly = request.readOnly || headerOf(request.source).readOnly === true;
  }

  perform(machine: LuaMachine): ScriptResult {
    const { account, sha, source, keys, args, protocol, compileOnly } = this.#request;
    const call = (command: readonly string[]): string => this.#call(command);
    const reply = machine.run({ account, sha, source, keys, args, writer: writers[protocol], call, compileOnly });
    const { failure } = this.#keys;
    if (failure !== undefined) return { reply: failureText(failure.code, failure.message), effects: [] };
    return { reply, effects: this.#keys.effects() };
  }

  #call(args: readonly string[]): string {
    const name = args[0]!.toLowerCase();
    const spec = this.#commands.get(name);
    if (spec === undefined) return errorText('ERR Unknown Redis command called from script');
    const { arity, flags } = spec;
    if (arity >= 0 ? args.length !== arity : args.length < -arity)
      return errorText('ERR Wrong number of args calling Redis command from script');
    if (flags.includes('noscript') || !(groups.has(spec.group) || others.has(name))) return errorText(notAllowed);
    if (this.#readOnly && flags.includes('write'))
      return errorText('ERR Write commands are not allowed from read-only scripts.');
    try {
      return this.#perform(spec.plan(args, this.#client));
    } catch (error) {
      if (!(error instanceof RespError)) throw error;
      return errorText(error.message);
    }
  }

  #perform(plan: Plan): string {
    if (plan.kind === 'text') return plan.text;
    if (plan.kind !== 'ops' || plan.guard !== undefined || plan.idempotency !== undefined) return errorText(notAllowed);
    const { ops, check = [], write, failed } = plan;
    const strange = [...ops, ...check].find(({ key }) => !this.#keys.knows(key));
    if (strange !== undefined)
      return errorText(
        `ERR Script attempted to access the key ${JSON.stringify(strange.key)}, which is not among its KEYS`,
      );
    for (const condition of check) {
      if (this.#keys.holds(condition)) continue;
      const code = condition.version === undefined ? 'precondition_failed' : 'version_mismatch';
      return failed?.(code, writers[2]) ?? failureText(code, 'a condition does not hold');
    }
    const results = ops.map((op) => this.#keys.run(op));
    return write(results, writers[2]);
  }
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
