/**
 * `npm run build:client` makes dist/client, the npm package for users of a server: plain JavaScript with types and
 * source maps, for every maintained Node. It does not contain the server, which runs from its sources.
 *
 * The compiler follows the imports of the entries below (the same as `files` in tsconfig.client.json, and in
 * tsconfig.client-commonjs.json). `npm pack ./dist/client` makes the file to publish.
 *
 * The package has everything twice. Node takes the ES modules, by `import` and by `require` (condition `module-sync`),
 * so a process has one copy. What cannot load ES modules by `require` gets CommonJS: Jest, and Node before 20.19, which
 * is then told which Node it needs.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { oldestNode } from '../src/client/node-version.ts';
import { clientDocuments, copyDocuments } from './package-docs.ts';

/** Entries of the package and their files. */
const entries = {
  '.': 'client/exports',
  './store': 'client/store/exports',
  './webhook': 'client/webhook',
  './script': 'scripts/local/exports',
} as const satisfies Record<string, string>;

/** Entries that need a package which is an ES module: they are not there for what cannot load ES modules. */
const modulesOnly: ReadonlySet<string> = new Set(['./script']);

/** Commands of the package: each a script that starts the `main` beside it, which is in tsconfig.client.json. */
const commands = { dragonlock: 'cli/dragonlock' } as const satisfies Record<string, string>;

/** The dependencies of package.json that the client needs; the others belong to the server. */
const dependencies = ['undici'] as const;
/** The virtual machine of scripts, for those who test scripts. */
const optionalPeers = ['quickjs-wasi'] as const;

const root = fileURLToPath(new URL('..', import.meta.url));
const out = path.join(root, 'dist/client');

fs.rmSync(out, { recursive: true, force: true });
for (const project of ['tsconfig.client.json', 'tsconfig.client-commonjs.json']) {
  const tsc = path.join(root, 'node_modules/typescript/bin/tsc');
  const { status } = spawnSync(process.execPath, [tsc, '-p', project], { cwd: root, stdio: 'inherit' });
  if (status !== 0) process.exit(1);
}
fs.writeFileSync(path.join(out, 'commonjs/package.json'), '{"type":"commonjs"}\n');

// The compiler rewrites import paths in JavaScript only, not in declarations.
for (const file of fs.readdirSync(out, { recursive: true, encoding: 'utf8' })) {
  if (!file.endsWith('.d.ts')) continue;
  const text = fs.readFileSync(path.join(out, file), 'utf8');
  fs.writeFileSync(path.join(out, file), text.replaceAll(/(from '\.[^']*)\.ts'/g, "$1.js'"));
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, unknown>>;
}

const own = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')) as Manifest;
const manifest = {
  name: own.name,
  version: own.version,
  license: own.license,
  description: 'Client of Dragon Lock: durable locks, key-value with watches, counters, sequences and atomic batches.',
  type: 'module',
  engines: { node: `>=${oldestNode}` },
  exports: Object.fromEntries(
    Object.entries(entries).map(([name, file]) => [
      name,
      {
        types: `./${file}.d.ts`,
        'module-sync': `./${file}.js`,
        import: `./${file}.js`,
        ...(!modulesOnly.has(name) && { require: `./commonjs/${file}.js` }),
        default: `./${file}.js`,
      },
    ]),
  ),
  bin: Object.fromEntries(Object.entries(commands).map(([name, file]) => [name, `./${file}`])),
  // An old Node is told so by this import alone.
  sideEffects: ['./client/check-node.js', './commonjs/client/check-node.js', './cli/*.js'],
  dependencies: Object.fromEntries(dependencies.map((name) => [name, own.dependencies[name]])),
  peerDependencies: {
    ...own.peerDependencies,
    ...Object.fromEntries(optionalPeers.map((name) => [name, own.dependencies[name]])),
  },
  peerDependenciesMeta: {
    ...own.peerDependenciesMeta,
    ...Object.fromEntries(optionalPeers.map((name) => [name, { optional: true }])),
  },
};
fs.writeFileSync(path.join(out, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
for (const file of Object.values(commands)) fs.copyFileSync(path.join(root, 'src', file), path.join(out, file));
copyDocuments(clientDocuments, out);
