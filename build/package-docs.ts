/**
 * The documents that go into a package. They stand in `docs/` there as here, but one of them is the package's README.md. Links
 * are rewritten to where their targets are in the package; a link to what is not in it becomes its text, so that no
 * link is dead, whether it is read on disk or on a page of the registry.
 */
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

export interface Documents {
  /** Becomes README.md. */
  readonly readme: string;
  /** Files and folders, with the same name in the package. */
  readonly others: readonly string[];
}

const forBoth = [
  'docs/quick-start.md',
  'docs/tutorials',
  'docs/migrating',
  'docs/comparison.md',
  'docs/http.md',
  'docs/errors.md',
  'docs/queues.md',
  'docs/scripts.md',
  'docs/quotas.md',
  'docs/store.md',
  'docs/cli.md',
  'docs/failures.md',
  'docs/security.md',
  'docs/openapi.md',
  'CHANGELOG.md',
  'LICENSE',
] as const;

export const clientDocuments: Documents = { readme: 'docs/client.md', others: forBoth };

export const serverDocuments: Documents = {
  readme: 'docs/install.md',
  others: [
    ...forBoth,
    'docs/client.md',
    'docs/resp.md',
    'docs/redis-locks.md',
    'docs/config.md',
    'docs/admin.md',
    'docs/admin-overview.png',
    'docs/admin-traffic.png',
    'docs/admin-lock-dark.png',
    'docs/operations.md',
    'docs/monitoring.md',
    'docs/metrics.md',
    'docs/backup.md',
    'docs/sizing.md',
    'deploy',
    'config.yml',
  ],
};

/** Copies them into `directory`, which has to exist. */
export function copyDocuments({ readme, others }: Documents, directory: string): void {
  const placed = new Map([[readme, 'README.md'], ...others.flatMap(filesIn).map((file) => [file, file] as const)]);
  for (const [file, place] of placed) {
    const target = path.join(directory, place);
    fs.mkdirSync(path.dirname(target), { recursive: true });
    if (file.endsWith('.md')) fs.writeFileSync(target, withLinks(file, placed));
    else fs.copyFileSync(path.join(root, file), target);
  }
}

function filesIn(name: string): string[] {
  if (!fs.statSync(path.join(root, name)).isDirectory()) return [name];
  return fs.readdirSync(path.join(root, name)).map((file) => `${name}/${file}`);
}

/** The text of a document, whose links lead to where `placed` has their targets. Code stays as it is. */
function withLinks(file: string, placed: ReadonlyMap<string, string>): string {
  const text = fs.readFileSync(path.join(root, file), 'utf8');
  return text
    .split(/^(```.*?^```)$/ms)
    .map((piece) => (piece.startsWith('```') ? piece : piece.replaceAll(anyLink, rewritten)))
    .join('');

  function rewritten(link: string, image: string, words: string, target: string): string {
    if (/^([a-z]+:|#)/.test(target)) return link;
    const [name = '', anchor] = target.split('#');
    const wanted = path.posix.join(path.posix.dirname(file), name).replace(/\/$/, '');
    const place = placed.get(wanted) ?? placed.get(`${wanted}/README.md`);
    if (place === undefined) return words;
    const there = path.posix.relative(path.posix.dirname(placed.get(file)!), place);
    return `${image}[${words}](${there}${anchor === undefined ? '' : `#${anchor}`})`;
  }
}

const anyLink = /(!?)\[([^\][]*)\]\(([^)\s]+)\)/g;
