/** Tests the order of turns on fake servers that only log. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Sample } from '../../loadtest/results.ts';
import type { ServerContestant, Row, Run, ServerSpec } from '../../loadtest/rows/row.ts';
import { runRow } from '../../loadtest/run-row.ts';
import type { LoadedServer } from '../../loadtest/servers/loaded-server.ts';

/** Fake servers, and a log of what happened. */
class FakeServers {
  readonly log: string[] = [];
  readonly awake = new Set<string>();

  run(): Omit<Run, 'seconds' | 'id'> {
    const start = async ({ kind }: ServerSpec): Promise<LoadedServer> => {
      this.log.push(`start ${kind}`);
      this.awake.add(kind);
      return {
        pid: undefined,
        target: { host: 'nowhere', port: 1, dialect: 'sql' },
        pause: () => void this.awake.delete(kind),
        resume: () => void this.awake.add(kind),
        stop: async () => void this.log.push(`stop ${kind}`),
      };
    };
    const rest = { load: unused, observe: unused, newDirectory: unused, remove: unused, onSpawn: unused };
    return { quick: false, generators: 1, queuePeers: '', start, progress: () => undefined, ...rest };
  }

  contestant(kind: 'dragonlock' | 'redis' | 'etcd', values: readonly number[], failAt = Infinity): ServerContestant {
    let turn = 0;
    const server: ServerSpec = kind === 'dragonlock' ? { kind, settings: {} } : { kind };
    return {
      title: kind,
      server,
      measure: async ({ seconds }) => {
        assert.deepEqual([...this.awake], [kind], 'a server whose turn it is not is paused');
        if (seconds === 0.5) return sample(0);
        if (turn === failAt) throw new Error('it fell over');
        this.log.push(`${kind} ${values[turn]}`);
        return sample(values[turn++]!);
      },
    };
  }
}

function unused(): never {
  assert.fail('not used here');
}

function sample(value: number): Sample {
  return { value, seconds: 1, requests: value, units: value };
}

function rowOf(contestants: readonly ServerContestant[]): Row {
  const goals = [{ bound: 'at least', value: 2, against: 'redis' }] as const;
  return { name: 'row', title: 'row', group: 'goals', unit: 'x/s', better: 'more', contestants, goals };
}

test('contestants take turns A B A B A B, alone, and ratios compare neighbouring runs', async () => {
  const servers = new FakeServers();
  const row = rowOf([servers.contestant('dragonlock', [30, 10, 33]), servers.contestant('redis', [10, 5, 11])]);
  const result = await runRow(row, { seconds: 1, warmUpSeconds: 0.5, repeats: 3, run: servers.run() });
  const turns = ['dragonlock 30', 'redis 10', 'dragonlock 10', 'redis 5', 'dragonlock 33', 'redis 11'];
  assert.deepEqual(servers.log, ['start dragonlock', 'start redis', ...turns, ...servers.log.slice(8)]);
  assert.deepEqual(new Set(servers.log.slice(8)), new Set(['stop dragonlock', 'stop redis']));
  assert.deepEqual(result.contestants[1]?.ratios, [3, 2, 3]);
  assert.deepEqual([result.contestants[1]?.ratio, result.goals[0]?.met, result.error], [3, true, undefined]);
});

test('a failing peer is named and left out; its goal is not measured', async () => {
  const servers = new FakeServers();
  const sides = [
    servers.contestant('dragonlock', [9, 9, 9]),
    servers.contestant('redis', [1, 1, 1], 1),
    servers.contestant('etcd', [3, 3, 3]),
  ];
  const result = await runRow(rowOf(sides), { seconds: 1, warmUpSeconds: 0.5, repeats: 3, run: servers.run() });
  assert.deepEqual(
    result.contestants.map(({ title, ratio }) => [title, ratio]),
    [
      ['dragonlock', undefined],
      ['etcd', 3],
    ],
  );
  assert.equal(result.error, 'redis: it fell over');
  assert.equal(result.goals[0]?.met, undefined);
});

test('if ours fails, the row fails, and every server is stopped', async () => {
  const servers = new FakeServers();
  const sides = [servers.contestant('dragonlock', [1], 0), servers.contestant('redis', [1])];
  await assert.rejects(
    runRow(rowOf(sides), { seconds: 1, warmUpSeconds: 0.5, repeats: 1, run: servers.run() }),
    /it fell over/,
  );
  assert.deepEqual(servers.log, ['start dragonlock', 'start redis', 'stop dragonlock', 'stop redis']);
});
