/**
 * The admin page's files, as they are: `src/ui`, and two libraries from node_modules. They hold no data and need no token.
 * A front end reads them when somebody first asks, and keeps them, whole and compressed.
 *
 * The policy of the page's content allows scripts and styles of this server and nothing else. The one script within the
 * page is the map that says where the libraries are, and it is allowed by its hash.
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

export interface PageFile {
  readonly type: string;
  readonly bytes: Buffer;
  readonly compressed: Buffer;
  readonly etag: string;
}

export interface PageFiles {
  /** Of every file of the page. */
  readonly policy: string;
  find(name: string): PageFile | undefined;
}

const libraries = {
  'lib/preact.js': 'preact',
  'lib/preact-hooks.js': 'preact/hooks',
  'lib/htm.js': 'htm',
} as const;

const types: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

/** What may be asked for below `/ui/`. @param directory URL of the page's own files */
export function pageFileNames(directory: string): string[] {
  const own = fs.readdirSync(new URL(directory)).filter((name) => typeOf(name) !== undefined);
  return [...own, ...Object.keys(libraries)];
}

/** @param open without tokens, the page asks for none */
export function readPageFiles(directory: string, open: boolean): PageFiles {
  const map = importMap();
  const files = new Map<string, PageFile>();
  for (const name of pageFileNames(directory)) {
    const library = (libraries as Readonly<Record<string, string>>)[name];
    const file = library === undefined ? new URL(name, directory) : new URL(import.meta.resolve(library));
    const text = fs.readFileSync(fileURLToPath(file), 'utf8').replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n');
    const whole =
      name === 'index.html'
        ? withScripts(text, map, pageFileNames(directory)).replace('<html', `<html data-open="${open}"`)
        : text;
    files.set(name, fileOf(typeOf(name)!, Buffer.from(whole)));
  }
  return { policy: policyOf(map), find: (name) => files.get(name) };
}

function typeOf(name: string): string | undefined {
  return types[name.slice(name.lastIndexOf('.') + 1)];
}

function importMap(): string {
  const imports = Object.entries(libraries).map(([file, name]) => [name, `./${file}`]);
  return JSON.stringify({ imports: Object.fromEntries(imports) });
}

/** All modules are asked for at once, not one after the other as they import each other. */
function withScripts(page: string, map: string, names: readonly string[]): string {
  const preloads = names
    .filter((name) => name.endsWith('.js'))
    .map((name) => `    <link rel="modulepreload" href="${name}" />\n`)
    .join('');
  return page
    .replace('<script type="importmap"></script>', () => `<script type="importmap">${map}</script>`)
    .replace('    <script type="module"', () => `${preloads}    <script type="module"`);
}

function policyOf(map: string): string {
  const hash = createHash('sha256').update(map).digest('base64');
  return [
    "default-src 'none'",
    `script-src 'self' 'sha256-${hash}'`,
    "style-src 'self'",
    "connect-src 'self'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
}

function fileOf(type: string, bytes: Buffer): PageFile {
  const etag = `"${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}"`;
  return { type, bytes, compressed: gzipSync(bytes, { level: 9 }), etag };
}
