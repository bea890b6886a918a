/** `dragonlock script`, as a part of the table of commands. */
import type { ArgumentSpec, CommandSpec, OptionSpec } from './command-spec.ts';

const load = async (): Promise<typeof import('./script.ts')> => import('./script.ts');
const scriptName: ArgumentSpec = { name: 'name', about: 'name of the script' };
const file: ArgumentSpec = { name: 'file', about: 'with the source; - reads stdin' };
const ifVersion: OptionSpec = {
  long: 'if-version',
  value: 'n',
  about: 'only if the script has this version; 0: if there is none',
};
const version: OptionSpec = { long: 'use-version', value: 'n', about: 'this version instead of the current one' };
const callArgs: ArgumentSpec = { name: 'args', optional: true, about: 'JSON; - reads stdin' };
const callOptions: readonly OptionSpec[] = [
  { long: 'keys', value: 'keys', about: 'what it reads, with commas: then it runs once' },
  { long: 'cpu', value: 'ms', about: 'CPU time that it may take (default 50)' },
  { long: 'id', value: 'id', about: 'idempotency id: the call happens once' },
];

export const scriptCommands: CommandSpec = {
  name: 'script',
  about: 'functions that run beside the data, each call one commit (need the scope script)',
  commands: [
    {
      name: 'put',
      about: 'store a script, and print its version',
      args: [scriptName, file],
      options: [ifVersion],
      load: async () => (await load()).putScript,
    },
    {
      name: 'call',
      about: 'run a stored script, and print its result as JSON',
      args: [scriptName, callArgs],
      options: [version, ...callOptions],
      load: async () => (await load()).callScript,
    },
    {
      name: 'eval',
      about: 'run a script that is not stored, and print its result as JSON',
      args: [file, callArgs],
      options: callOptions,
      load: async () => (await load()).evalScript,
    },
    {
      name: 'list',
      about: 'list scripts with their versions',
      args: [{ name: 'prefix', optional: true, about: 'only names that begin with this' }],
      load: async () => (await load()).listScripts,
    },
    {
      name: 'show',
      about: 'print the source of a script',
      args: [scriptName],
      options: [version],
      load: async () => (await load()).showScript,
    },
    {
      name: 'del',
      about: 'delete a script with all its versions; exits with 1 if there is none',
      args: [scriptName],
      options: [ifVersion],
      load: async () => (await load()).deleteScript,
    },
  ],
};
