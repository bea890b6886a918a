/** `dragonlock serve`: runs the server in this process. Only a checkout has the server. */
import type { Run } from './command-spec.ts';
import { serverFile } from './server-file.ts';

export const serve: Run = async (_, { args }) => {
  const file = serverFile('server');
  process.argv = [process.execPath, file.pathname, ...args];
  await import(file.href);
  // From here on the server owns the process, and decides when and how it exits.
  await new Promise(() => undefined);
};
