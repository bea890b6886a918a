/** Scripts and tasks: a transfer between two of a thousand accounts of a bank, and making tasks. */
import { transferScript } from '../load/pgbench.ts';
import { accountPath } from '../load/workloads.ts';
import type { Target } from '../load/types.ts';
import { sleep } from '../servers/loaded-server.ts';
import { callScript, putScript } from '../servers/requests.ts';
import { ours, postgres, redisDialogue, type Load } from './contestants.ts';
import type { Row, ServerContestant } from './row.ts';

const bank = { accounts: 1, keys: 1000 } as const;
const transfer: Load = { connections: 64, workload: { kind: 'script.transfer', ...bank } };
const alone: Load = { ...transfer, connections: 1 };
const write: Load = { connections: 1, workload: { kind: 'kv.write', ...bank, bytes: 64 } };
const writes: Load = { connections: 64, workload: { kind: 'kv.write', accounts: 1000, keys: 100, bytes: 64 } };
const loopers = 4;
const p50 = { value: ({ latency }: { latency?: { p50Ms: number } }) => latency?.p50Ms ?? Number.NaN };

const source = `export default (tx, { from, to, amount }) => {
  const [a, b] = tx.getAll(['acct/' + from, 'acct/' + to]);
  const balance = a?.balance ?? 1000000;
  if (balance < amount) tx.fail('insufficient', { balance });
  if (from !== to) {
    tx.set('acct/' + from, { balance: balance - amount });
    tx.set('acct/' + to, { balance: (b?.balance ?? 1000000) + amount });
  }
  return balance - amount;
};`;

export const scriptRows: readonly Row[] = [
  {
    name: 'script-transfer',
    title: 'a transfer between two of 1,000 keys by a script, 64 connections',
    group: 'goals',
    unit: 'transfers/s',
    better: 'more',
    goals: [
      { bound: 'at least', value: 5000 },
      { bound: 'at least', value: 0.08, against: 'Redis' },
      { bound: 'at least', value: 0.35, against: 'PostgreSQL' },
    ],
    contestants: [withTransfer(ours(transfer)), redisDialogue(transfer), postgres(transferScript(bank.keys), 64)],
  },
  {
    name: 'script-alone',
    title: 'a transfer by a script, one connection: p50',
    group: 'goals',
    unit: 'ms',
    better: 'less',
    goals: [{ bound: 'at most', value: 2.5, against: 'a durable write' }],
    contestants: [
      withTransfer(ours(alone, { ...p50, generator: 'built-in' })),
      ours(write, { ...p50, generator: 'built-in', title: 'a durable write' }),
    ],
  },
  {
    name: 'script-loops',
    title: 'durable writes, 64 connections, beside four callers of a script that never ends',
    group: 'goals',
    unit: 'requests/s',
    better: 'more',
    goals: [{ bound: 'at least', value: 0.6, against: 'without the loops' }],
    contestants: [besideLoops(ours(writes)), ours(writes, { title: 'without the loops' })],
  },
  {
    name: 'script-unused',
    title: 'durable writes, 64 connections, where scripts are possible and nobody calls one',
    group: 'goals',
    unit: 'requests/s',
    better: 'more',
    goals: [{ bound: 'at least', value: 0.98, against: 'no script threads' }],
    contestants: [ours(writes), ours(writes, { title: 'no script threads', settings: { scripts: { threads: 0 } } })],
  },
  {
    name: 'task-create',
    title: 'a task that is due in a day, 64 connections',
    group: 'goals',
    unit: 'tasks/s',
    better: 'more',
    goals: [{ bound: 'at least', value: 0.9, against: 'a durable write' }],
    contestants: [
      ours({ connections: 64, workload: { kind: 'task.create', accounts: 1000, keys: 100, bytes: 64 } }),
      ours(
        { connections: 64, workload: { kind: 'kv.write', accounts: 1000, keys: 100, bytes: 64 } },
        { generator: 'built-in', title: 'a durable write' },
      ),
    ],
  },
];

function withTransfer(contestant: ServerContestant): ServerContestant {
  return { ...contestant, prepare: (_, { target }) => putScript(target, `${accountPath(0)}/script/transfer`, source) };
}

/** Callers of accounts of their own, each of which asks again when it is answered. */
function besideLoops(contestant: ServerContestant): ServerContestant {
  const loop = 'export default () => { for (;;) {} };';
  return {
    ...contestant,
    async prepare(_, { target }) {
      for (let i = 0; i < loopers; i += 1) await putScript(target, `/db/loops${i}/script/loop`, loop);
    },
    async measure(run, server) {
      const end = new AbortController();
      const callers = Array.from({ length: loopers }, (_, i) => callUntil(end.signal, server.target, `loops${i}`));
      try {
        return await contestant.measure(run, server);
      } finally {
        end.abort();
        await Promise.all(callers);
      }
    },
  };
}

async function callUntil(signal: AbortSignal, target: Target, account: string): Promise<void> {
  while (!signal.aborted) {
    const status = await callScript(target, `/db/${account}/call/loop`);
    // Its account has used up its time for now.
    if (status === 429) await sleep(20);
  }
}
