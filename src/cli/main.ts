#!/usr/bin/env node
/** Entry point of the command `dragonlock` in Node; the file `dragonlock` beside it starts Node. */
import module from 'node:module';
import { oldNodeMessage } from '../client/node-version.ts';

const oldNode = oldNodeMessage(process.versions.node);
if (oldNode !== undefined) {
  process.stderr.write(`${oldNode}\n`);
  process.exit(1);
}
// Halves the start-up time, and a script may start the command often.
module.enableCompileCache();
const { run } = await import('./program.ts');
// What was printed has left already (terminal.ts), so nothing is lost here.
process.exit(await run(process.argv.slice(2)));
