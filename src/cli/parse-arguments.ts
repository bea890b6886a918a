/**
 * Arguments to a command of the table and its options. Global options may stand anywhere before `--`; after it,
 * everything is an argument. Options are written `--name value`, `--name=value`, `-n value`, `-nvalue`; letters without
 * a value may be joined. Negative numbers and a single `-` are arguments.
 */
import { nearestName } from '../shared/closest-name.ts';
import type { CommandSpec, OptionSpec, Parsed } from './command-spec.ts';
import { globalOptions, program } from './commands.ts';
import { UsageError } from './exit-codes.ts';
import type { Options } from './invocation.ts';

export interface ParsedCommand extends Parsed {
  /** From the program down to the command. */
  readonly path: readonly CommandSpec[];
  readonly globals: Options;
}

/**
 * @param words without node and script @param onGlobals is told of the global options as they are found, so that an
 * error is reported as they say
 * @throws UsageError
 */
export function parseArguments(words: readonly string[], onGlobals: (options: Options) => void): ParsedCommand {
  const path: CommandSpec[] = [program];
  const globals: Record<string, string | true> = {};
  onGlobals(globals);
  const options: Record<string, string | true> = {};
  const args: string[] = [];
  const dashes = words.indexOf('--');
  const before = dashes < 0 ? words : words.slice(0, dashes);
  for (let i = 0; i < before.length; i += 1) {
    const word = before[i]!;
    const command = path.at(-1)!;
    if (!isOption(word)) {
      const next = args.length === 0 ? command.commands?.find(({ name }) => name === word) : undefined;
      if (next !== undefined) path.push(next);
      else if (command.commands === undefined || command.load !== undefined || wantsHelp(path, before)) args.push(word);
      else throw new UsageError(`unknown command '${word}'${meant(word, visible(command))}`);
      continue;
    }
    for (const { name, value } of optionsIn(word)) {
      const found = findOption(name, command);
      if (found === undefined) {
        if (command.passesOptions) {
          args.push(word);
          break;
        }
        const names = [...(command.options ?? []), ...globalOptions].map(({ long }) => `--${long}`);
        throw new UsageError(`unknown option '${name}'${meant(name, names)}`);
      }
      const { option, into } = { option: found, into: isGlobal(found) ? globals : options };
      if (option.value === undefined) {
        if (value !== undefined && name.startsWith('--')) throw new UsageError(`option '${name}' takes no value`);
        into[option.long] = true;
        continue;
      }
      if (value === undefined) i += 1;
      const given = value ?? before[i];
      if (given === undefined) throw new UsageError(`option '${name} <${option.value}>' argument missing`);
      into[option.long] = given;
      break;
    }
  }
  const afterDashes = dashes < 0 ? undefined : words.slice(dashes + 1);
  return { path, globals, options, args: [...args, ...(afterDashes ?? [])], afterDashes };
}

/** @throws UsageError if arguments or options are missing, or are too many */
export function requireArguments({ path, args, options }: ParsedCommand): void {
  const { args: expected = [], options: declared = [] } = path.at(-1)!;
  const missing = expected.find(({ optional }, i) => !optional && i >= args.length);
  if (missing !== undefined) throw new UsageError(`missing required argument '${missing.name}'`);
  if (args.length > expected.length && !expected.at(-1)?.rest) {
    throw new UsageError(`too many arguments: expected ${expected.length}, got ${args.length}`);
  }
  const needed = declared.find(({ required, long }) => required && options[long] === undefined);
  if (needed !== undefined) throw new UsageError(`required option '--${needed.long} <${needed.value}>' not specified`);
}

/** The option that `word` (`--name` or `-n`) means at this command. */
export function findOption(word: string, { options = [] }: CommandSpec): OptionSpec | undefined {
  const all: readonly OptionSpec[] = [...options, ...globalOptions];
  return all.find(({ long, short }) => word === `--${long}` || word === `-${short}`);
}

export function isGlobal(option: OptionSpec): boolean {
  return (globalOptions as readonly OptionSpec[]).includes(option);
}

export function isOption(word: string): boolean {
  return /^-[^\d]/.test(word);
}

export function visible({ commands = [] }: CommandSpec): string[] {
  return commands.filter(({ hidden }) => !hidden).map(({ name }) => name);
}

/** Takes a word apart: `--name=value`, or `-abc`, where what follows a letter may be its value. */
function* optionsIn(word: string): Generator<{ name: string; value: string | undefined }> {
  if (word.startsWith('--')) {
    const [, name = word, value] = /^(--[^=]+)=([^]*)$/.exec(word) ?? [];
    yield { name, value };
    return;
  }
  for (let i = 1; i < word.length; i += 1) {
    yield { name: `-${word[i]!}`, value: i + 1 < word.length ? word.slice(i + 1) : undefined };
  }
}

function wantsHelp(path: readonly CommandSpec[], words: readonly string[]): boolean {
  return path.length === 1 && words.find((word) => !isOption(word)) === 'help';
}

function meant(word: string, names: readonly string[]): string {
  const closest = nearestName(word, names);
  return closest === undefined ? '' : ` (Did you mean ${closest}?)`;
}
