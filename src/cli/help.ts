/** Help for a command or a group of commands, from the table. */
import type { CommandSpec, OptionSpec } from './command-spec.ts';
import { globalOptions } from './commands.ts';

/** @param more names below the end of `path`: `dragonlock help kv get` */
export function helpFor(path: readonly CommandSpec[], more: readonly string[]): string {
  const at = [...path];
  for (const name of more) {
    const next = at.at(-1)!.commands?.find((command) => command.name === name);
    if (next !== undefined) at.push(next);
  }
  const command = at.at(-1)!;
  const sections = [
    `Usage: ${at.map(({ name }) => name).join(' ')} ${usageOf(command)}\n\n${command.about}\n`,
    section(
      'Arguments:',
      (command.args ?? []).flatMap(({ name, about }) => (about === undefined ? [] : [[name, about] as const])),
    ),
    section('Options:', (command.options ?? []).map(optionRow)),
    section('Global Options:', globalOptions.map(optionRow)),
    section(
      'Commands:',
      (command.commands ?? []).filter(({ hidden }) => !hidden).map((sub) => [termOf(sub), sub.about] as const),
    ),
  ];
  return sections.filter((text) => text !== '').join('\n');
}

function section(title: string, rows: readonly (readonly [string, string])[]): string {
  if (rows.length === 0) return '';
  const width = Math.max(...rows.map(([term]) => term.length));
  return `${title}\n${rows.map(([term, about]) => `  ${term.padEnd(width)}  ${about}\n`).join('')}`;
}

function optionRow({ long, short, value, about }: OptionSpec): readonly [string, string] {
  return [`${short === undefined ? '' : `-${short}, `}--${long}${value === undefined ? '' : ` <${value}>`}`, about];
}

function termOf(command: CommandSpec): string {
  return `${command.name} ${usageOf(command)}`;
}

function usageOf({ usage, commands, options, args = [] }: CommandSpec): string {
  if (usage !== undefined) return usage;
  const words = args.map(({ name, optional, rest }) => {
    const dots = rest ? `${name}...` : name;
    return optional ? `[${dots}]` : `<${dots}>`;
  });
  return [...(options === undefined ? [] : ['[options]']), ...words, ...(commands === undefined ? [] : ['<command>'])]
    .join(' ')
    .trimEnd();
}
