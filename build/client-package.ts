/**
 * `npm run build:client`: makes dist/client, the npm package that users of a server install: plain JavaScript with types
 * and source maps, for any Node that is still maintained. The server is not in it; it runs from its sources.
 *
 * What is compiled is whatever the entries import (`files` in tsconfig.client.json, the same as here). `npm pack
 * ./dist/client` makes the file to publish.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** What can be imported, and from which file. */
const entries = {
  '.': 'client/exports',
  './store': 'client/store/exports',
} as const satisfies Record<string, string>;

/** Commands; each is in tsconfig.client.json too. */
const commands = { dragonlock: 'cli/main' } as const satisfies Record<string, string>;

/** Of those of package.json; everything else there is the server's. */
const dependencies = ['commander', 'undici'] as const;

const root = fileURLToPath(new URL('..', import.meta.url));
const out = path.join(root, 'dist/client');

fs.rmSync(out, { recursive: true, force: true });
const { status } = spawnSync(
  process.execPath,
  [path.join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.client.json'],
  {
    cwd: root,
    stdio: 'inherit',
  },
);
if (status !== 0) process.exit(1);

// The compiler rewrites what is imported in the JavaScript only.
for (const file of fs.readdirSync(out, { recursive: true, encoding: 'utf8' })) {
  if (!file.endsWith('.d.ts')) continue;
  const text = fs.readFileSync(path.join(out, file), 'utf8');
  fs.writeFileSync(path.join(out, file), text.replaceAll(/(from '\.[^']*)\.ts'/g, "$1.js'"));
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, unknown>>;
}

const own = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')) as Manifest;
const manifest = {
  name: own.name,
  version: own.version,
  description: 'Client of Dragon Lock: durable locks, key-value with watches, counters, sequences and atomic batches.',
  type: 'module',
  engines: { node: '>=22.19' },
  exports: Object.fromEntries(
    Object.entries(entries).map(([name, file]) => [name, { types: `./${file}.d.ts`, default: `./${file}.js` }]),
  ),
  bin: Object.fromEntries(Object.entries(commands).map(([name, file]) => [name, `./${file}.js`])),
  sideEffects: false,
  dependencies: Object.fromEntries(dependencies.map((name) => [name, own.dependencies[name]])),
  peerDependencies: own.peerDependencies,
  peerDependenciesMeta: own.peerDependenciesMeta,
};
fs.writeFileSync(path.join(out, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
fs.copyFileSync(path.join(root, 'docs/client.md'), path.join(out, 'README.md'));
