/**
 * `dragonlock serve` and `dragonlock config check`: what needs the server itself. The npm package is without it (it has
 * native parts, and brings its own Node); a checkout has it next door, and it is loaded from there only when asked for.
 */
import os from 'node:os';
import type { Command } from 'commander';
import { threadFile } from '../shared/thread-file.ts';
import { NegativeResult } from './exit-codes.ts';
import { fileExists } from './files.ts';
import type { Invocation } from './invocation.ts';

export function addServe(program: Command): void {
  program
    .command('serve')
    .description('run the server, in a checkout of it; options as for npm start')
    .usage('[--config FILE] [--listen HOST:PORT] [--data-dir DIRECTORY]')
    .argument('[options...]')
    .allowUnknownOption()
    .action(async (options: readonly string[]) => {
      const file = serverFile('server');
      process.argv = [process.execPath, file.pathname, ...options];
      await import(file.href);
      // From here on the process is the server's, and ends as it does.
      await new Promise(() => undefined);
    });
}

export function addConfig(program: Command, invocation: Invocation): void {
  program
    .command('config')
    .description('the configuration of the server')
    .command('check')
    .description('say what is wrong with it, each with its place; exit code 1: something is')
    .option('--config <file>', 'default: config.yml in the working directory, if there is one')
    .action(async ({ config }: { config?: string }) => {
      const { loadConfig, ConfigError } = (await import(serverFile('config/config').href)) as ConfigModule;
      const argv = config === undefined ? [] : ['--config', config];
      try {
        const { listen, data_dir, shards, tokens } = loadConfig({
          argv,
          env: process.env,
          cores: os.availableParallelism(),
        });
        const { terminal, json } = invocation;
        const address = `${listen.host}:${listen.port}`;
        if (json) terminal.json({ listen: address, data_dir, shards, tokens: tokens.length });
        else
          terminal.line(
            `Valid: listens on ${address}, data in ${data_dir}, shards: ${shards}, tokens: ${tokens.length}`,
          );
      } catch (error) {
        if (error instanceof ConfigError) throw new NegativeResult(error.problems.join('\n'));
        throw error;
      }
    });
}

/** Of main/config/config.ts. Its types are not imported either: what is imported is in the package. */
interface ConfigModule {
  loadConfig: (sources: { argv: readonly string[]; env: NodeJS.ProcessEnv; cores: number }) => {
    listen: { host: string; port: number };
    data_dir: string;
    shards: number;
    tokens: readonly object[];
  };
  ConfigError: new (problems: readonly string[]) => Error & { readonly problems: readonly string[] };
}

/** @throws NegativeResult when there is no server here */
function serverFile(name: string): URL {
  // Not written as an import, so that the npm package is not made to hold the server.
  const file = threadFile(import.meta.url, `../main/${name}`);
  if (!fileExists(file)) {
    throw new NegativeResult(
      'The server is not part of the npm package: run this in a checkout of Dragon Lock (there: npm start).',
    );
  }
  return file;
}
