import { accounts, value64 } from '../load/workloads.ts';
import type { Bench, Figure, Scenario } from '../scenario.ts';
import { medianBy, short, thousands } from '../statistics.ts';
import { writeJournal } from '../write-journal.ts';

const journalBytes = 200_000_000;
const goalSeconds = 10;
const keysPerAccount = 100;
const keysChecked = 200;

interface Variant {
  readonly name: string;
  readonly goal: boolean;
  readonly keyOf: (record: number) => { account: string; key: string };
}

/** Of the same kind as the durable writes: each key written again and again. */
const rewritten: Variant = {
  name: 'a start that replays 200 MB',
  goal: true,
  keyOf: (record) => ({
    account: `load${record % accounts}`,
    key: `key-${Math.floor(record / accounts) % keysPerAccount}`,
  }),
};

/** The memtable fills up on the way, and checkpoints are made in between. */
const distinct: Variant = {
  name: '… each record another key',
  goal: false,
  keyOf: (record) => ({ account: `load${record % accounts}`, key: `key-${Math.floor(record / accounts)}` }),
};

/** The server has crashed, and its journal is as long as it gets: how soon does it serve again? */
export const replay: Scenario = {
  name: 'replay',
  about: 'from the start of the process to /readyz, with 200 MB of journal behind the last checkpoint',
  async run(bench) {
    return [await measureStart(bench, rewritten), await measureStart(bench, distinct)];
  },
};

async function measureStart(bench: Bench, { name, goal, keyOf }: Variant): Promise<Figure> {
  const runs: { seconds: number; records: number }[] = [];
  const repeats = goal ? bench.options.repeats : 1;
  for (let i = 0; i < repeats; i++) {
    const directory = bench.newDirectory();
    const value = JSON.stringify(value64);
    const written = await writeJournal(directory, journalBytes, value, keyOf);
    const server = await bench.startServer({}, directory);
    const replayed = server.serving['replayed'];
    if (replayed !== written.records)
      throw new Error(`${String(replayed)} of ${written.records} records were replayed`);
    for (let checked = 0; checked < keysChecked; checked++) {
      const record = written.records - 1 - Math.floor((written.records * checked) / keysChecked);
      const { account, key } = keyOf(record);
      const { KV } = (await server.call(`/db/${account}`, { KVGet: [key] })) as { KV: { Value?: string }[] };
      if (KV[0]?.Value !== value64) throw new Error(`${account}/${key} is ${JSON.stringify(KV[0])} after the replay`);
    }
    const seconds = server.startMs / 1000;
    bench.progress(`${short(seconds)} s for ${thousands(written.records)} records`);
    runs.push({ seconds, records: written.records });
    await server.stop();
    bench.remove(directory);
  }
  const run = medianBy(runs, ({ seconds }) => seconds);
  return {
    name,
    ...(goal && { goal: `< ${goalSeconds} s`, met: run.seconds < goalSeconds }),
    measured: `${short(run.seconds)} s`,
    notes: [`${thousands(run.records)} records of one 64-byte value; ${keysChecked} keys were read afterwards`],
    values: { seconds: run.seconds, records: run.records },
  };
}
