/**
 * What a linter cannot see: who may import whom, where clock and disk may be used, how long a file may be, that documents
 * list what there is and their links lead somewhere. An exception is named below, with its reason; one that is not
 * needed any more fails too, so that the lists only get shorter.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { errorCodes } from '../src/protocol/errors.ts';
import { failpoints } from '../src/shared/failpoints.ts';
import { anchors, links, prose, tableUnder } from './docs/markdown.ts';
import { root } from './docs/server-child.ts';

const tracked = trackedFiles();
const source = new Map(tracked.filter((file) => /^src\/.*\.ts$/.test(file)).map((file) => [file, read(file)]));
const documents = tracked.filter((file) => file.endsWith('.md'));

/** From the ground up: a folder imports those in front of it, and itself. */
const levels = [
  'shared',
  'protocol',
  'journal',
  'storage',
  'shard-worker',
  'backup',
  'router',
  'cluster',
  'scripts',
  'front-end',
  'dispatcher',
  'main',
] as const;
/** These run elsewhere. Of the server they know what crosses the wire, and the limits that they would meet. */
const outside: Readonly<Record<string, RegExp>> = {
  client: /^src\/(client|shared)\/|^src\/protocol\/errors\.ts$/,
  cli: /^src\/(cli|client|shared)\/|^src\/protocol\/errors\.ts$/,
};
/** The same within a folder, where its subfolders have an order: `.` is the folder itself. */
const sublevels: Readonly<Record<string, readonly string[]>> = {
  'src/shard-worker': ['core', '.'],
  'src/shard-worker/core': ['state', 'operations', 'batch', '.'],
  'src/journal': ['file', '.'],
  'src/client': ['.', 'store'],
};

test('a folder imports only folders below it', () => {
  for (const [file, text] of source) {
    const folder = file.split('/')[1] ?? '';
    const height = (levels as readonly string[]).indexOf(folder);
    const allowed = outside[folder];
    assert.ok(
      height >= 0 || allowed !== undefined,
      `${file}: a new folder in src/ needs a level here, and a word in ARCHITECTURE.md`,
    );
    for (const { target } of importsOf(file, text)) {
      if (!target.startsWith('src/')) continue;
      if (allowed !== undefined) {
        assert.match(target, allowed, `${file} imports ${target}: it knows the server as a client does`);
        continue;
      }
      const other = (levels as readonly string[]).indexOf(target.split('/')[1] ?? '');
      assert.ok(other >= 0 && other <= height, `${file} imports ${target}, which is not below it`);
    }
  }
});

test('a subfolder imports only subfolders below it', () => {
  for (const [folder, order] of Object.entries(sublevels)) {
    const levelOf = (file: string): number => {
      const [first = '', ...deeper] = file.slice(folder.length + 1).split('/');
      const level = order.indexOf(deeper.length === 0 ? '.' : first);
      assert.ok(level >= 0, `${file}: a new folder in ${folder}/ needs a level here`);
      return level;
    };
    for (const [file, text] of source) {
      if (!file.startsWith(`${folder}/`)) continue;
      for (const { target } of importsOf(file, text)) {
        if (!target.startsWith(`${folder}/`)) continue;
        assert.ok(levelOf(target) <= levelOf(file), `${file} imports ${target}, which is not below it`);
      }
    }
  }
});

test("the journal's files are known to the journal and to those who put the server together", () => {
  // Everybody else takes a `Journal` or a `JournalSource`: the log may be somewhere else one day.
  const composing = new Exceptions([
    'src/front-end/front-end.ts',
    'src/shard-worker/shard-thread.ts',
    'src/backup/backup-thread.ts',
    'src/dispatcher/dispatcher-thread.ts',
    // A backup holds frames as the journal has them, and a restore makes a journal.
    'src/backup/format/shipped-frames.ts',
    'src/backup/restore/new-log.ts',
    'src/backup/restore/in-place.ts',
    // The log of a cell is somewhere else; a node's mirror of it has frames and segments as the journal has them.
    'src/cluster/cell-frames.ts',
    'src/cluster/engine-journal.ts',
    'src/cluster/mirror.ts',
    'src/cluster/start-cell.ts',
  ]);
  for (const [file, text] of source) {
    if (/^src\/(journal|main)\//.test(file)) continue;
    for (const { target } of importsOf(file, text)) {
      if (!target.startsWith('src/journal/file/')) continue;
      assert.ok(composing.has(file), `${file} imports ${target}: take a Journal or a JournalSource instead`);
    }
  }
  composing.assertAllUsed();
});

test('no file imports itself over others', () => {
  const files = new Map(
    tracked.filter((name) => /^(src|loadtest)\/.*\.ts$/.test(name)).map((name) => [name, read(name)]),
  );
  const finished = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    if (finished.has(file)) return;
    assert.ok(!path.includes(file), `a circle: ${[...path.slice(path.indexOf(file)), file].join(' → ')}`);
    for (const { target } of importsOf(file, files.get(file)!)) if (files.has(target)) visit(target, [...path, file]);
    finished.add(file);
  };
  for (const file of files.keys()) visit(file, []);
});

