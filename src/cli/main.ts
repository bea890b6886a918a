#!/usr/bin/env node
/** The command `dragonlock`; what it can do is in program.ts. */
import { enableCompileCache } from 'node:module';

// Halves what a start costs, and a script may start it often.
enableCompileCache();
const { run } = await import('./program.ts');
const code = await run(process.argv.slice(2));
// A turn later, so that word of a reader who has left comes first: it is another exit code.
setImmediate(() => process.exit(code));
