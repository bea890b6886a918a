/** `dragonlock config check`: validates a configuration with the server's own code. Only a checkout has the server. */
import os from 'node:os';
import type { Run } from './command-spec.ts';
import { NegativeResult } from './exit-codes.ts';
import { serverFile } from './server-file.ts';

export const checkConfig: Run = async ({ terminal, json }, { options }) => {
  const { loadConfig, ConfigError } = (await import(serverFile('config/config').href)) as ConfigModule;
  const { config } = options;
  try {
    const { listen, data_dir, shards, tokens } = loadConfig({
      argv: typeof config === 'string' ? ['--config', config] : [],
      env: process.env,
      cores: os.availableParallelism(),
    });
    const address = listen.map(addressText).join(', ');
    if (json) terminal.json({ listen: address, data_dir, shards, tokens: tokens.length });
    else
      terminal.line(`Valid: listens on ${address}, data in ${data_dir}, shards: ${shards}, tokens: ${tokens.length}`);
  } catch (error) {
    if (error instanceof ConfigError) throw new NegativeResult(error.problems.join('\n'));
    throw error;
  }
};

interface ListenAt {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  readonly fds?: readonly number[];
}

function addressText({ host, port, path, fds = [] }: ListenAt): string {
  if (path !== undefined) return `unix:${path}`;
  return host === undefined ? `fd ${fds.join(', ')}` : `${host}:${port}`;
}

/** The part of main/config/config.ts that is used here. Importing its types would put the file into the npm package. */
interface ConfigModule {
  loadConfig: (sources: { argv: readonly string[]; env: NodeJS.ProcessEnv; cores: number }) => {
    listen: readonly ListenAt[];
    data_dir: string;
    shards: number;
    tokens: readonly object[];
  };
  ConfigError: new (problems: readonly string[]) => Error & { readonly problems: readonly string[] };
}
