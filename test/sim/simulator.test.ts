/**
 * Runs some seeds (`DRAGONLOCK_SIM_SEEDS`; torture runs thousands): the real routers, shards and journal on a simulated clock, disk and scheduler (see
 * world.ts), and checks each answer against the disk. Seeds run in processes of their own, because a failure may be an
 * unhandled rejection. A kind of fault that never took effect is a failure too: then nothing was tested.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);
const script = new URL('run.ts', import.meta.url).pathname;
const seeds = Number(process.env['DRAGONLOCK_SIM_SEEDS'] ?? 240);

interface Summary {
  readonly runs: number;
  readonly counts: Readonly<Record<string, number>>;
}

/** Events that must have happened at least once over all seeds. */
const mustHappen = [
  'power cut between two steps',
  'power cut inside a disk call',
  'power cut after an answer',
  'crash during recovery',
  'torn frame',
  'process ended by EIO',
  'process ended by ENOSPC',
  'EIO write',
  'EIO datasync',
  'EIO read',
  'restart without a power cut',
  'steps on a full disk',
  'start on a full disk',
  'no room for a checkpoint',
  'damage',
  'clock set back',
  'clock set forward',
  'client vanished',
  'array',
  'slow stream closed',
  'watch compacted',
  'overtaking',
  'checkpoint',
  'segment removed',
  'clean stop',
  'step while the disk is busy',
  'answer compared with the model',
  'grant compared with an earlier one',
  'commit of an operation that was never answered',
  'queues: redeliveries',
  'queues: settled',
  'queues: refused',
  'queues: ordered',
  'shared locks: together',
  'shared locks: sets',
  'whole accounts: seen',
  'whole accounts: wipes',
  'whole accounts: loads',
  'shared locks: proven',
];
/** These happen in about one of a hundred seeds. `sweep.ts --errors` has each at every disk call. */
const mustHappenInMany = [
  'EIO rename',
  'EIO syncDirectory',
  'EMFILE open',
  'ENFILE open',
  'EACCES rename',
  'process ended by EACCES',
];
const mustSucceed = [
  'set',
  'set if version',
  'set many',
  'merge',
  'delete',
  'check',
  'get',
  'transfer',
  'audit',
  'counter',
  'sequence',
  'ops',
  'ops beside others',
  'lock',
  'lock and set',
  'unlock',
  'force',
  'guard',
  'extend',
  'one lock for another',
  'once',
  'retry',
  'list',
  'list locks',
  'inspect',
  'mutex',
  'mutex unlock',
  'enqueue',
  'enqueue and set',
  'enqueue once',
  'dequeue',
  'ack',
  'ack and dequeue',
  'ack, unlock and set',
  'nack',
  'extend a delivery',
  'move a message',
  'shared lock',
  'whole account',
  'queue policy',
  'queue change',
  'pause or resume',
  'redrive',
  'queue stat',
  'peek',
  'clear',
  'get a page',
  'list counters',
  'drain',
];

test(`${seeds} seeds: what was answered is true, durable and whole, whatever breaks`, async () => {
  const half = Math.ceil(seeds / 2);
  const parts = await Promise.all([simulate(`1..${half}`), simulate(`${half + 1}..${seeds}`)]);
  assert.equal(parts[0].runs + parts[1].runs, seeds);
  const count = (name: string): number => parts.reduce((sum, { counts }) => sum + (counts[name] ?? 0), 0);
  const expected = [
    ...mustHappen,
    ...(seeds < 500 ? [] : mustHappenInMany),
    ...mustSucceed.map((what) => `${what}: ok`),
  ];
  const never = expected.filter((name) => count(name) === 0);
  assert.deepEqual(never, [], 'all of these must take effect at least once');
});

test('the same seed is the same run, event by event', async () => {
  const [first, second] = await Promise.all([digests(), digests()]);
  assert.equal(first.split('\n').length, 11);
  assert.equal(first, second);
});

async function simulate(range: string): Promise<Summary> {
  const { stdout } = await run(process.execPath, [script, '--seeds', range, '--json']).catch(explain);
  return JSON.parse(stdout) as Summary;
}

async function digests(): Promise<string> {
  const { stdout } = await run(process.execPath, [script, '--seeds', '1..10', '--digests']).catch(explain);
  return stdout;
}

/** The child prints which seed failed, why, and how to repeat it. */
function explain(error: Error & { stderr?: string }): never {
  throw new Error(error.stderr ?? error.message, { cause: error });
}
