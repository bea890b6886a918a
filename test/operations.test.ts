/**
 * Every kind of operation is known wherever it must be: in the documents, the client, the command, the contract model,
 * the generators, and the seeded bugs. The compiler asks for a row here for each kind; a place that a kind does not
 * have is named, with the reason.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { program } from '../src/cli/commands.ts';
import type { CommandSpec } from '../src/cli/command-spec.ts';
import { DragonLock } from '../src/client/dragon-lock.ts';
import { call, routeOf } from '../src/protocol/operations/call.ts';
import {
  calls,
  commands,
  sectionNames,
  sections,
  sectionsIn,
  type CallName,
  type CommandKind,
  type SectionName,
} from '../src/protocol/operations/operations.ts';
import { anchors } from './docs/markdown.ts';
import { root } from './docs/server-child.ts';
import { seededBugs } from './seeded-bugs/bugs.ts';

/** Why a kind is not there. */
interface Absent {
  readonly absent: string;
}

/** A file of each folder, by the name of the noun. */
interface Noun {
  /** Heading in docs/http.md. */
  readonly docs: string;
  readonly client: string | Absent;
  readonly cli: string | Absent;
  readonly generator: string | Absent;
  readonly bug: string;
}

const nouns = {
  kv: {
    docs: 'Keys and values',
    client: 'kv',
    cli: 'kv',
    generator: 'kv',
    bug: 'a KVSet is applied although a Check failed',
  },
  counter: {
    docs: 'Counters',
    client: 'counters',
    cli: 'counter',
    generator: 'counter',
    bug: 'a counter wraps instead of overflowing',
  },
  sequence: {
    docs: 'Sequences',
    client: 'sequences',
    cli: 'sequence',
    generator: 'sequence',
    bug: 'a failed batch consumes a sequence number',
  },
  lock: { docs: 'Locks', client: 'lock', cli: 'lock', generator: 'lock', bug: 'any fence unlocks' },
  limit: {
    docs: 'Rate limits',
    client: 'limits',
    cli: 'limit',
    generator: 'limit',
    bug: 'a limit takes more at once than its burst',
  },
  mutex: {
    docs: 'Mutexes',
    client: 'dragon-lock',
    cli: { absent: 'a mutex ends with the server; a script that must not run twice takes a lock' },
    generator: 'mutex',
    bug: 'a mutex is given to any request',
  },
  queue: {
    docs: 'Queues',
    client: 'queue',
    cli: 'queue',
    generator: 'queue',
    bug: 'an ack needs no receipt',
  },
  task: {
    docs: 'Tasks',
    client: 'task',
    cli: 'task',
    generator: 'task',
    bug: 'a run is recorded although its task has changed',
  },
  idempotency: {
    docs: 'Idempotency',
    client: 'batch',
    cli: 'batch',
    generator: 'idempotency',
    bug: 'a replay ignores that the payload is another',
  },
  watch: {
    docs: 'Watches',
    client: 'watches',
    cli: 'kv-watch',
    generator: { absent: 'a watch changes nothing; test/sim/watchers.ts makes them' },
    bug: 'a watcher is not asked for again when the version is the one it has',
  },
  usage: {
    docs: 'Usage and quotas',
    client: 'usage',
    cli: 'usage',
    generator: 'usage',
    bug: 'an account may add over its quota',
  },
  account: {
    docs: 'Accounts as a whole',
    client: 'account',
    cli: 'account',
    generator: { absent: 'a deletion goes on in commits of its own; test/shard-worker/core/deletions.test.ts' },
    bug: 'a swept account is open before all of it is gone',
  },
  audit: {
    docs: 'Audit log',
    client: { absent: 'for administrators, who have the admin page and /admin/audit' },
    cli: { absent: 'as for the client' },
    generator: { absent: 'front ends add entries; test/front-end/http/audited.test.ts' },
    bug: 'a force is not noted in the audit log',
  },
  script: {
    docs: 'Scripts',
    client: 'scripts',
    cli: 'script',
    generator: 'script',
    bug: 'a call leaves out the check of a key that it has read',
  },
  'string-op': {
    docs: 'Keys and values',
    client: { absent: 'operations as Redis knows them are for Redis clients, and have no place in the HTTP API' },
    cli: { absent: 'as for the client' },
    generator: 'string-op',
    bug: 'an operation that Redis would refuse undoes those before it',
  },
} as const satisfies Record<string, Noun>;

const nounOf = {
  guard: 'lock',
  unlock: 'lock',
  unlocks: 'lock',
  locks: 'lock',
  lock: 'lock',
  check: 'kv',
  limit: 'limit',
  counter: 'counter',
  sequence: 'sequence',
  get: 'kv',
  set: 'kv',
  ops: 'string-op',
  clear: 'kv',
  range: 'kv',
  ack: 'queue',
  nack: 'queue',
  extend: 'queue',
  dequeue: 'queue',
  enqueue: 'queue',
  queueChange: 'queue',
  tasks: 'task',
  taskCancel: 'task',
  taskChange: 'task',
  taskEnd: 'task',
  taskSetting: 'task',
  audit: 'audit',
  same: 'script',
  script: 'script',
  answer: 'script',
  wipe: 'account',
  load: 'account',
} as const satisfies Record<SectionName, keyof typeof nouns>;

