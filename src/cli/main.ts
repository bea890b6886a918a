#!/usr/bin/env node
/** Entry point of the command `dragonlock`; its commands are in program.ts. */
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
const code = await run(process.argv.slice(2));
// Exit a turn later, so that an EPIPE of stdout comes first: it has another exit code.
setImmediate(() => process.exit(code));
