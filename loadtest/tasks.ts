/**
 * `node loadtest/tasks.ts`: how fast tasks run when they are due, on this machine.
 *
 *   due       500 tasks a second, each due a second after it is made: from its instant to its request at a receiver here
 *   requests  --tasks due at one moment, over 100 accounts: requests a second at the receiver
 *   messages  the same into queues: messages a second
 *   later     --later tasks that are due in a day: memory of the server, and how long it takes to start again
 *
 * It ends by itself, at the latest after ten minutes.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { endAfter, within } from './deadlines.ts';
import { DragonLock } from './servers/dragon-lock.ts';
import { diesWithUs } from './servers/programs.ts';
import { call } from './servers/requests.ts';
import { quantile } from './statistics.ts';

const { values: flags } = parseArgs({
  options: {
    tasks: { type: 'string', default: '20000' },
    later: { type: 'string', default: '200000' },
    seconds: { type: 'string', default: '15' },
    'data-dir': { type: 'string', default: '.' },
  },
});
const tasks = Number(flags.tasks);
const later = Number(flags.later);
const accounts = 100;
const perSecond = 500;
const stepMs = 180_000;

const directory = fs.mkdtempSync(path.join(flags['data-dir'], '.loadtest-tasks-'));
const children: ChildProcess[] = [];
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  fs.rmSync(directory, { recursive: true, force: true });
});
endAfter(600_000, (text) => process.stderr.write(`${text}\n`));

/** Milliseconds behind the instant at which each request came. */
const late: number[] = [];
let lastAt = 0;
const sink = http.createServer((request, response) => {
  late.push(Date.now() - Number(request.headers['dragonlock-scheduled']));
  lastAt = performance.now();
  request.resume();
  response.end('{}');
});
sink.listen(0, '127.0.0.1');
await once(sink, 'listening');
const port = (sink.address() as AddressInfo).port;
const url = `http://127.0.0.1:${port}/hook`;

const dataDirectory = path.join(directory, 'data');
const settings = { tasks: { allow: [`127.0.0.1:${port}`] } };
const program = [...diesWithUs(), process.execPath, path.resolve(import.meta.dirname, '../src/main/server.ts')];
const start = (): Promise<DragonLock> =>
  DragonLock.start(dataDirectory, settings, (child) => children.push(child), program);
let server = await start();

await within('due', stepMs, measureDue());
await within(
  'requests',
  stepMs,
  measureBurst('requests', (id) => ({ ID: id, URL: url, Body: { id } })),
);
await within(
  'messages',
  stepMs,
  measureBurst('messages', (id) => ({ ID: id, Queue: 'due', Data: { id } })),
);
await within('later', 2 * stepMs, measureLater());
await server.stop();
sink.closeAllConnections();
sink.close();

async function measureDue(): Promise<void> {
  const count = Number(flags.seconds) * perSecond;
  late.length = 0;
  const begun = performance.now();
  for (let made = 0; made < count; ) {
    const batch = Array.from({ length: 25 }, (_, i) => ({ ID: `d/${made + i}`, Delay: 1, URL: url }));
    void call(server.target, `/db/tasks-${made % accounts}`, { Tasks: batch });
    made += batch.length;
    await sleep(Math.max(0, begun + (made / perSecond) * 1000 - performance.now()));
  }
  while (late.length < count) await sleep(50);
  tell('due', `p50 ${quantile(late, 0.5)} ms, p99 ${quantile(late, 0.99)} ms behind its instant, ${perSecond}/s`);
}

async function measureBurst(name: string, task: (id: string) => object): Promise<void> {
  late.length = 0;
  const at = Math.ceil(Date.now() / 1000) + 8;
  await make(tasks, (id) => ({ ...task(`${name}/${id}`), At: at }));
  if (Date.now() / 1000 > at) throw new Error('It took too long to make the tasks');
  await sleep(at * 1000 - Date.now());
  const begun = performance.now();
  if (name === 'messages') {
    while ((await ready()) < tasks) await sleep(20);
    lastAt = performance.now();
  } else {
    while (late.length < tasks) await sleep(20);
  }
  tell(name, `${Math.round((tasks / (lastAt - begun)) * 1000).toLocaleString('en-US')} a second`);
}

async function ready(): Promise<number> {
  const counts = await Promise.all(
    Array.from({ length: accounts }, async (_, i) => {
      const reply = await fetch(`http://127.0.0.1:${server.target.port}/db/tasks-${i}/queue/due`);
      return ((await reply.json()) as { Ready: number }).Ready;
    }),
  );
  return counts.reduce((sum, one) => sum + one, 0);
}

async function measureLater(): Promise<void> {
  const before = resident();
  await make(later, (id) => ({ ID: `l/${id}`, Delay: 86_400, Queue: 'later', Data: 'x' }));
  await sleep(2000);
  const after = resident();
  await server.stop();
  const empty = server.startMs;
  server = await start();
  const start2 = Math.round(server.startMs);
  tell(
    'later',
    `${later.toLocaleString('en-US')} tasks: ${before} MB before, ${after} MB after; start ${Math.round(empty)} ms empty, ${start2} ms with them`,
  );
}

/** Makes tasks in batches of 100, over all accounts. */
async function make(count: number, task: (id: string) => object): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) {
      const first = next;
      next += 100;
      const batch = Array.from({ length: Math.min(100, count - first) }, (_, i) => task(String(first + i)));
      await call(server.target, `/db/tasks-${(first / 100) % accounts}`, { Tasks: batch });
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}

function resident(): number {
  const status = fs.readFileSync(`/proc/${server.pid}/status`, 'utf8');
  return Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024);
}

function tell(name: string, text: string): void {
  process.stdout.write(`${name.padEnd(9)} ${text}\n`);
}
