/**
 * Completion for bash: `source <(dragonlock completion bash)`. The script asks this command for candidates, so that it
 * never gets out of step: the hidden `__complete` takes the words so far, and prints candidates. It asks the server for
 * the names of locks and keys, within a short timeout.
 */
import type { Command } from 'commander';
import { UsageError } from './exit-codes.ts';
import type { Invocation } from './invocation.ts';

const script = `# bash completion for dragonlock
_dragonlock() {
  local line=\${COMP_LINE:0:COMP_POINT} current words candidate
  read -r -a words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  current=\${words[-1]}
  COMPREPLY=()
  while IFS= read -r candidate; do
    # For readline, the word begins after the last colon or equals sign.
    [[ $candidate == "$current"* ]] && COMPREPLY+=("\${candidate:\${#current}-\${#2}}")
  done < <("\${words[0]}" __complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -o default -F _dragonlock dragonlock
`;

/** The longest wait after a key stroke. */
const timeoutMs = 1000;
const candidatesMax = 200;

export function addCompletion(program: Command, invocation: Invocation): void {
  program
    .command('completion')
    .description('print a completion script: source <(dragonlock completion bash)')
    .argument('<shell>', 'bash')
    .action((shell: string) => {
      if (shell !== 'bash') throw new UsageError(`shell: expected bash, got ${shell}`);
      invocation.terminal.write(script);
    });
  program
    .command('__complete', { hidden: true })
    .argument('[words...]')
    .action(async (words: readonly string[]) => {
      for (const candidate of await candidates(program, words, invocation)) invocation.terminal.line(candidate);
    });
}

async function candidates(program: Command, words: readonly string[], invocation: Invocation): Promise<string[]> {
  // The words after `--` belong to another command.
  if (words.slice(0, -1).includes('--')) return [];
  const current = words.at(-1) ?? '';
  const { command, argumentCount } = commandAt(program, words.slice(0, -1));
  if (current.startsWith('-')) {
    const options = [...command.options, ...program.options, { long: '--help' }];
    return options.flatMap(({ long }) => (long?.startsWith(current) ? [long] : []));
  }
  const visible = command.commands.map((sub) => sub.name()).filter((name) => !name.startsWith('__'));
  if (visible.length > 0) return visible.filter((name) => name.startsWith(current));
  if (argumentCount > 0) return [];
  return namesFor(command, current, invocation).catch(() => []);
}

/** Finds the command that the words lead to, and counts its arguments among them. */
function commandAt(program: Command, words: readonly string[]): { command: Command; argumentCount: number } {
  let command = program;
  let argumentCount = 0;
  for (let i = 0; i < words.length; i += 1) {
    const word = words[i]!;
    if (word.startsWith('-')) {
      const option = [...command.options, ...program.options].find(
        ({ long, short }) => word === long || word === short,
      );
      const values = option?.required === true || option?.optional === true;
      if (values) {
        // The program's own options say where the server is and how to ask it.
        if (program.options.includes(option)) program.setOptionValue(option.attributeName(), words[i + 1]);
        i += 1;
      }
      continue;
    }
    const next = command.commands.find((sub) => sub.name() === word);
    if (next === undefined) argumentCount += 1;
    else command = next;
  }
  return { command, argumentCount };
}

async function namesFor(command: Command, prefix: string, invocation: Invocation): Promise<string[]> {
  const path = `${command.parent?.name()} ${command.name()}`;
  if (path === 'dragonlock completion') return ['bash'];
  const ofKeys = /^kv (get|put|del|list|watch)$/.test(path);
  const ofLocks = /^dragonlock (lock|locks)$/.test(path);
  if (!ofKeys && !ofLocks) return [];
  const { DragonLock } = await import('../client/dragon-lock.ts');
  const options = { ...invocation.connection(), account: invocation.account(), timeout: timeoutMs };
  const client = new DragonLock(options);
  // Not `await using`, which Node 22 cannot read.
  try {
    if (ofKeys) return (await client.kv.page({ prefix, limit: candidatesMax })).entries.map(({ key }) => key);
    return (await client.locks.page({ prefix, limit: candidatesMax })).locks.map(({ id }) => id);
  } finally {
    await client.close();
  }
}
