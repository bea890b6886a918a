/**
 * The server as plain JavaScript, one file for each thread. A thread that loads one file instead of some 250 starts in half
 * the time and needs a third less memory. Tests start their servers from such a bundle, see
 * test/support/server-program.ts; the package is made of one, see server-package.ts.
 *
 * What has native parts, finds files beside its own or is loaded only when a config asks for it stays a package.
 */
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { checkImports, compiledChecks, writeChecks } from './compiled-checks.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** What is started by its file: the server, its threads, and the process that reads a store. Without ending. */
const entries = [
  'main/server',
  'main/data-directory/checkpoint-summary-process',
  'main/data-directory/salvage',
  'backup/backup-thread',
  'dispatcher/dispatcher-thread',
  'front-end/front-end-thread',
  'front-end/http/parse/body-thread',
  'front-end/resp/scripts/script-thread',
  'journal/journal-thread',
  'scripts/threads/script-thread',
  'shard-worker/shard-thread',
  'storage/checkpoint/checkpoint-thread',
] as const;

/** What most servers never load, and the others with its first use: files of their own, so that no thread reads their text. */
const lazyEntries = [
  'dispatcher/http/undici-sink',
  'front-end/http/openapi/document',
  'front-end/http/openapi/page',
  'front-end/metrics-registry',
] as const;

/** What the commands of the package are. */
const commandEntries = [
  'cli/main',
  'main/config/config',
  'main/backup/backup-commands',
  'main/doctor/doctor',
  'main/doctor/health',
] as const;

const packages = [
  '@aws-sdk/*',
  'age-encryption',
  'fs-native-extensions',
  'lmdb',
  'pino',
  'piscina',
  'quickjs-wasi',
  'wasmoon-lua5.1',
] as const;

/** CommonJS packages within an ES module ask for Node's own modules by `require`. */
const banner = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";

/**
 * Fastify loads them only for what the server does not use: its own schemas, requests without a socket, and plugins that
 * name a version.
 */
const unused = /^(@fastify\/ajv-compiler|@fastify\/fast-json-stringify-compiler|light-my-request|semver)$/;

const withoutUnused: Plugin = {
  name: 'without-unused',
  setup(bundler) {
    bundler.onResolve({ filter: unused }, ({ path: name }) => ({ path: name, namespace: 'unused' }));
    bundler.onLoad({ filter: /.*/, namespace: 'unused' }, ({ path: name }) => ({
      contents: `module.exports = () => { throw new Error(${JSON.stringify(`${name} is not in the bundle`)}); };`,
    }));
  },
};

/** The name of such a file, wherever the thread's own is: `imports` in package.json leads to it. */
const lazyName = (entry: string): string => `#lazy/${entry}`;

/** In package.json of what has the bundle. */
export const bundleImports: Readonly<Record<string, string>> = {
  ...checkImports,
  ...Object.fromEntries(lazyEntries.map((entry) => [lazyName(entry), `./${entry}.js`])),
};

const lazy: Plugin = {
  name: 'lazy',
  setup(bundler) {
    bundler.onResolve({ filter: /^\.{1,2}\// }, ({ kind, path: name, resolveDir }) => {
      if (kind !== 'dynamic-import') return undefined;
      const file = path.relative(path.join(root, 'src'), path.resolve(resolveDir, name)).replace(/\.ts$/, '');
      return (lazyEntries as readonly string[]).includes(file) ? { path: lazyName(file), external: true } : undefined;
    });
  },
};

/** Typebox makes the schemas; what they are needs a hundredth of it. A test compares the two. */
export const plainSchemas: Plugin = {
  name: 'plain-schemas',
  setup(bundler) {
    const file = fileURLToPath(new URL('plain-schemas.ts', import.meta.url));
    bundler.onResolve({ filter: /^typebox$/ }, () => ({ path: file, sideEffects: false }));
  },
};

/** Writes the bundle into `directory`, which must not have one yet. */
export async function bundleServer(directory: string, { commands = false } = {}): Promise<void> {
  // The package is smaller without blanks: each thread keeps the text of its file in memory.
  const src = path.join(root, 'src');
  await build({
    entryPoints: [...entries, ...lazyEntries, ...(commands ? commandEntries : [])].map((entry) =>
      path.join(src, `${entry}.ts`),
    ),
    absWorkingDir: root,
    outbase: src,
    outdir: directory,
    bundle: true,
    minifyWhitespace: commands,
    lineLimit: 160,
    format: 'esm',
    platform: 'node',
    target: 'node22.19',
    external: [...packages],
    plugins: [withoutUnused, lazy, plainSchemas, compiledChecks],
    banner: { js: banner },
    logLevel: 'warning',
  });
  await writeChecks(directory);
  fs.cpSync(path.join(src, 'ui'), path.join(directory, 'ui'), { recursive: true });
  const { name, version } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')) as Manifest;
  fs.writeFileSync(
    path.join(directory, 'package.json'),
    `${JSON.stringify({ name, version, type: 'module', imports: bundleImports })}\n`,
  );
}

interface Manifest {
  readonly name: string;
  readonly version: string;
}
