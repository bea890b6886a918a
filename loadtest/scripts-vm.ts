/**
 * What a run of a script costs, without a server: `node loadtest/scripts-vm.ts`. A transfer between two of 1,000 keys that
 * were read for it, in one machine of this thread and over all script threads. Microseconds are of CPU time, so that it
 * says the same on a busy computer; a run over threads is also told by the clock.
 */
import { availableParallelism } from 'node:os';
import { workerUrls } from '../src/main/worker-urls.ts';
import { ScriptMachine } from '../src/scripts/machine/script-machine.ts';
import type { ScriptRun } from '../src/scripts/script-run.ts';
import { ScriptClient } from '../src/scripts/threads/script-client.ts';
import { ScriptThreads } from '../src/scripts/threads/script-threads.ts';
import { systemAfter, threadMicros } from '../src/shared/clock.ts';

const runs = 20_000;
const callers = 64;

const source = `export default (tx, { from, to, amount }) => {
  const a = tx.get('acct/' + from), b = tx.get('acct/' + to);
  if (!(a?.balance >= amount)) tx.fail('insufficient', { balance: a?.balance });
  tx.set('acct/' + from, { ...a, balance: a.balance - amount });
  tx.set('acct/' + to, { ...b, balance: b.balance + amount });
  return a.balance - amount;
}`;

function transfer(i: number): ScriptRun {
  const [from, to] = [i % 1000, (i * 7 + 1) % 1000];
  const entry = { value: '{"balance":1000}', version: 1 };
  return {
    sourceID: 'transfer',
    source,
    account: 'acme',
    args: JSON.stringify({ from, to, amount: 1 }),
    now: 1_700_000_000_000,
    seed: i,
    cpuMs: 50,
    reads: { entries: { [`acct/${from}`]: entry, [`acct/${to}`]: entry }, counters: {}, lists: [] },
  };
}

function cpuMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

async function inOneMachine(): Promise<void> {
  const machine = new ScriptMachine();
  for (let i = 0; i < 2000; i += 1) await machine.run(transfer(i));
  let inRuns = 0;
  const begun = cpuMicros();
  for (let i = 0; i < runs; i += 1) {
    const outcome = await machine.run(transfer(i));
    inRuns += outcome!.cpuMs * 1000;
    await machine.prepare();
  }
  const all = (cpuMicros() - begun) / runs;
  console.log(
    `one machine          ${all.toFixed(1)} µs a run, of which ${(inRuns / runs).toFixed(1)} µs are the run itself`,
  );
}

/** @param size of a bundle */
async function overThreads(size: number): Promise<void> {
  const count = Math.max(1, Math.floor(availableParallelism() / 2));
  const threads = new ScriptThreads({ url: workerUrls.scriptPool, threads: count, after: systemAfter });
  const client = new ScriptClient(threads.connect());
  const rounds = async (each: number): Promise<void> => {
    const caller = async (first: number): Promise<void> => {
      for (let i = 0; i < each; ) {
        const bundle = Array.from({ length: Math.min(size, each - i) }, (_, j) => transfer(first + i + j));
        i += (await client.run(bundle)).length;
      }
    };
    await Promise.all(Array.from({ length: callers }, (_, i) => caller(i * each)));
  };
  await rounds(30);
  const [begun, cpu] = [threadMicros(), cpuMicros()];
  const each = Math.floor(runs / callers);
  await rounds(each);
  const total = each * callers;
  const [micros, used] = [(threadMicros() - begun) / total, (cpuMicros() - cpu) / total];
  console.log(
    `${count} thread(s), ${callers} callers, bundles of ${size}: ${micros.toFixed(1)} µs a run by the clock, ${used.toFixed(1)} µs of CPU time`,
  );
  await client.close();
  await threads.close();
}

await inOneMachine();
await overThreads(1);
await overThreads(8);