test('an exported name is one thing: in the server, and in the client with its command', () => {
  // Both are public in both entry points of the npm package, by the names that their users know.
  const shared = new Exceptions(['LockOptions', 'WatchOptions']);
  const spaces: Readonly<Record<string, Map<string, string>>> = { server: new Map(), client: new Map() };
  for (const [file, text] of source) {
    const names = /^src\/(client|cli)\//.test(file) ? spaces['client']! : spaces['server']!;
    const exported = text.matchAll(
      /^export (?:abstract |async |declare )*(?:class|const|function\*?|interface|type) ([\w$]+)/gm,
    );
    for (const [, name = ''] of exported) {
      const other = names.get(name);
      if (other !== undefined) assert.ok(shared.has(name), `${name} is exported by ${other} and by ${file}`);
      names.set(name, file);
    }
  }
  shared.assertAllUsed();
});

test('core/ imports nothing that does I/O', () => {
  const allowed =
    /^(src\/shard-worker\/core\/|src\/protocol\/|src\/shared\/(assert|limits|task-limits|stored-json|text)\.ts$|sorted-btree$)/;
  for (const [file, text] of source) {
    if (!file.startsWith('src/shard-worker/core/')) continue;
    for (const { target } of importsOf(file, text)) assert.match(target, allowed, `${file} imports ${target}`);
  }
});

