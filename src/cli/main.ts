#!/usr/bin/env node
/** Entry point of the command `dragonlock` in Node; the file `dragonlock` beside it starts Node. */
import { enableCompileCache } from 'node:module';

// Halves the start-up time, and a script may start the command often.
enableCompileCache();
const { run } = await import('./program.ts');
// What was printed has left already (terminal.ts), so nothing is lost here.
process.exit(await run(process.argv.slice(2)));