/** The method of the client, and the subcommand, that make each call. */
const callers = {
  'kv.list': { client: 'kv.list', cli: 'kv list' },
  'kv.get': { client: 'kv.get', cli: 'kv get' },
  'kv.set': { client: 'kv.set', cli: 'kv put' },
  'kv.clear': { client: 'kv.deletePrefix', cli: 'kv del' },
  'kv.delete': { client: 'kv.delete', cli: 'kv del' },
  'counter.list': { client: 'counter.list', cli: 'counter list' },
  'counter.get': { client: 'counter.get', cli: 'counter get' },
  'counter.add': { client: 'counter.add', cli: 'counter add' },
  'counter.reset': { client: 'counter.reset', cli: 'counter reset' },
  'sequence.get': { client: 'sequence.get', cli: 'seq get' },
  'sequence.next': { client: 'sequence.next', cli: 'seq next' },
  'sequence.reset': { client: 'sequence.reset', cli: 'seq reset' },
  'lock.list': { client: 'locks.list', cli: 'locks' },
  'lock.get': { client: 'locks.get', cli: 'locks' },
  'lock.acquire': { client: 'lock', cli: 'lock' },
  'lock.release': { client: 'locks.force', cli: 'locks' },
  'limit.take': { client: 'limit', cli: 'limit' },
  'mutex.lock': { client: 'mutex', cli: nouns.mutex.cli },
  'mutex.unlock': { client: 'mutex', cli: nouns.mutex.cli },
  'queue.list': { client: 'queues.list', cli: 'queue list' },
  'queue.stat': { client: 'queue', cli: 'queue stat' },
  'queue.send': { client: 'queue', cli: 'queue send' },
  'queue.policy': { client: 'queue', cli: 'queue policy' },
  'queue.delete': { client: 'queue', cli: 'queue purge' },
  'queue.take': { client: 'queue', cli: 'queue take' },
  'queue.ack': { client: 'queue', cli: 'queue ack' },
  'queue.nack': { client: 'queue', cli: 'queue nack' },
  'queue.extend': { client: 'queue', cli: 'queue work' },
  'queue.peek': { client: 'queue', cli: 'queue peek' },
  'queue.pause': { client: 'queue', cli: 'queue pause' },
  'queue.resume': { client: 'queue', cli: 'queue resume' },
  'queue.purge': { client: 'queue', cli: 'queue purge' },
  'queue.redrive': { client: 'queue', cli: 'queue redrive' },
  'task.list': { client: 'tasks.list', cli: 'task list' },
  'task.get': { client: 'tasks.get', cli: 'task show' },
  'task.create': { client: 'tasks.at', cli: 'task at' },
  'task.make': { client: 'tasks.at', cli: { absent: 'a shell has words for a name' } },
  'task.cancel': { client: 'tasks.cancel', cli: 'task cancel' },
  'task.run': { client: 'tasks.run', cli: 'task run' },
  'task.pause': { client: 'tasks.pause', cli: 'task pause' },
  'task.resume': { client: 'tasks.resume', cli: 'task resume' },
  'flow.get': { client: 'flows.get', cli: 'task flow' },
  'flow.set': { client: 'flows.set', cli: 'task flow' },
  'flow.delete': { client: 'flows.delete', cli: 'task flow' },
  'secret.get': { client: 'tasks.secret', cli: 'task secret' },
  'secret.rotate': { client: 'tasks.rotateSecret', cli: 'task secret' },
  'script.list': { client: 'scripts.list', cli: 'script list' },
  'script.get': { client: 'scripts.get', cli: 'script show' },
  'script.put': { client: 'scripts.put', cli: 'script put' },
  'script.delete': { client: 'scripts.delete', cli: 'script del' },
  'account.export': { client: 'accounts.export', cli: 'export' },
  'account.import': { client: 'accounts.import', cli: 'import' },
  'account.delete': { client: 'accounts.delete', cli: 'account delete' },
  'account.usage': { client: 'usage', cli: 'usage' },
} as const satisfies Record<CallName, { readonly client: string; readonly cli: string | Absent }>;

/** Commands that no call of the table makes. */
const madeElsewhere = {
  'watch.key': 'POST /watch/:acc',
  'watch.lock': 'POST /watch/:acc',
  'account.list': 'GET /admin/accounts',
  'lock.longest': 'GET /admin/locks',
  'lock.line': 'GET /admin/locks/:acc/:id',
  'audit.list': 'GET /admin/audit',
} as const satisfies Partial<Record<CommandKind, string>>;

