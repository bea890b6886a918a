/**
 * `npm run build:server` makes dist/server, the npm package `dragonlock-server`: the bundle, its command, the
 * documents, and what one needs beside it. `npm pack ./dist/server` makes the file to publish. It runs on Node 22.19, 24
 * and later, in any folder; what has native parts is installed as packages.
 */
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { copyDocuments, serverDocuments } from './package-docs.ts';
import { bundleImports, bundleServer } from './server-bundle.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Of package.json: what the bundle imports, and what the admin page is served with. */
const dependencies = [
  'fs-native-extensions',
  'htm',
  'lmdb',
  'pino',
  'piscina',
  'preact',
  'quickjs-wasi',
  'wasmoon-lua5.1',
] as const;
/** Loaded only when a configuration asks for them. */
const optionalDependencies = ['@aws-sdk/client-s3', 'age-encryption'] as const;

interface Manifest {
  readonly version: string;
  readonly license: string;
  readonly engines: object;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}

/** Writes the package into `directory`, which must not have one yet. */
export async function buildServerPackage(directory: string): Promise<void> {
  await bundleServer(directory, { commands: true });
  const own = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')) as Manifest;
  const manifest = {
    name: 'dragonlock-server',
    version: own.version,
    description: 'The Dragon Lock server: durable locks, keys with watches, counters, sequences, queues over HTTP.',
    license: own.license,
    type: 'module',
    imports: bundleImports,
    os: ['linux'],
    engines: own.engines,
    bin: { 'dragonlock-server': './dragonlock-server.js' },
    dependencies: Object.fromEntries(dependencies.map((name) => [name, own.dependencies[name]])),
    optionalDependencies: Object.fromEntries(
      optionalDependencies.map((name) => [name, own.optionalDependencies[name]]),
    ),
  };
  fs.writeFileSync(path.join(directory, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  copyDocuments(serverDocuments, directory);
  const command = path.join(directory, 'dragonlock-server.js');
  fs.copyFileSync(path.join(root, 'src/main/dragonlock-server.js'), command);
  fs.chmodSync(command, 0o755);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const out = path.join(root, 'dist/server');
  fs.rmSync(out, { recursive: true, force: true });
  await buildServerPackage(out);
}
