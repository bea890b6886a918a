/**
 * Completion for bash, fish and zsh. The scripts ask this command for candidates, so that they never get out of step:
 * the hidden `__complete` takes the words so far, and prints candidates for the last one, from the table of commands. It
 * asks the server for the names of locks and keys, within a short timeout.
 */
import type { CommandSpec, Names, OptionSpec, Run } from './command-spec.ts';
import { globalOptions, program, shells } from './commands.ts';
import { UsageError } from './exit-codes.ts';
import type { Invocation } from './invocation.ts';
import { findOption, isGlobal, isOption, visible } from './parse-arguments.ts';

const scripts: Readonly<Record<(typeof shells)[number], string>> = {
  // A name comes from the server: quoted, so that a key such as "$(reboot)" stays a word.
  bash: `# bash completion for dragonlock
_dragonlock() {
  local line=\${COMP_LINE:0:COMP_POINT} current words candidate
  read -r -a words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  current=\${words[-1]}
  COMPREPLY=()
  while IFS= read -r candidate; do
    # For readline, the word begins after the last colon or equals sign.
    [[ $candidate == "$current"* ]] && COMPREPLY+=("$(printf '%q' "\${candidate:\${#current}-\${#2}}")")
  done < <("\${words[0]}" __complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -o default -F _dragonlock dragonlock
`,
  fish: `# fish completion for dragonlock
function __dragonlock_candidates
    set -l words (commandline -opc)
    $words[1] __complete -- $words[2..-1] (commandline -ct) 2>/dev/null
end
complete -c dragonlock -n 'not contains -- -- (commandline -opc)' -f -a '(__dragonlock_candidates)'
`,
  zsh: `#compdef dragonlock
# zsh completion for dragonlock
_dragonlock() {
  local -a candidates
  candidates=("\${(@f)$("\${(Q)words[1]}" __complete -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)}")
  candidates=(\${candidates:#})
  if ((\${#candidates})); then compadd -- "\${candidates[@]}"; else _default; fi
}
if [[ \${funcstack[1]} == _dragonlock ]]; then _dragonlock; else compdef _dragonlock dragonlock; fi
`,
};

/** The longest wait after a key stroke. */
const timeoutMs = 1000;
const candidatesMax = 200;

export const printScript: Run = ({ terminal }, { args }) => {
  const shell = shells.find((known) => known === args[0]);
  if (shell === undefined) throw new UsageError(`shell: expected ${shells.join(', ')}, got ${args[0]!}`);
  terminal.write(scripts[shell]);
  return Promise.resolve();
};

export const printCandidates: Run = async (invocation, { args }) => {
  const found = await candidates(args, invocation);
  // A name with control characters cannot stand on a command line.
  invocation.terminal.write(found.flatMap((name) => (/\p{Cc}/u.test(name) ? [] : [`${name}\n`])).join(''));
};

async function candidates(words: readonly string[], invocation: Invocation): Promise<string[]> {
  // The words after `--` belong to another command.
  if (words.slice(0, -1).includes('--')) return [];
  const current = words.at(-1) ?? '';
  const { command, argumentCount, valueOf } = placeOf(words.slice(0, -1), invocation);
  if (valueOf !== undefined) return namesFor(valueOf.names, current, invocation);
  if (current.startsWith('-')) {
    const options: readonly OptionSpec[] = [...(command.options ?? []), ...globalOptions];
    return options.map(({ long }) => `--${long}`).filter((name) => name.startsWith(current));
  }
  if (command.commands !== undefined && command.load === undefined)
    return visible(command).filter((name) => name.startsWith(current));
  return namesFor(command.args?.[argumentCount]?.names, current, invocation);
}

interface Place {
  readonly command: CommandSpec;
  readonly argumentCount: number;
  /** The next word is the value of this option. */
  readonly valueOf: OptionSpec | undefined;
}

/** Finds the command that the words lead to, and notes the global options, which say where the server is. */
function placeOf(words: readonly string[], invocation: Invocation): Place {
  let command = program;
  let argumentCount = 0;
  for (let i = 0; i < words.length; i += 1) {
    const word = words[i]!;
    if (isOption(word)) {
      const option = findOption(word, command);
      if (option?.value === undefined) continue;
      i += 1;
      const value = words[i];
      if (value === undefined) return { command, argumentCount, valueOf: option };
      if (isGlobal(option)) invocation.setGlobal(option.long, value);
      continue;
    }
    const next = command.commands?.find(({ name }) => name === word);
    if (next === undefined) argumentCount += 1;
    else command = next;
  }
  return { command, argumentCount, valueOf: undefined };
}

async function namesFor(names: Names | undefined, prefix: string, invocation: Invocation): Promise<string[]> {
  if (names === undefined) return [];
  if (typeof names !== 'string') return names.filter((name) => name.startsWith(prefix));
  try {
    const client = await invocation.client({ timeout: timeoutMs });
    const page = { prefix, limit: candidatesMax };
    if (names === 'key') return (await client.kv.page(page)).entries.map(({ key }) => key);
    return (await client.locks.page(page)).locks.map(({ id }) => id);
  } catch {
    // No account, or no server: nothing to propose.
    return [];
  }
}