/** Commands that no client can make. */
const own = new Set<CommandKind>(['task.due', 'task.begin']);

const http = read('docs/http.md');

test('every noun has its files, its section in docs/http.md, and a seeded bug', () => {
  const headings = anchors(http);
  for (const [noun, { docs, client, cli, generator, bug }] of Object.entries(nouns)) {
    assert.ok(headings.has(docs.toLowerCase().replaceAll(' ', '-')), `docs/http.md has a section "${docs}"`);
    const files = [
      [client, 'src/client'],
      [cli, 'src/cli'],
      [generator, 'test/support/generators'],
      [noun, 'test/support/contract'],
      [noun, 'src/protocol/operations'],
    ] as const;
    for (const [name, folder] of files) {
      if (typeof name === 'string') assert.ok(exists(`${folder}/${name}.ts`), `${noun}: ${folder}/${name}.ts is there`);
    }
    assert.ok(
      seededBugs.some(({ name }) => name === bug),
      `${noun}: there is a seeded bug "${bug}"`,
    );
  }
  const declared = fs.readdirSync(path.join(root, 'src/protocol/operations')).map((file) => file.replace('.ts', ''));
  const helpers = new Set([
    'account-lines',
    'account-memories',
    'account-tasks',
    'admin',
    'admin-calls',
    'by-sections',
    'kv-pages',
    'lock-sets',
    'lock-sharing',
    'operations',
    'section',
    'command',
    'call',
    'fields',
    'queue-calls',
    'queue-change',
    'queue-policy',
    'queue-receipts',
    'task-body',
    'task-calls',
    'task-definition',
    'task-setting',
    'task-url',
  ]);
  assert.deepEqual(declared.filter((file) => !helpers.has(file)).toSorted(), Object.keys(nouns).toSorted());
});

test('every section of a batch is in the documents, in the client and in the contract model', () => {
  const client = read('src/client/batch-to-wire.ts');
  for (const [name, { body, schema }] of Object.entries(sections)) {
    const noun = nounOf[name as SectionName];
    const model = read(`test/support/contract/${noun}.ts`);
    assert.match(model, new RegExp(`\\b${name}\\b`), `test/support/contract/${noun}.ts knows ${name}`);
    if (Object.keys(schema).length === 0) continue;
    assert.ok(http.includes(`\`${body}\``), `docs/http.md explains ${body}`);
    for (const member of Object.keys(schema))
      assert.match(client, new RegExp(`\\b${member}\\b`), `the client writes ${member}`);
  }
});

test('every section of a batch has a bit of its own', () => {
  const bits = sectionNames.map((name) => sectionsIn({ [name]: [] }));
  assert.equal(new Set(bits).size, sectionNames.length);
  for (const bit of bits) assert.ok(bit > 0 && (bit & (bit - 1)) === 0, 'one bit');
  assert.equal(sectionsIn({}), 0);
});

test('every call is in the documents, in the client and in the command', () => {
  const client = new DragonLock({ url: 'http://127.0.0.1:1', account: 'a' });
  for (const [name, { path: route }] of Object.entries(calls)) {
    const { client: member, cli } = callers[name as CallName];
    assert.ok(http.includes(routeOf({ path: route }).replace('*', ':id')), `docs/http.md has /db/:acc/${route}`);
    assert.equal(typeof memberOf(client, member), 'function', `the client has ${member}`);
    if (typeof cli === 'string') assert.ok(subcommand(cli), `the command has "${cli}"`);
  }
});

test('every command is made by a call, or a route is named that makes it', () => {
  const made = new Set<string>(
    Object.values(calls).map(({ command }) => {
      const make = command as ReturnType<typeof call>['command'];
      const query = { rate: 1, prefix: 'a', id: '"1-0"', lock: 1, do: 'retry', confirm: 'a' };
      return (
        make({ account: 'a', id: 'x', query, value: '{}', secret: () => '', newID: () => '' } as never) as {
          kind: string;
        }
      ).kind;
    }),
  );
  for (const kind of Object.keys(commands))
    assert.ok(made.has(kind) || kind in madeElsewhere || own.has(kind as CommandKind), `${kind} can be asked for`);
  for (const route of Object.values(madeElsewhere)) assert.ok(http.includes(route), `docs/http.md has ${route}`);
});

function memberOf(client: DragonLock, name: string): unknown {
  return name.split('.').reduce<unknown>((value, part) => (value as Record<string, unknown>)[part], client);
}

function subcommand(words: string): boolean {
  let at: CommandSpec | undefined = program;
  for (const word of words.split(' ')) at = at?.commands?.find(({ name }) => name === word);
  return at !== undefined;
}

function exists(file: string): boolean {
  return fs.existsSync(path.join(root, file));
}

function read(file: string): string {
  return fs.readFileSync(path.join(root, file), 'utf8');
}
