#!/usr/bin/env node
/**
 * The command of the package dragonlock-server: the server, and what is done to its files. Plain JavaScript that an old
 * Node can read. Each command has a file of its own, so that the server loads nothing of the others.
 */
import fs from 'node:fs';
import module from 'node:module';
import path from 'node:path';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

const usage = `Usage: dragonlock-server [serve] [--config FILE] [--listen HOST:PORT] [--data-dir DIRECTORY]
       dragonlock-server COMMAND [options]

  serve      the server; without a command, too
  config     check: lists the errors of a configuration
  cluster    init, status: makes and shows a cluster (under construction)
  doctor     looks whether this machine is fit for the server
  health     exits with 0 if the server of this configuration is ready
  backup     copies the store of a running server to its backup
  backups    lists copies, and what can be restored
  verify     checks a backup
  restore    makes a data directory from a backup
  salvage    repairs a data directory with which the server refuses to start

dragonlock-server COMMAND --help says more. Clients and locks for shell scripts are in the package dragonlock.
`;

/** Commands that are also those of `dragonlock` in a checkout. */
const shared = ['config', 'cluster', 'doctor', 'health', 'backup', 'backups', 'verify', 'restore'];

const [first = '', ...rest] = process.argv.slice(2);

/**
 * Keeps compiled code for the next start, which then takes less CPU time and memory: in the cache of this user, never in a
 * directory that somebody else can write to, as /tmp: the code in there is run unseen. Without a home that is ours, or
 * when the disk is full, every start compiles anew. `NODE_COMPILE_CACHE`, as in the unit, comes first.
 */
function keepCompiled() {
  const { NODE_COMPILE_CACHE, XDG_CACHE_HOME, HOME } = process.env;
  const parent = XDG_CACHE_HOME || (HOME && path.join(HOME, '.cache'));
  if (NODE_COMPILE_CACHE !== undefined || !parent || !path.isAbsolute(parent)) return;
  const directory = path.join(parent, 'dragonlock-server');
  try {
    fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
    for (const at of [path.dirname(parent), parent, directory]) {
      const { uid, mode } = fs.statSync(at);
      if (uid !== process.getuid() || (mode & 0o022) !== 0) return;
    }
    const { status } = module.enableCompileCache(directory);
    // Threads look there.
    if (status === module.constants.compileCacheStatus.ENABLED) process.env['NODE_COMPILE_CACHE'] = directory;
  } catch {
    // Nobody needs it.
  }
}

if (!(major >= 24 || (major === 22 && minor >= 19))) {
  process.stderr.write(
    `dragonlock-server needs Node 22.19 or later of 22, or Node 24 or later; this is ${process.versions.node}.\n`,
  );
  process.exitCode = 1;
} else if (first === 'help' || first === '--help' || first === '-h') {
  process.stdout.write(usage);
} else if (first === '' || first === 'serve' || first.startsWith('-')) {
  if (first === 'serve') process.argv.splice(2, 1);
  keepCompiled();
  await import('./main/server.js');
} else if (first === 'salvage') {
  process.argv.splice(2, process.argv.length, ...rest);
  await import('./main/data-directory/salvage.js');
} else if (shared.includes(first)) {
  await import('./cli/main.js');
} else {
  process.stderr.write(`dragonlock-server: there is no command ${JSON.stringify(first)}\n\n${usage}`);
  process.exitCode = 64;
}
