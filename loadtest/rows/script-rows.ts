/** Scripts and tasks: a transfer between two of a thousand accounts of a bank, and making tasks. */
import { transferScript } from '../load/pgbench.ts';
import { accountPath } from '../load/workloads.ts';
import { putScript } from '../servers/requests.ts';
import { ours, postgres, redisDialogue, type Load } from './contestants.ts';
import type { Row, ServerContestant } from './row.ts';

const bank = { accounts: 1, keys: 1000 } as const;
const transfer: Load = { connections: 64, workload: { kind: 'script.transfer', ...bank } };
const alone: Load = { ...transfer, connections: 1 };
const write: Load = { connections: 1, workload: { kind: 'kv.write', ...bank, bytes: 64 } };
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
