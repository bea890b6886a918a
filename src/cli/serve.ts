/** `dragonlock serve`: runs the server in this process. Only a checkout has the server. */
import type { Command } from 'commander';
import { serverFile } from './server-file.ts';

export function addServe(program: Command): void {
  program
    .command('serve')
    .description('run the server from a checkout; takes the options of npm start')
    .usage('[--config FILE] [--listen HOST:PORT] [--data-dir DIRECTORY]')
    .argument('[options...]')
    .allowUnknownOption()
    .action(async (options: readonly string[]) => {
      const file = serverFile('server');
      process.argv = [process.execPath, file.pathname, ...options];
      await import(file.href);
      // From here on the server owns the process, and decides when and how it exits.
      await new Promise(() => undefined);
    });
}
