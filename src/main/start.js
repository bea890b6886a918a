/**
 * `npm start`: the server, or one line when this Node cannot run it. Plain JavaScript that an old Node can read, which
 * TypeScript is not.
 */
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const runs = major >= 24 || (major === 22 && minor >= 19);

if (runs) {
  await import('./server.ts');
} else {
  process.stderr.write(
    `Dragon Lock needs Node 22.19 or later of 22, or Node 24 or later; this is ${process.versions.node}. ` +
      'On Linux with glibc (x64, arm64) npm ci installs the right one: use npm start. Elsewhere update Node.\n',
  );
  process.exitCode = 1;
}
