import { threadFile } from '../shared/thread-file.ts';
import { NegativeResult } from './exit-codes.ts';
import { fileExists } from './files.ts';

/**
 * Finds a file of the server for an import at run time. The npm package has no server: the server has native parts and
 * brings its own Node. A checkout has it beside this folder.
 *
 * @throws NegativeResult when there is no server here
 */
export function serverFile(name: string): URL {
  // A literal import would make the build put the server into the npm package.
  const file = threadFile(import.meta.url, `../main/${name}`);
  if (!fileExists(file)) {
    throw new NegativeResult(
      'The server is not part of the npm package: the package dragonlock-server has it (npx dragonlock-server), and this command.',
    );
  }
  return file;
}
