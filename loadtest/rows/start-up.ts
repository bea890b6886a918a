/**
 * Measures a start, from the process to /readyz: on an empty directory, and with as much journal as a crash can leave.
 */
import { valueOf } from '../load/workloads.ts';
import type { Sample } from '../results.ts';
import { DragonLock } from '../servers/dragon-lock.ts';
import { call } from '../servers/requests.ts';
import { writeJournal } from '../write-journal.ts';
import { oursTitle } from './contestants.ts';
import type { Row, Run, ServerSpec } from './row.ts';

const spec: ServerSpec = { kind: 'dragonlock', settings: {} };
const journalBytes = 200_000_000;
const journalBytesQuick = 10_000_000;
const accounts = 1000;
const keysPerAccount = 100;
const keysChecked = 200;

type KeyOf = (record: number) => { account: string; key: string };

/** Writes each key again and again. */
const rewritten: KeyOf = (record) => ({
  account: `load${record % accounts}`,
  key: `key-${Math.floor(record / accounts) % keysPerAccount}`,
});

/** Writes another key with each record, so that replay fills memtables and makes checkpoints. */
const distinct: KeyOf = (record) => ({
  account: `load${record % accounts}`,
  key: `key-${Math.floor(record / accounts)}`,
});

export const startRows: readonly Row[] = [
  {
    ...head('start-empty', 'start on an empty directory'),
    contestants: [
      {
        title: oursTitle,
        starts: spec,
        async measure(run: Run) {
          return timed(await startOurs(run, run.newDirectory()), {});
        },
      },
    ],
  },
  {
    ...head('start-replay', 'start after a crash: 200 MB of journal, 100,000 keys written again and again'),
    goals: [{ bound: 'at most', value: 10 }],
    contestants: [{ title: oursTitle, starts: spec, measure: (run: Run) => replay(run, rewritten) }],
  },
  {
    ...head('start-replay-distinct', 'start after a crash: 200 MB of journal, each record another key'),
    repeats: 1,
    contestants: [{ title: oursTitle, starts: spec, measure: (run: Run) => replay(run, distinct) }],
  },
];

function head(name: string, title: string): Pick<Row, 'name' | 'title' | 'group' | 'unit' | 'better' | 'local'> {
  return { name, title, group: 'size', unit: 's', better: 'less', local: true };
}

async function startOurs(run: Run, directory: string): Promise<DragonLock> {
  const server = await run.start(spec, directory);
  if (!(server instanceof DragonLock))
    throw new Error('expected a server that the load test starts, got a running one');
  return server;
}

function timed({ startMs }: DragonLock, extra: Record<string, number>): Sample {
  return { value: startMs / 1000, seconds: startMs / 1000, requests: 0, units: 1, extra };
}

async function replay(run: Run, keyOf: KeyOf): Promise<Sample> {
  const directory = run.newDirectory();
  const value = valueOf(64);
  const bytes = run.quick ? journalBytesQuick : journalBytes;
  const written = await writeJournal(directory, bytes, JSON.stringify(value), keyOf);
  const server = await startOurs(run, directory);
  const replayed = server.serving['replayed'];
  if (replayed !== written.records)
    throw new Error(`expected ${written.records} replayed records, got ${String(replayed)}`);
  for (let checked = 0; checked < keysChecked; checked++) {
    const record = written.records - 1 - Math.floor((written.records * checked) / keysChecked);
    const { account, key } = keyOf(record);
    const { KV } = (await call(server.target, `/db/${account}`, { KVGet: [key] })) as { KV: { Value?: string }[] };
    if (KV[0]?.Value !== value)
      throw new Error(`${account}/${key} after the replay: expected ${value}, got ${JSON.stringify(KV[0])}`);
  }
  await server.stop();
  run.remove(directory);
  return timed(server, {
    'records replayed': written.records,
    'MB of journal': written.bytes / 1e6,
    'keys read back': keysChecked,
  });
}
