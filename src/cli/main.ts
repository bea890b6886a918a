#!/usr/bin/env node
/** Entry point of the command `dragonlock`; its commands are in program.ts. */
import { enableCompileCache } from 'node:module';

// Halves the start-up time, and a script may start the command often.
enableCompileCache();
const { run } = await import('./program.ts');
const code = await run(process.argv.slice(2));
// Exit a turn later, so that an EPIPE of stdout comes first: it has another exit code.
setImmediate(() => process.exit(code));