test('time comes from shared/clock.ts, randomness from the composition root', () => {
  // Wall time beside the monotonic one, which stands still while a client's computer sleeps.
  assertOnlyIn(/\bDate\.now\b|\bnew Date\b/, ['src/client/lease-clock.ts', 'src/shared/clock.ts']);
  assertOnlyIn(/\bperformance\.(now|timeOrigin)\b/, [
    'src/shared/clock.ts',
    'src/client/lease-clock.ts',
    // Durations for metrics and the log, as defaults that tests replace.
    'src/journal/file/journal-options.ts',
    'src/front-end/http/app.ts',
    'src/main/server.ts',
  ]);
  assertOnlyIn(/\bset(Timeout|Interval)\(/, [
    'src/journal/file/journal-options.ts',
    'src/shard-worker/shard-thread.ts',
    // A database that is cut off never answers.
    'src/cluster/pg-engine/connection.ts',
    'src/shared/clock.ts',
    'src/front-end/http/event-stream.ts',
    'src/front-end/front-end.ts',
    'src/front-end/http/routes/watch-stream.ts',
    // The timeout of a socket, which Node keeps.
    'src/front-end/http/sockets/unread-replies.ts',
    'src/front-end/resp/output.ts',
  ]);
  assertOnlyIn(/\bMath\.random\b/, [
    'src/client/dragon-lock.ts',
    'src/cli/raw-calls.ts',
    // Scripts have another one.
    'src/scripts/machine/prelude.ts',
  ]);
  assertOnlyIn(/\brandomBytes\b.*'node:crypto'/, [
    'src/main/data-directory/open-data-directory.ts',
    'src/main/server.ts',
    'src/backup/backup-thread.ts',
    'src/main/backup/backup-commands.ts',
    'src/shared/new-secret.ts',
  ]);
  for (const [file, text] of source) {
    if (!file.startsWith('src/shard-worker/core/')) continue;
    lacks(code(text), /\b(performance|setTimeout|setImmediate|setInterval|queueMicrotask|await|process)\b/, file);
  }
});

test('files are touched in few places', () => {
  assertOnlyIn(/(from |getBuiltinModule\()'node:fs(\/promises)?'/, [
    'src/shared/disk.ts',
    // The files of the admin page.
    'src/front-end/http/admin/page-files.ts',
    // The id of its thread.
    'src/shared/thread-priority.ts',
    'src/shared/reserved-disk.ts',
    'src/shared/raw-output.ts',
    // The virtual machine, which is a file of its package.
    'src/scripts/machine/quickjs-module.ts',
    // The certificate of the database.
    'src/cluster/pg-engine/engine-url.ts',
    'src/storage/lmdb/lmdb-store.ts',
    'src/storage/lmdb/damaged-store.ts',
    'src/main/config/config.ts',
    'src/main/data-directory/data-directory-lock.ts',
    'src/main/data-directory/clock-file.ts',
    // It looks at the data directory.
    'src/main/doctor/machine.ts',
    // They read /proc.
    'src/main/open-files.ts',
    'src/main/socket-holder.ts',
    'src/main/data-directory/salvage.ts',
    'src/cli/files.ts',
    // Files of exports.
    'src/cli/export-file.ts',
    // A repository may be a directory; a restored data directory has marks; scratch directories, secrets.
    'src/backup/storage/file-storage.ts',
    // It reads /proc, and asks for the space of a file system.
    'src/front-end/process-metrics.ts',
    'src/shared/secret-file.ts',
    // The file of a Unix socket.
    'src/front-end/unix-socket.ts',
    'src/backup/restore/restore-marks.ts',
    'src/main/backup/backup-commands.ts',
    'src/main/backup/open-repository.ts',
    // The id of its thread, and sizes of segments.
    'src/backup/backup-thread.ts',
  ]);
});

test('no source file is longer than 300 lines', () => {
  for (const [file, text] of source) {
    const lines = text.split('\n').length - 1;
    assert.ok(lines <= 300, `${file} has ${lines} lines: split it by what it is about`);
  }
});

test('nothing is of type any, and nothing is left to do in a comment', () => {
  const unfinished = /\b(TO\x44O|FIX\x4dE)\b/;
  for (const file of tracked.filter((name) => name.endsWith('.ts'))) {
    const text = read(file);
    lacks(withoutStrings(code(text)), /\bas any\b|<any[>,]|[:|] any\b *[;,)=|>[\]]/, file);
    lacks(text, unfinished, file);
  }
});

test('the sources have no syntax that Node 22 cannot read', () => {
  for (const [file, text] of source) lacks(code(text), /^\s*(await )?using \w+ =/m, file);
});

test('the documents list every error code and every failpoint', () => {
  const codes = tableUnder(read('docs/errors.md'), 'Errors').map(([name]) => name);
  assert.deepEqual(codes, Object.keys(errorCodes));
  const documented = tableUnder(read('CONTRIBUTING.md'), 'Failpoints').map(([name]) => name);
  assert.deepEqual(documented, [...failpoints]);
  for (const name of failpoints) {
    const calls = [...source.values()].filter((text) => text.includes(`failpoint('${name}')`)).length;
    assert.equal(calls, 1, `the failpoint ${name} is passed in one place`);
  }
});

test('links in the documents lead somewhere', () => {
  assert.ok(documents.length >= 10);
  for (const document of documents) {
    for (const { target, line } of links(read(document))) {
      if (/^[a-z]+:/.test(target)) continue;
      const [file = '', anchor] = target.split('#');
      const place = file === '' ? document : path.join(path.dirname(document), file);
      assert.ok(fs.existsSync(path.join(root, place)), `${document}:${line}: there is no ${place}`);
      if (anchor === undefined) continue;
      assert.ok(anchors(read(place)).has(anchor), `${document}:${line}: there is no heading #${anchor} in ${place}`);
    }
  }
});

test('files that comments and documents name exist', () => {
  const names = tracked.filter((file) => file.endsWith('.ts'));
  const exists = (name: string): boolean => names.some((file) => file === name || file.endsWith(`/${name}`));
  const texts = [
    ...documents.map((file) => [file, prose(read(file))] as const),
    ...names.map((file) => [file, comments(read(file))] as const),
  ];
  for (const [file, text] of texts) {
    for (const [, name = ''] of text.matchAll(/(?<![\w*/.-])((?:[\w-]+\/)*[a-z][\w-]*(?:\.test)?\.ts)\b(?!x)/g)) {
      assert.ok(exists(name), `${file} names ${name}, which is not there`);
    }
  }
});

test('nothing names a machine, a package host or an issue, and words are used for one thing', () => {
  // In pieces, so that this file may be looked at too.
  const machine = new RegExp(['(?<![\\w.:])/(wo', 'rk|ro', 'ot|ho', 'me)/[a-z]|\\.\\./sha', 'red/[A-Z]'].join(''));
  const packageHost = new RegExp(['\\b(np', 'mjs|regis', 'try\\.[a-z]+\\.[a-z]+|arti', 'factory)\\b'].join(''), 'i');
  // A client has a connection, a request and leases; what a fourth word would mean, nobody could say.
  const vague = new RegExp(['(?<!cluster/)\\bses', 'sions?\\b'].join(''), 'i');
  // A node has one over its engine: from a start, or a loss, to the next.
  const ofNodes = /\bcluster\b|^docs\/decisions\/009[0145]-|^test\/seeded-bugs\/bugs\.ts$/;
  const issue = /(^|[\s(])#\d+\b/;
  // Pictures have bytes of any sort.
  for (const file of tracked.filter((name) => !name.endsWith('.png'))) {
    const text = read(file);
    for (const [index, line] of text.split('\n').entries()) {
      for (const pattern of [machine, packageHost, issue]) lacks(line, pattern, `${file}:${index + 1}`);
      // Guides for those who come from elsewhere say the words that are used there.
      if (!file.startsWith('docs/migrating/') && !ofNodes.test(file)) lacks(line, vague, `${file}:${index + 1}`);
    }
    // The lock file leaves open where packages come from.
    lacks(text, /"resolved": "https?:/, file);
  }
});

test('each decision has a status, and the list of decisions repeats it', () => {
  const listed = tableUnder(read('docs/decisions/README.md'), 'Decisions').map(([, status]) => status);
  const records = documents.filter((file) => /^docs\/decisions\/\d{4}-/.test(file)).toSorted();
  const statuses = records.map((file) => {
    const status = /^Status: (.+)$/m.exec(read(file))?.[1]?.replaceAll(/\[(\d{4})\]\(\1-[^)]*\)/g, '$1') ?? '';
    assert.match(status, /^(accepted|superseded by \d{4})(; (amends|amended by) \d{4}(, \d{4})*)*$/, file);
    return status;
  });
  assert.deepEqual(listed, statuses);
});

/** What a rule lets through. Whatever was never needed is reported. */
class Exceptions {
  readonly #unused: Set<string>;
  readonly #all: ReadonlySet<string>;

  constructor(names: readonly string[]) {
    this.#all = new Set(names);
    this.#unused = new Set(names);
  }

  has(name: string): boolean {
    this.#unused.delete(name);
    return this.#all.has(name);
  }

  assertAllUsed(): void {
    assert.deepEqual([...this.#unused], [], 'exceptions that are not needed any more; take them off the list');
  }
}

function lacks(text: string, pattern: RegExp, place: string): void {
  const found = pattern.exec(text)?.[0];
  assert.ok(found === undefined, `${place}: has ${JSON.stringify(found)}, which ${pattern} forbids`);
}

function assertOnlyIn(pattern: RegExp, files: readonly string[]): void {
  const found = [...source].filter(([, text]) => pattern.test(code(text))).map(([file]) => file);
  const unexpected = found.filter((file) => !files.includes(file));
  assert.deepEqual(unexpected, [], `${pattern} is for ${files.join(', ') || 'nobody'}`);
  const unneeded = files.filter((file) => !found.includes(file));
  assert.deepEqual(unneeded, [], `${pattern} is not needed there any more; take it off the list`);
}

/** What a file imports: `src/…` for files of ours, the name for packages. */
function importsOf(file: string, text: string): { target: string; typesOnly: boolean }[] {
  const found = [...text.matchAll(/^(?:import|export)( type)?\b[^;]*?from '([^']+)'|^import '([^']+)'/gm)];
  return found.map(([, type, from, bare]) => {
    const name = from ?? bare ?? '';
    const target = name.startsWith('.') ? path.posix.join(path.posix.dirname(file), name) : name;
    return { target, typesOnly: type !== undefined };
  });
}

/** Without comments. */
function code(text: string): string {
  return text.replaceAll(/\/\*[^]*?\*\/|(?<!:)\/\/.*$/gm, '');
}

function withoutStrings(text: string): string {
  return text.replaceAll(/'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g, "''");
}

function comments(text: string): string {
  return (text.match(/^ *\/\*\*?[^]*?\*\/|^ *\/\/.*$/gm) ?? []).join('\n');
}

function read(file: string): string {
  return fs.readFileSync(path.join(root, file), 'utf8');
}

/** Of a checkout, what git knows; of anything else, what is there. */
function trackedFiles(): string[] {
  const { status, stdout } = spawnSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' });
  if (status === 0 && stdout !== '')
    return stdout.split('\0').filter((file) => file !== '' && fs.existsSync(path.join(root, file)));
  const entries = fs.readdirSync(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
    .filter((file) => !/^(node_modules|data|\.git)\//.test(file));
}
